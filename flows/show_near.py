"""What `gristmill near-duplicates` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from flows.show import harmless, terminal
from schemas.unit import Locator

if TYPE_CHECKING:
    from flows.near import Look, NearDuplicates


def show_near(found: NearDuplicates) -> None:
    """Group by group, the best copy first."""
    console = terminal()
    for group in found.groups:
        console.print(Text(f"{len(group)} look the same", style="bold"))
        for look in group:
            console.print(_line(look), soft_wrap=True)
    many = sum(len(group) for group in found.groups)
    console.print(
        f"{many} of {found.units} units with a perceptual hash, in {len(found.groups)} groups"
        f" (at most {found.most_bits} of 64 bits from the first)",
        highlight=False,
        soft_wrap=True,
    )


def _line(look: Look) -> Text:
    line = Text(f"{look.bits:>4}  ")
    line.append(harmless(look.paths[0] if look.paths else look.source_id), style="cyan")
    if len(look.paths) > 1:
        line.append(f" and {len(look.paths) - 1} more names")
    place = Locator(**look.locator).as_text()
    line.append(f"  {place}" if place else "")
    line.append(f"  [{look.partition}]", style="dim")
    return line
