"""A session on Ray: its pools, and the loop that feeds them."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

import psutil
import ray

from infra.executor import ByteAccount, Item
from infra.ray_arrays import Block, RayArrays
from infra.ray_aside import aside
from infra.ray_pool import RayPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import numpy as np

    from schemas.engine import Arrays, Outcome, StageSpec, StageStats

EXIT_S = 5.0


class RaySession:
    """Pools of actors, driven by `poll`; leaving it ends every actor.

    Args:
        specs: The stages.
        schedule_timeout_s: How long Ray may take to place the first actor of a pool.
        on_exit: Called when all actors are gone.
    """

    def __init__(
        self,
        specs: Sequence[StageSpec],
        schedule_timeout_s: float,
        on_exit: Callable[[], None],
    ) -> None:
        self._outcomes: deque[Outcome] = deque()
        self._account = ByteAccount()
        self._pools = {
            spec.name: RayPool(spec, self._outcomes, self._account, schedule_timeout_s)
            for spec in specs
        }
        self._on_exit = on_exit

    def submit(
        self,
        stage: str,
        key: str,
        value: Any,
        *,
        arrays: Arrays | None = None,
        cost: int = 1,
        group: str = "",
    ) -> None:
        """Queue one item. Items of equal `group` may share a call, in any order of arrival."""
        item = Item(key, value, arrays, cost, group)
        self._pools[stage].queue.grouper.add(item, time.perf_counter())

    def put(self, arrays: Sequence[np.ndarray]) -> RayArrays:
        """Hand arrays to the object store once, to be used by any number of items."""
        held = tuple(arrays)
        sizes = tuple(array.nbytes for array in held)
        return RayArrays(Block(ray.put((held,)), [sizes], self._account), 0)

    def fetch(self, arrays: Arrays) -> tuple[np.ndarray, ...]:
        """The arrays behind a handle, read-only, mapped from the object store."""
        if not isinstance(arrays, RayArrays):
            raise TypeError(f"{type(arrays).__name__} is no handle of this session")
        found = aside(ray.get, arrays.block.ref)[arrays.answer]
        chosen: tuple[np.ndarray, ...] = found if arrays.index is None else (found[arrays.index],)
        for array in chosen:
            array.flags.writeable = False  # small objects travel inline and may arrive writeable
        return chosen

    def flush(self, stage: str) -> None:
        """Dispatch what waits in the stage's partial groups as soon as an actor is free."""
        self._pools[stage].queue.grouper.flush()
        self._pools[stage].dispatch(time.perf_counter())  # actors load while the caller does else

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes that are ready; waits up to `timeout_s` for the first one.

        Raises:
            ConfigError: A stage cannot start: its setup failed, or its resources cannot be had.
        """
        until_s = time.perf_counter() + timeout_s
        while True:
            self._turn()
            now_s = time.perf_counter()
            if self._outcomes or now_s >= until_s or not self.pending():
                break
            self._wait(min([until_s - now_s, *(p.due_in(now_s) for p in self._pools.values())]))
        ready = list(self._outcomes)
        self._outcomes.clear()
        return ready

    def pending(self, stage: str | None = None) -> int:
        """Items submitted without an outcome yet, of one stage or of all."""
        pools = self._pools.values() if stage is None else [self._pools[stage]]
        return sum(pool.queue.pending for pool in pools)

    def bytes_in_flight(self) -> int:
        """Bytes of arrays behind handles that are alive; items without an outcome hold theirs."""
        return self._account.held_bytes

    def stats(self) -> dict[str, StageStats]:
        """Statistics by stage name."""
        now_s = time.perf_counter()
        return {name: pool.stats(now_s) for name, pool in self._pools.items()}

    def _turn(self) -> None:
        refs = [ref for pool in self._pools.values() for ref in pool.refs()]
        if refs:
            ready = _ready(refs, len(refs), 0)
            for pool in self._pools.values():
                pool.collect(ready)
        now_s = time.perf_counter()
        for pool in self._pools.values():
            pool.police(now_s)
            pool.dispatch(now_s)

    def _wait(self, seconds: float) -> None:
        refs = [ref for pool in self._pools.values() for ref in pool.refs()]
        if refs:
            _ready(refs, 1, seconds)
        else:
            time.sleep(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            ended = [p for pool in self._pools.values() for p in pool.close(graceful=exc is None)]
            psutil.wait_procs(ended, timeout=EXIT_S)
        finally:
            self._on_exit()


def _ready(refs: list[ray.ObjectRef[Any]], count: int, timeout_s: float) -> set[ray.ObjectRef[Any]]:
    """Those of `refs` that are ready, as soon as it is `count` or the time is over."""
    ready, _ = aside(ray.wait, refs, num_returns=count, timeout=timeout_s, fetch_local=False)
    return set(ready)
