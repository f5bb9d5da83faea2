"""What `gristmill diff` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from flows.show import harmless, table_of, terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flows.diff import IndexDiff, SnapshotDiff, SourcesDiff

_SHOWN: Final = 10  # sources of a kind


def show_diff(found: SnapshotDiff) -> None:
    """One line for each index, then what differs in how they are built, in spaces and in sources."""
    if found.old == found.new:
        terminal().print(f"{found.old} is the same snapshot", highlight=False)
        return
    terminal().print(_indexes(found))
    lines = (*_settings(found), *_inverted(found), *_spaces(found), *_sources(found.sources))
    for line in lines:
        terminal().print(line, highlight=False, markup=False, soft_wrap=True)


def _indexes(found: SnapshotDiff) -> Any:
    columns = ("partition", "space", "rows", "+", "-", "changed", "recall@10", "segments")
    lines = table_of(f"From {found.old} to {found.new}", *columns, right=(2, 3, 4, 5, 6))
    for index in found.indexes:
        lines.add_row(
            index.partition,
            index.space.rpartition("-")[0],
            _change(index.rows, str),
            *(str(n) if n else "" for n in (index.added, index.removed, index.changed)),
            _change(index.recall_at_10, lambda value: f"{value:.3f}"),
            _segments(index),
            style="" if _differs(index) else "dim",
        )
    return lines


def _differs(index: IndexDiff) -> bool:
    moved = (index.segments_new, index.segments_dropped, index.tombstones_added, index.changes)
    return any(moved)


def _segments(index: IndexDiff) -> str:
    counts = (
        (index.segments_reused, "reused"),
        (index.segments_new, "new"),
        (index.segments_dropped, "dropped"),
        (index.tombstones_added, "rows deleted"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def _change(pair: tuple[Any, Any], shown: Callable[[Any], str]) -> str:
    was, now = ("none" if value is None else shown(value) for value in pair)
    return was if was == now else f"{was} → {now}"


def _settings(found: SnapshotDiff) -> Iterator[str]:
    for index in found.indexes:
        recalls = {f"recall@10 of {kind}": pair for kind, pair in index.recalls.items()}
        changes = [f"{name} {_change(pair, str)}" for name, pair in index.changes.items()]
        changes += [
            f"{name} {_change(pair, lambda value: f'{value:.3f}')}"
            for name, pair in recalls.items()
            if all(value is not None for value in pair)
        ]
        if changes:
            yield f"{index.partition} in {index.space}: {'; '.join(changes)}"


def _inverted(found: SnapshotDiff) -> Iterator[str]:
    for index in found.inverted:
        if index.files_new or index.files_dropped:
            what = f"sparse postings in {index.encoder}" if index.encoder else "words"
            numbers = f"rows {_change(index.rows, str)}, terms {_change(index.terms, str)}"
            counts = (index.files_reused, index.files_new, index.files_dropped)
            files = "{} files reused, {} new, {} dropped".format(*counts)
            yield f"{what} of {index.partition}: {numbers}; {files}"


def _spaces(found: SnapshotDiff) -> Iterator[str]:
    for key in found.spaces.added:
        yield f"space {key} is new"
    for key in found.spaces.removed:
        yield f"space {key} is gone"
    for name, lines in found.spaces.changed.items():
        yield f"space {name} is another: {'; '.join(lines)}"
    for told in found.maps.added:
        yield f"the map from {told} is new"
    for told in found.maps.removed:
        yield f"the map from {told} is gone"


def _sources(sources: SourcesDiff) -> Iterator[Text | str]:
    kinds = (("+", sources.added), ("-", sources.removed), ("~", sources.changed))
    if not any(names for _, names in kinds):
        yield "sources: the same"
        return
    yield (
        f"sources: {len(sources.added)} added, {len(sources.removed)} removed,"
        f" {len(sources.changed)} changed"
    )
    for mark, names in kinds:
        for name in names[:_SHOWN]:
            yield Text(f"  {mark} {harmless(name)}")
        if len(names) > _SHOWN:
            yield f"  {mark} and {len(names) - _SHOWN} more"
