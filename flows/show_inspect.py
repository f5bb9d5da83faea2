"""What `gristmill inspect` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from flows.show import harmless, table_of, terminal

if TYPE_CHECKING:
    from types import TracebackType

    from rich.table import Table

    from flows.inspect import Inspected
    from schemas.content import PartialReject
    from schemas.unit import Unit

_TEXT_CHARS: Final = 110
_MIB: Final = 1 << 20


def show_inspected(found: Inspected, rows: int) -> None:
    """What the file is, its units as a table, notes, lost parts, times.

    Args:
        found: What became of the file.
        rows: Units shown of each partition; 0 for all.
    """
    console = terminal()
    content, file = found.content, found.file

    def say(text: str) -> None:
        console.print(harmless(text), highlight=False, markup=False, soft_wrap=True)

    kind = content.media_type if content else "not decoded"
    say(f"{found.path}  {kind}, {file.size_bytes / _MIB:.2f} MiB")
    if content and content.title:
        say(f"title  {content.title}")
    if found.units:
        console.print(_units(found, rows))
    for note in found.notes:
        say(f"note  {note}")
    for reject in content.rejects if content else ():
        say(f"lost  {place_of(reject)}{reject.stage}: {reject.code}: {reject.reason}")
    took = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in found.seconds.items())
    counts = ", ".join(f"{count} {partition}" for partition, count in found.counts.items())
    say(f"{len(found.units)} units{f' ({counts})' if counts else ''}; {took or 'not read'}")
    if found.reject:
        say(f"REJECTED  {found.reject.code}: {found.reject.reason}")
        say(f"          {found.advice}")


def place_of(reject: PartialReject) -> str:
    """``page 3, ``, ``12.0 s, `` or nothing."""
    if reject.page is not None:
        return f"page {reject.page}, "
    return f"{reject.second:.1f} s, " if reject.second is not None else ""


def _units(found: Inspected, rows: int) -> Table:
    table = table_of("Units", "partition", "place", "lang", "words", "text", right=(3,))
    table.expand = True
    for column in table.columns:
        column.no_wrap = True
    table.columns[4].overflow, table.columns[4].ratio = "ellipsis", 1
    shown: dict[str, int] = {}
    for unit in found.units:
        name = str(unit.partition)
        shown[name] = shown.get(name, 0) + 1
        if not rows or shown[name] <= rows:
            table.add_row(*_cells(unit))
        elif shown[name] == rows + 1:
            more = found.counts[name] - rows
            table.add_row(name, "", "", "", Text(f"and {more} more: --rows 0", style="dim"))
    return table


def _cells(unit: Unit) -> tuple[str | Text, ...]:
    words = len(unit.text.split())
    text = Text(harmless(" ".join(unit.text.split())[:_TEXT_CHARS]))
    place = harmless(unit.locator.as_text())
    return str(unit.partition), place, unit.language, str(words) if words else "", text


class StepBar:
    """Which step a command is at and for how long; on stderr, and nothing where that is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def step(self, name: str) -> None:
        """The next one begins."""
        self._bar.update(self._task, description=name)
