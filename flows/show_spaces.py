"""What the commands about spaces print for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flows.show import harmless, table_of, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reindex_cost import ReindexCost
    from flows.spaces import Dropped, SpaceRow

_MIB: Final = 1 << 20


def show_spaces(rows: Sequence[SpaceRow]) -> None:
    """One line for each space."""
    table = table_of(
        "Spaces", "", "space", "input", "dim", "vectors", "table MiB", "index MiB", "complete",
        right=(3, 4, 5, 6, 7),
    )  # fmt: skip
    for row in rows:
        marks = {
            "published": row.published,
            "in profile": row.in_profile,
            "dropped": row.dropped,
            "no encoder": not row.installed,
        }
        table.add_row(
            ", ".join(name for name, holds in marks.items() if holds),
            harmless(row.key),
            row.input,
            str(row.dim),
            str(row.vectors),
            f"{row.table_bytes / _MIB:.1f}",
            f"{row.index_bytes / _MIB:.1f}",
            f"{row.sources - row.lacking} of {row.sources}",
        )
    terminal().print(table)


def show_dropped(dropped: Dropped) -> None:
    """What was taken out, and what is published now."""
    text = f"dropped {dropped.key}; gristmill gc takes its rows"
    if dropped.snapshot:
        text += f". Published without it: {dropped.snapshot}"
    terminal().print(text, highlight=False)


def show_cost(cost: ReindexCost) -> None:
    """What there is to do, and how long it may take."""
    table = table_of("Reindex", "", "", right=(0,))
    table.add_row(str(cost.files), "files in the lake")
    table.add_row(str(cost.unchanged), "of them stay as they are")
    lines = {
        "sources to embed from what is kept": cost.embed,
        "sources to cut anew from kept content": cost.recut,
        "files to decode again": cost.decode,
        "units to embed": cost.units,
        "vectors to make": cost.vectors,
        "inputs for the encoder": cost.calls,
    }
    for what, count in lines.items():
        table.add_row("?" if count is None else str(count), what)
    for what, size in [
        ("of texts", cost.text_bytes),
        ("of kept pixels", cost.payload_bytes),
        ("of files", cost.file_bytes),
    ]:
        table.add_row(f"{size / _MIB:.1f}", f"MiB {what} to read")
    console = terminal()
    console.print(table)
    if cost.seconds is None:
        console.print("no run of this lake has measured how long that takes")
    else:
        console.print(
            f"about {cost.seconds:.0f} s, by the rates of run {cost.measured_by}", highlight=False
        )
