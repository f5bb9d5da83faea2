"""Peak memory and processor time of a process tree, sampled while it works."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import psutil

if TYPE_CHECKING:
    from types import TracebackType

_INTERVAL_S: Final = 1.0


@dataclass(slots=True)
class Used:
    """The highest seen, each at its own moment.

    Attributes:
        tree_bytes: Proportional set size (PSS) summed over the tree: a page that n processes share counts 1/n in each,
            so that Ray's shared-memory store and shared libraries are counted once. Where the system does not tell it,
            resident sizes are summed.
        largest_bytes: Resident size of the largest single process, all it shares included.
        largest_name: That process.
        cpu_s: Processor seconds of every process that was seen, less what each used after its last sample.
    """

    tree_bytes: int = 0
    largest_bytes: int = 0
    largest_name: str = ""
    cpu_s: float = 0.0


class TreeWatch:
    """Samples a process tree while inside; what rises and falls between two samples is missed.

    Args:
        pid: Top of the tree; None for this process.
        interval_s: Between two samples.
    """

    def __init__(self, pid: int | None = None, interval_s: float = _INTERVAL_S) -> None:
        self.used = Used()
        self._top = psutil.Process(pid)
        self._interval_s = interval_s
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tree-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(self._interval_s):
                return

    def _sample(self) -> None:
        try:
            tree = [self._top, *self._top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        tree_bytes = 0
        for process in tree:
            try:
                memory, name = process.memory_full_info(), process.name()
                times, born = process.cpu_times(), process.create_time()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue  # it ended between the listing and the look
            self._cpu_s[process.pid, born] = times.user + times.system
            tree_bytes += int(getattr(memory, "pss", 0) or memory.rss)
            if memory.rss > self.used.largest_bytes:
                self.used.largest_bytes, self.used.largest_name = memory.rss, name
        self.used.tree_bytes = max(self.used.tree_bytes, tree_bytes)
        self.used.cpu_s = sum(self._cpu_s.values())
