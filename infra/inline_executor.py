"""The executor without processes: everything runs inside `poll`, for unit tests and for profiling.

Grouping, retries, outcomes and statistics are those of the Ray executor. What needs a second process it cannot
do: a stage that crashes takes the caller along, one that hangs blocks it, and no memory limit is held.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from infra.executor import ByteAccount, Item, Result, StageQueue, check_specs, process_call
from schemas.engine import Answer, Task
from schemas.errors import ConfigError, GristmillError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import numpy as np

    from schemas.engine import Arrays, Outcome, Stage, StageSpec, StageStats


class InlineExecutor:
    """Runs stages in this process, one call at a time."""

    def open(self, specs: Sequence[StageSpec]) -> InlineSession:
        """A session over these stages; a stage is made and set up at its first item.

        Raises:
            ConfigError: A spec is not possible.
        """
        check_specs(specs)
        return InlineSession(specs)


class _Block:
    """Arrays of one answer, or of one `put`."""

    def __init__(self, arrays: Sequence[np.ndarray], account: ByteAccount) -> None:
        self.arrays = tuple(read_only(array) for array in arrays)
        nbytes = sum(array.nbytes for array in self.arrays)
        account.hold(nbytes)
        weakref.finalize(self, account.release, nbytes).atexit = False


class InlineArrays:
    """Handle to arrays of this process."""

    __slots__ = ("_block", "_index")

    def __init__(self, block: _Block, index: int | None = None) -> None:
        self._block = block
        self._index = index

    @property
    def count(self) -> int:
        """Number of arrays."""
        return len(self.arrays)

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays, read-only."""
        whole = self._block.arrays
        return whole if self._index is None else (whole[self._index],)

    def pick(self, index: int) -> InlineArrays:
        """A handle to one of them.

        Raises:
            IndexError: There is no such array.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"array {index} of {self.count}")
        return InlineArrays(self._block, index if self._index is None else self._index)


def read_only(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


class _Pool:
    """One stage: its queue and, once there was an item, its one instance."""

    def __init__(self, spec: StageSpec, outcomes: deque[Outcome]) -> None:
        self.queue = StageQueue(spec, outcomes)
        self.idle_since_s = time.perf_counter()
        self._stage: Stage | None = None
        self._answered = 0

    def run(self, items: list[Item], account: ByteAccount) -> None:
        stage = self._started()
        started_s = time.perf_counter()
        given = process_call(stage, [Task(item.value, _arrays(item)) for item in items])
        result = _result(given, time.perf_counter() - started_s)
        self.queue.settle(items, result, lambda i: _held(result.answers[i : i + 1], account))
        self.idle_since_s = time.perf_counter()
        self._answered += len(items)
        limit = self.queue.spec.recycle_after_items
        if limit and self._answered >= limit:
            self.close()
            self.queue.stats.restarts += 1

    def close(self) -> None:
        if self._stage is not None:
            self._stage.teardown()
            self._stage = None

    def _started(self) -> Stage:
        if self._stage is not None:
            self.queue.stats.wait_s += time.perf_counter() - self.idle_since_s
            return self._stage
        started_s = time.perf_counter()
        name = self.queue.spec.name
        try:
            stage = self.queue.spec.factory()
            stage.setup()
        except GristmillError:
            raise
        except Exception as error:
            raise ConfigError(f"stage '{name}' cannot start: {error!r}") from error
        self.queue.stats.setup_s += time.perf_counter() - started_s
        self._stage, self._answered = stage, 0
        return stage


def _arrays(item: Item) -> tuple[np.ndarray, ...]:
    return item.arrays.arrays if isinstance(item.arrays, InlineArrays) else ()


def _result(given: Any, seconds: float) -> Result:
    if isinstance(given, list):
        return Result(answers=given, seconds=seconds)
    return Result(failure=given, seconds=seconds)


def _held(answer: Sequence[Any], account: ByteAccount) -> Arrays | None:
    """A handle to the arrays of one answer (a slice of none or one), None if it brought none."""
    if not answer or not isinstance(answer[0], Answer) or not answer[0].arrays:
        return None
    return InlineArrays(_Block(answer[0].arrays, account))


class InlineSession:
    """Pools of one, in this process."""

    def __init__(self, specs: Sequence[StageSpec]) -> None:
        self._outcomes: deque[Outcome] = deque()
        self._pools = {spec.name: _Pool(spec, self._outcomes) for spec in specs}
        self._account = ByteAccount()

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
        """Queue one item. Items of equal `group` may share a call."""
        item = Item(key, value, arrays, cost, group)
        self._pools[stage].queue.grouper.add(item, time.perf_counter())

    def put(self, arrays: Sequence[np.ndarray]) -> InlineArrays:
        """A handle to arrays of the caller's."""
        return InlineArrays(_Block(arrays, self._account))

    def fetch(self, arrays: Arrays) -> tuple[np.ndarray, ...]:
        """The arrays behind a handle, read-only."""
        if not isinstance(arrays, InlineArrays):
            raise TypeError(f"{type(arrays).__name__} is no handle of this session")
        return arrays.arrays

    def flush(self, stage: str) -> None:
        """Let the stage's partial groups go."""
        self._pools[stage].queue.grouper.flush()

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Run calls, downstream stages first, until there are outcomes or nothing is ready for `timeout_s`."""
        until_s = time.perf_counter() + timeout_s
        while not self._outcomes and self.pending():
            if self._run_one():
                continue
            now_s = time.perf_counter()
            if now_s >= until_s:
                break
            dues = [p.queue.grouper.due_in(now_s, p.idle_since_s) for p in self._pools.values()]
            time.sleep(min(until_s - now_s, *(due for due in dues if due is not None)))
        ready = list(self._outcomes)
        self._outcomes.clear()
        return ready

    def pending(self, stage: str | None = None) -> int:
        """Items submitted without an outcome yet, of one stage or of all."""
        pools = self._pools.values() if stage is None else [self._pools[stage]]
        return sum(pool.queue.pending for pool in pools)

    def bytes_in_flight(self) -> int:
        """Bytes of arrays behind handles that are alive."""
        return self._account.held_bytes

    def stats(self) -> dict[str, StageStats]:
        """Statistics by stage name."""
        return {name: pool.queue.snapshot() for name, pool in self._pools.items()}

    def _run_one(self) -> bool:
        for pool in reversed(self._pools.values()):
            queue = pool.queue
            items = queue.take_suspects() or queue.take(time.perf_counter(), pool.idle_since_s)
            if items:
                pool.run(items, self._account)
                return True
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pool in self._pools.values():
            pool.close()
