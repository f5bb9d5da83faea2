"""What a person sees while a run goes on: a bar for each stage with rate, remaining time and rejects."""

from __future__ import annotations

import logging
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from flows.show import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import TaskID

    from flows.long_files import LongProgress
    from flows.plan import Plan
    from schemas.balance import Balance
    from schemas.engine import Session

_LOG = logging.getLogger("gristmill")
_LOG_EVERY_S: Final = 10.0
_STAGES: Final = ("decode", "unpack", "recognise", "derive", "embed")
_LONG_FILES: Final = 3  # that have a bar
_NAME_CELLS: Final = 18


class _RateColumn(ProgressColumn):
    """Items a second, or an hour where that is more readable."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class LookBar:
    """How far a command is that looks at all there is; a bar on a terminal, nothing elsewhere. On stderr.

    Args:
        unit: What is counted.
    """

    def __init__(self, unit: str = "files") -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description:<30}"),
            BarColumn(bar_width=30),
            TextColumn(f"{{task.completed:>7.0f}}/{{task.total:<7.0f}} {unit}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

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

    def look(self, what: str, done: int, total: int) -> None:
        """So much of this was looked at."""
        self._bar.update(self._task, description=what, completed=done, total=total)

    def note(self, text: str) -> None:
        """A line above the bar."""
        self._console.print(text, highlight=False)


class ProgressWatcher:
    """Bars on a terminal, a line every ten seconds elsewhere; always on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:>7.0f}/{task.total:<7.0f}"),
            _RateColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("[red]{task.fields[rejects]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, int] = {}
        self._long: dict[str, TaskID] = {}
        self._logged_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def started(self, plan: Plan) -> None:
        """Show what there is to do."""
        todo = len(plan.decode) + sum(again.decode for again in plan.again)
        kept = len(plan.again) + len(plan.recut) + len(plan.decode) - todo
        again = f" {kept} to do from what is kept," if kept else ""
        self._console.print(
            f"{plan.found} files found: {todo} to decode,{again} {plan.unchanged} unchanged,"
            f" {len(plan.gone)} gone",
            highlight=False,
        )
        for stage in _STAGES:
            total = {"decode": todo, "unpack": kept}.get(stage, 0)
            self._tasks[stage] = self._bars.add_task(stage, total=total, rejects="")

    def progressed(
        self, balance: Balance, session: Session, long_files: Sequence[LongProgress]
    ) -> None:
        """Move the bars."""
        stats = session.stats()
        for stage in _STAGES:
            pool = stats.get(stage)
            if pool is None:
                continue
            pending = session.pending(stage)
            known = self._bars.tasks[self._tasks[stage]].total or 0
            self._bars.update(
                self._tasks[stage],  # type: ignore[arg-type]  # rich's TaskID is an int
                completed=pool.items,
                total=max(known, pool.items + pending),
                rejects=f"{pool.failures} rejected" if pool.failures else "",
            )
        self._show_long(long_files)
        self._log(balance, session, long_files)

    def note(self, text: str) -> None:
        """A line between the bars."""
        self._console.print(text, highlight=False)

    def _show_long(self, long_files: Sequence[LongProgress]) -> None:
        """A bar for each of the first long files that are being read, by parts."""
        shown = {file.path: file for file in long_files[:_LONG_FILES]}
        for path in self._long.keys() - shown.keys():
            self._bars.remove_task(self._long.pop(path))
        for path, file in shown.items():
            if path not in self._long:
                name = escape(harmless(PurePosixPath(path).name)[:_NAME_CELLS])
                self._long[path] = self._bars.add_task(name, total=file.total, rejects="")
            self._bars.update(self._long[path], completed=file.done)

    def _log(self, balance: Balance, session: Session, long_files: Sequence[LongProgress]) -> None:
        now = time.monotonic()
        if self._console.is_terminal or now - self._logged_at < _LOG_EVERY_S:
            return
        self._logged_at = now
        self._console.print(
            f"indexed {balance.indexed}, rejected {balance.rejected_total}; waiting: "
            + ", ".join(f"{stage} {session.pending(stage)}" for stage in _STAGES)
            + "".join(
                f"; {harmless(file.path)}: {file.done} of {file.total} parts" for file in long_files
            ),
            highlight=False,
            markup=False,
        )
