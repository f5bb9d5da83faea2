"""What `gristmill upgrade` found, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.options import say
from flows.show import table_of, terminal

if TYPE_CHECKING:
    from flows.upgrade import Upgraded


def show_upgraded(found: Upgraded) -> None:
    """What the map gives in each partition, and what was published."""
    table = table_of(
        f"{found.new} into {found.old}: recall@10 of what is nearest in the new space",
        "partition",
        "queries",
        "sampled",
        "mapped",
        "old encoder",
        right=(2, 3, 4),
    )
    for part in found.map.partitions:
        for kind, recall in part.recalls.items():
            before = part.before.get(kind)
            unmapped = "" if before is None else f"{before:.3f}"
            table.add_row(part.partition, kind, str(part.rows), f"{recall:.3f}", unmapped)
    terminal().print(table)
    size_kb = found.map.file.size_bytes / 1000
    say(
        f"{found.embedded} units embedded{f', {found.failed} failed' if found.failed else ''}; {found.map.method} on"
        f" {found.map.sample_rows} pairs in {found.fit_s:.1f} s, {size_kb:.0f} kB"
    )
    say(f"published {found.snapshot}" if found.snapshot else "nothing was published (--dry-run)")
