"""What the commands print of plans and curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stages.index.explain import milliseconds, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.changes import Foreseen
    from flows.index_plan import PlannedIndex, PlannedLake
    from flows.inverted import PlannedInverted
    from flows.tune import TunedIndex, TunedSnapshot
    from stages.index.sizes import IndexPlan

_BAR_CHARS: Final = 10
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def show_plans(planned: PlannedLake) -> None:
    """One row for each index; below it why, what else there was, and what comes next where it does not hold."""
    console = Console()
    if not planned.indexes:
        _say(console, _nothing_to_plan(planned))
        return
    table = _table(
        f"Plan for {planned.lake}",
        ["partition", "space", "rows", "changes", "index", "segments", "served"],
        {"rows", "changes", "segments", "served"},
        wraps="index",
    )
    for index in planned.indexes:
        table.add_row(
            index.partition, index.space, f"{index.rows:,}", _change(index.foreseen), *_cells(index)
        )
    for postings in planned.inverted:
        table.add_row(*_postings_cells(postings))
    console.print(table)
    first = [index.plans[0] for index in planned.indexes if index.plans]
    served = [plan.serve_bytes for plan in first] + [p.serve_bytes for p in planned.inverted]
    stored = [plan.disk_bytes for plan in first] + [p.serve_bytes for p in planned.inverted]
    of = f" of {size(planned.serve_memory_bytes)}" if planned.serve_memory_bytes else ""
    _say(
        console,
        f"{size(sum(served))}{of} of memory to serve all of it,"
        f" {size(sum(stored))} on disk,"
        f" up to {size(max((plan.build_bytes for plan in first), default=0))} to build; nothing was built",
    )
    for index in planned.indexes:
        _show_foreseen(console, index)
    built = [index for index in planned.indexes if index.foreseen.start in ("new", "anew")]
    exact = [index for index in built if index.plans and index.plans[0].family == "flat"]
    for index in built:
        if index not in exact:
            _show_reason(console, index)
    if exact:
        console.print()
        _say(
            console,
            f"{len(exact)} of those to build are searched exactly: so few rows that it is fast enough",
        )


def show_tuned(found: TunedSnapshot) -> None:
    """The curve of each index, the choice, and what the snapshot has."""
    console = Console()
    for index in found.indexes:
        _show_curve(console, index)
    changed = [index for index in found.indexes if index.changes]
    if found.published:
        _say(console, f"published {found.published}: the files of {found.snapshot}, searched anew")
    elif not changed:
        _say(console, f"snapshot {found.snapshot} is tuned to this already")
    elif all(index.tuned.met for index in found.indexes):
        _say(
            console,
            "nothing was changed; with --publish a snapshot that is searched so is published",
        )
    else:
        _say(console, "nothing was changed")


def parameters_told(family: str, parameters: Mapping[str, int]) -> str:
    """``ivf_sq8 nlist=2048``."""
    return " ".join([family, *(f"{name}={value}" for name, value in sorted(parameters.items()))])


def _nothing_to_plan(planned: PlannedLake) -> str:
    if not planned.others:
        return f"{planned.lake} has no vectors yet: gristmill ingest SRC --lake {planned.lake}"
    return (
        f"{planned.lake} has no vectors in the spaces of this configuration, only in {', '.join(planned.others)}:"
        f" gristmill reindex --space NAME --lake {planned.lake} embeds what it has in another space"
    )


def _change(foreseen: Foreseen) -> str:
    if foreseen.start == "grows":
        return f"+{foreseen.new_rows:,} -{foreseen.gone_rows:,}"
    return foreseen.start


def _show_foreseen(console: Console, index: PlannedIndex) -> None:
    """Why an index is built anew, or what becomes of its segments; nothing of one that is new or stays."""
    seen, place = index.foreseen, f"{index.partition} in {index.space}"
    if seen.start == "anew" and index.plans:
        _say(console, f"{place} is built anew: {seen.why}")
    elif seen.start == "grows":
        merged = f", {seen.moved_segments} are merged" if seen.moved_segments else ""
        _say(
            console,
            f"{place} grows: {seen.new_rows:,} new rows, {seen.gone_rows:,} gone;"
            f" {seen.kept_segments} segments stay{merged}. If recall or lists have drifted, it is built anew",
        )


def _cells(index: PlannedIndex) -> list[str]:
    if not index.plans:
        return ["none fits", "", ""]
    plan = index.plans[0]
    return [
        parameters_told(plan.family, plan.parameters),
        str(plan.shards),
        size(plan.serve_bytes),
    ]


def _postings_cells(planned: PlannedInverted) -> list[str]:
    """Of words and sparse vectors no more is known beforehand than about how much they take."""
    told = f"~{size(planned.serve_bytes)}"
    return [planned.partition, planned.space, f"{planned.rows:,}", "", planned.what, "", told]


def _show_reason(console: Console, index: PlannedIndex) -> None:
    console.print()
    console.print(Text(f"{index.partition} in {index.space}", style="bold"))
    lines = index.plans[0].reason.splitlines() if index.plans else [index.error]
    if len(index.plans) > 1:
        lines.append(f"Next, where recall or latency do not hold: {_brief(index.plans[1])}.")
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2)))


def _brief(plan: IndexPlan) -> str:
    return f"{plan.name} ({size(plan.serve_bytes)} served, ~{milliseconds(plan.query_ms)})"


def _show_curve(console: Console, index: TunedIndex) -> None:
    entry, tuned = index.entry, index.tuned
    columns = ["search", "recall@10", "", "p50 ms", "p99 ms", "looked at", ""]
    table = _table(
        f"{entry.partition} in {index.space}: {parameters_told(entry.family, entry.parameters)}, {entry.rows:,} rows",
        columns,
        {"recall@10", "p50 ms", "p99 ms", "looked at"},
        wraps="search",
    )
    for point in tuned.curve:
        chosen, published = point.search == tuned.point.search, point.search == entry.search
        mark = "<- as published" if chosen else "<- published"
        table.add_row(
            " ".join(f"{k}={v}" for k, v in sorted(point.search.items())) or "exhaustive",
            f"{point.recall_at_10:.3f}",
            bar(point.recall_at_10),
            f"{point.latency_ms_p50:.2f}",
            f"{point.latency_ms_p99:.2f}",
            size(point.cost_bytes),
            mark if published else "<- chosen" if chosen else "",
            style="bold" if chosen else "",
        )
    console.print(table)
    recall, latency_ms = index.wanted
    limit = f" within {latency_ms:g} ms" if latency_ms else ""
    kinds = ", ".join(f"{kind} {value:.3f}" for kind, value in sorted(tuned.recalls.items()))
    verdict = "" if tuned.met else "NOT REACHED: "
    _say(console, f"{verdict}wanted recall {recall:g}{limit}; {tuned.why}")
    if kinds:
        _say(console, f"recall by kind of query: {kinds}")
    if entry.search not in [point.search for point in tuned.curve]:
        told = " ".join(f"{k}={v}" for k, v in sorted(entry.search.items())) or "exhaustive"
        _say(console, f"published: {told}, recall {entry.recall_at_10:.3f} when it was built")
    console.print()


def bar(share: float) -> str:
    """A bar of 10 characters, in eighths of one."""
    eighths = round(max(0.0, min(1.0, share)) * _BAR_CHARS * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(_BAR_CHARS)


def _table(title: str, columns: list[str], right: set[str], wraps: str) -> Table:
    """Where it is wider than the screen, the column `wraps` is broken and no other."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            header_style="dim",
            no_wrap=column != wraps,
        )
    return table


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
