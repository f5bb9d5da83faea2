"""Peak memory of the process tree, sampled while a run goes on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

import psutil

if TYPE_CHECKING:
    from types import TracebackType

_INTERVAL_S: Final = 1.0


class PeakMemory:
    """Samples the summed proportional set size of this process and all below it.

    Proportional (PSS) counts a page that n processes share as 1/n each, so that Ray's shared-memory store and
    shared libraries are counted once. Where the system does not tell it, the resident size is summed instead.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

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
        me = psutil.Process()
        while True:
            self.peak_bytes = max(self.peak_bytes, _tree_bytes(me))
            if self._stop.wait(_INTERVAL_S):
                return


def _tree_bytes(process: psutil.Process) -> int:
    return sum(_own_bytes(p) for p in (process, *process.children(recursive=True)))


def _own_bytes(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0  # it ended between the listing and the look
