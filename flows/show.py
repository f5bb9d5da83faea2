"""What the commands print for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.unit import Locator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.flows import RunSummary
    from flows.forget import Proof
    from flows.maintain import Collected
    from schemas.balance import Balance
    from schemas.findings import Verification
    from schemas.manifest import Manifest
    from schemas.search import SearchResult

_GIB = 1 << 30
_MIB = 1 << 20
_SNIPPET_CHARS = 160
_ROUTES_SHOWN = 4
# Control characters drive a terminal, and the bidirectional ones show a name as another: names and texts are data.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def show_run(summary: RunSummary) -> None:
    """Balance sheet, what was published, where the report is."""
    show_balance(summary.balance)
    if summary.manifest is not None:
        show_manifest(summary.manifest)
    if summary.report:
        terminal().print(f"report     {summary.report}", highlight=False, soft_wrap=True)


def show_balance(balance: Balance) -> None:
    """Every file found and what became of it, then units and time."""
    console = terminal()
    files = table_of("Balance", "files", "", right=(0,))
    files.add_row(str(balance.found), "found")
    files.add_row(str(balance.indexed), "indexed")
    if balance.reembedded:
        files.add_row(str(balance.reembedded), "embedded again, not decoded")
    if balance.resegmented:
        files.add_row(str(balance.resegmented), "cut anew, not decoded")
    if balance.redecoded:
        files.add_row(str(balance.redecoded), "decoded again: not all of it was kept")
    files.add_row(str(balance.unchanged), "unchanged")
    files.add_row(str(balance.duplicate), "duplicate")
    codes = ", ".join(f"{n} {code}" for code, n in sorted(balance.rejected.items()))
    files.add_row(str(balance.rejected_total), f"rejected{f' ({codes})' if codes else ''}")
    console.print(files)
    if balance.gone:
        console.print(f"{balance.gone} files are gone and hidden from the next snapshot")
    if balance.kept:
        console.print(
            f"{balance.kept} known files cannot be seen now; what the lake has of them stays"
        )
    if balance.unit_rejects:
        lost = ", ".join(f"{n} {code}" for code, n in sorted(balance.unit_rejects.items()))
        console.print(f"parts of files lost: {lost} (gristmill rejects lists them)")
    if balance.kept_bytes:
        console.print(
            f"{balance.kept_bytes / _MIB:.1f} MiB of pixels, sounds and content kept for other encoders and cuts"
        )
    if balance.stages:
        console.print(_stage_table(balance))
    console.print(
        f"{balance.seconds:.1f} s, peak memory {balance.peak_memory_bytes / _GIB:.2f} GiB",
        highlight=False,
    )


def _stage_table(balance: Balance) -> Table:
    stages = table_of(
        "Stages", "stage", "items", "busy s", "idle s", "set-up s", right=(1, 2, 3, 4)
    )
    for name, stage in balance.stages.items():
        if stage.items:
            stages.add_row(
                name,
                str(stage.items),
                f"{stage.seconds:.1f}",
                f"{stage.wait_seconds:.1f}",
                f"{stage.setup_seconds:.1f}",
            )
    return stages


def show_manifest(manifest: Manifest) -> None:
    """One line for each index."""
    names = {space.key: space.name for space in manifest.spaces}
    table = table_of(
        f"Snapshot {manifest.snapshot_id}",
        "partition",
        "space",
        "rows",
        "index",
        "segments",
        "recall@10",
        "p50 ms",
        right=(2, 4, 5, 6),
    )
    for entry in manifest.indexes:
        table.add_row(
            entry.partition,
            names[entry.space],
            str(entry.rows),
            entry.family,
            str(len(entry.segments)),
            f"{entry.recall_at_10:.3f}",
            f"{entry.latency_ms_p50:.2f}",
        )
    terminal().print(table)
    for space_map in manifest.maps:
        old, new = names[space_map.target], names[space_map.source]
        terminal().print(f"questions are embedded in {new} and mapped into {old}", highlight=False)


def show_hits(query: str, result: SearchResult, reranker: str = "") -> None:
    """The routes, then the hits with the place to go to; scores are those of the search, whoever ordered them."""
    console = terminal()
    console.print(Text(f'"{query}"', style="bold"))
    routes = [f"{route.partition} {route.weight:.2f}" for route in result.routes[:_ROUTES_SHOWN]]
    more = len(result.routes) - len(routes)
    routes += [f"and {more} more"] if more else []
    console.print("routes  " + "  ".join(routes), highlight=False, soft_wrap=True)
    if reranker:
        console.print(f"order   by {reranker}", highlight=False, soft_wrap=True)
    ranks = {hit.unit_id: hit.rank for hit in result.hits}
    for hit in result.hits:
        place = Locator(**hit.locator).as_text()
        line = Text(f"{hit.rank:>3}  {hit.score:.3f}  ")
        line.append(harmless(hit.path), style="cyan")
        line.append(f"  {place}" if place else "")
        line.append(f"  [{hit.partition}]", style="dim")
        if hit.near_duplicate_of in ranks:
            line.append(f"  looks like hit {ranks[hit.near_duplicate_of]}", style="dim")
        console.print(line, soft_wrap=True)
        for text in filter(None, (hit.text, hit.found_by)):
            console.print(
                Text("            " + harmless(_snippet(text, query)), style="dim"),
                soft_wrap=True,
            )


def harmless(text: str) -> str:
    """What comes from a file, fit for a terminal: control characters as Python writes them."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def show_snapshots(rows: Sequence[dict[str, Any]]) -> None:
    """One line for each snapshot."""
    table = table_of("Snapshots", "", "snapshot", "built", "rows", "indexes", right=(3, 4))
    for row in rows:
        marks = [name for name in ("current", "protected") if row[name]]
        marks += [f"format {row['format_version']}"] if row["advice"] else []
        counts = ("?" if row[name] is None else str(row[name]) for name in ("rows", "indexes"))
        table.add_row(
            ", ".join(marks), harmless(row["snapshot"]), harmless(row["created_at"]), *counts
        )
    terminal().print(table)
    for advice in dict.fromkeys(row["advice"] for row in rows if row["advice"]):
        of = [row["snapshot"] for row in rows if row["advice"] == advice]
        what = f"snapshot {of[0]}" if len(of) == 1 else f"each of {len(of)} snapshots"
        terminal().print(f"{what} {advice}", highlight=False, markup=False, soft_wrap=True)


def show_status(found: dict[str, Any]) -> None:
    """Tables, rows, snapshot, last run."""
    console = terminal()
    console.print(f"lake      {found['lake']}", highlight=False, soft_wrap=True)
    console.print(f"snapshot  {found['snapshot'] or 'none published yet'}", highlight=False)
    tables = table_of("Tables", "table", "version", right=(1,))
    for name, version in sorted(found["tables"].items()):
        tables.add_row(name, str(version))
    console.print(tables)
    rows = table_of("Live rows", "partition", "units", "vectors by space", right=(1,))
    for partition, counts in sorted(found["rows"].items()):
        spaces = ", ".join(f"{name} {n}" for name, n in sorted(counts["vectors"].items()))
        rows.add_row(partition, str(counts["units"]), spaces)
    console.print(rows)
    payloads = found["payloads"]
    if payloads["files"]:
        console.print(f"pixels kept: {payloads['files']} files, {payloads['bytes'] / _MIB:.1f} MiB")
    contents = found["contents"]
    if contents["files"]:
        console.print(
            f"content kept: {contents['files']} files, {contents['bytes'] / _MIB:.1f} MiB"
        )
    last = found["last_run"]
    if last:
        balance = last["balance"]
        console.print(
            f"last run  {last['run_id']}: {balance['found']} found, {balance['indexed']} indexed,"
            f" {balance['unchanged']} unchanged, {balance['duplicate']} duplicate,"
            f" {sum(balance['rejected'].values())} rejected",
            highlight=False,
        )


def show_rejects(rows: Sequence[dict[str, Any]]) -> None:
    """One line for each reject."""
    table = table_of("Rejects", "path", "stage", "code", "reason")
    for row in rows:
        place = f" (page {row['page']})" if row["page"] is not None else ""
        path, reason = Text(harmless(row["path"]) + place), Text(harmless(row["reason"]))
        table.add_row(path, row["stage"], row["code"], reason)
    terminal().print(table if rows else "nothing was rejected")


def show_evaluation(found: dict[str, Any]) -> None:
    """One table for each grouping of the queries."""
    console = terminal()
    for title, rows in found["tables"].items():
        columns = list(rows[0])
        table = table_of(title, *columns, right=tuple(range(2, len(columns))))
        for row in rows:
            table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
        console.print(table)


def show_verified(found: Verification) -> None:
    """What was repaired, each check and whether it holds, each finding and what to do."""
    console = terminal()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for line in found.repaired:
        say(f"repaired: {line}")
    table = table_of(f"Lake {found.lake}", "check", "found", "")
    for check in found.checks:
        table.add_row(check.name, Text(check.value), "ok" if check.ok else "FAILED")
    console.print(table)
    for finding in found.findings:
        say(f"DAMAGED  {finding.what}: {finding.file or 'the table'} {finding.wrong}")
        say(f"         it costs {finding.costs}")
        say(f"         {finding.advice}")
    for what, count in found.information.items():
        say(f"{count} {what}")
    if found.reread:
        say(
            f"{len(found.reread)} files are read again by the next gristmill run over their folders"
        )
    for uri in found.lost:
        say(f"lost: {uri} is no longer there; the next run over its folder finds it gone")


def show_doctor(checks: Sequence[dict[str, Any]]) -> None:
    """Each part, what is there, and what to do."""
    table = table_of("gristmill doctor", "", "what", "found", "what to do")
    for check in checks:
        mark = "ok" if check["ok"] else ("MISSING" if check["needed"] else "absent")
        table.add_row(mark, check["name"], check["found"], check["advice"])
    terminal().print(table)


def terminal() -> Console:
    """Where commands print for people."""
    return Console()


def table_of(title: str, *columns: str, right: tuple[int, ...] = ()) -> Table:
    """An empty table; `right` are the columns that are numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(
            column, justify="right" if i in right else "left", header_style="dim", overflow="fold"
        )
    return table


def _snippet(text: str, query: str) -> str:
    """The part of the text with most of the question's words, on one line."""
    joined = " ".join(text.split())
    if len(joined) <= _SNIPPET_CHARS:
        return joined
    wanted = {word for word in _words(query) if len(word) > 3}
    starts = [0, *(match.end() for match in re.finditer(r"[.!?;:,] ", joined))]
    windows = [joined[start : start + _SNIPPET_CHARS] for start in starts]
    best = max(range(len(starts)), key=lambda i: len(wanted & set(_words(windows[i]))))
    cut_after = starts[best] + _SNIPPET_CHARS < len(joined)
    return f"{'…' if best else ''}{windows[best]}{'…' if cut_after else ''}"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def show_collected(found: Collected) -> None:
    """What maintenance took away, or would."""
    would = "would be " if found.dry_run else ""
    console = terminal()
    table = table_of("Tables", "table", "rows", "dropped", "files", "rewritten", right=(1, 2, 3, 4))
    for sweep in found.tables:
        counts = (sweep.rows, sweep.dropped_rows, sweep.files, sweep.rewritten_files)
        table.add_row(sweep.table, *map(str, counts))
    console.print(table)
    console.print(
        f"{len(found.expired)} snapshots {would}expired, {len(found.kept)} kept; {found.blobs} files of segments and"
        f" snapshots, {found.table_files} files of tables, {found.payloads} of kept pixels, {found.contents} of kept"
        f" content and {found.half_written} half-written ones {would}deleted",
        highlight=False,
        soft_wrap=True,
    )
    for key in found.spaces:
        console.print(f"the dropped space {key} {would or 'is '}gone", highlight=False)
    for snapshot_id in found.newer:
        terminal().print(
            f"snapshot {snapshot_id} is in a newer format: no snapshot and no file of one goes, since what it needs"
            " is not known. Update gristmill",
            highlight=False,
            soft_wrap=True,
        )


def show_forgotten(proof: Proof) -> None:
    """What was hidden; after a purge, what went and what was searched for."""
    console = terminal()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"forgotten: {len(proof.uris)} names, {len(proof.sources)} contents")
    for uri in proof.uris:
        say(f"  {uri}")
    if proof.elsewhere:
        say("the same content stays under names that were not given:")
        for uri in proof.elsewhere:
            say(f"  {uri}")
    if not proof.searched_files:
        say("hidden from the next snapshot (gristmill index, publish); --purge removes every trace")
        return
    rows = ", ".join(f"{count} of {table}" for table, count in proof.dropped_rows.items())
    say(f"rewritten without: {rows or 'nothing'}; the history of all tables is gone")
    say(f"dropped: {len(proof.dropped_snapshots)} snapshots, {proof.deleted_blobs} files")
    say(f"current snapshot: {proof.snapshot or 'none, nothing is left'}")
    counts = ", ".join(f"{count} {kind}s" for kind, count in proof.needles.items())
    size_mib = proof.searched_bytes / _MIB
    say(f"searched for {counts} in {proof.searched_files} files ({size_mib:.1f} MiB): none found")
    say(
        "a file that is still in its folder is read again by the next run; copies on serving hosts are theirs to drop"
    )
