"""The contract between stages (compute) and executors (where and how it runs).

A stage sees a list of tasks and answers each; it knows nothing of Ray. An executor owns processes, deadlines,
batching and retries, and answers every submitted item with exactly one `Outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import numpy as np

    from schemas.errors import GristmillError


@dataclass(frozen=True, slots=True)
class Task:
    """One item as a stage sees it: a small picklable value, and the big arrays that belong to it (read-only)."""

    value: Any
    arrays: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stage gives for one task. Arrays stay in shared memory; only `value` reaches the driver."""

    value: Any
    arrays: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item has no answer. Never raised: it is a value on its way to the table of rejects."""

    code: str
    reason: str
    retryable: bool = False
    page: int | None = None
    second: float | None = None

    @classmethod
    def of(cls, error: GristmillError) -> Failure:
        """The value that stands for a raised error."""
        return cls(error.code, error.message, error.retryable, error.page, error.second)


class Stage(Protocol):
    """Compute that runs in a worker process. One instance per actor.

    `process` answers task i with `Answer` or `Failure` at i. An exception it lets out concerns the whole call:
    the executor then tries the items one by one, and a GristmillError of a single item becomes its `Failure`.
    """

    def setup(self) -> None:
        """Load what is needed; called once in the worker before the first task."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer every task, in order."""

    def teardown(self) -> None:
        """Give back what setup took."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one actor of a pool needs.

    Attributes:
        cpus: Logical CPUs, fractions allowed.
        gpus: Logical GPUs, fractions allowed; 0 for none.
        memory_bytes: Limit on the resident memory of the process beyond what it holds after setup; 0 for none.
            An actor over it is ended and its item becomes `oom`.
        threads: OMP/BLAS threads the process may use (set in its environment before any import).
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Batching:
    """How items of one group are put together into one call.

    A group is queued when it has `max_items` or its summed cost reaches `max_cost`, when it is flushed, when its first
    item has waited for `max_wait_s`, or when an actor has been idle for `linger_s` with nothing else to do.
    """

    max_items: int = 1
    max_cost: int = 0  # 0: no limit
    linger_s: float = 0.5
    max_wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A pool of equal actors for one stage.

    Attributes:
        name: Stage name in outcomes, statistics and rejects.
        factory: Makes the stage inside the worker; must be picklable (a class or functools.partial of a shipped one).
        resources: Of one actor.
        actors: Number of actors; all are started at once, at the first item of the stage.
        batching: How items are grouped into calls.
        timeout_s: Deadline of one item; a call of n items has n times that.
        recycle_after_items: An actor is replaced after so many items; 0 for never.
    """

    name: str
    factory: Callable[[], Stage]
    resources: Resources = field(default_factory=Resources)
    actors: int = 1
    batching: Batching = field(default_factory=Batching)
    timeout_s: float = 600.0
    recycle_after_items: int = 0


class Arrays(Protocol):
    """Opaque handle to arrays that stayed with the engine: pass it on to `submit`, or let go of it."""

    @property
    def count(self) -> int:
        """Number of arrays."""

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""

    def pick(self, index: int) -> Arrays:
        """A handle to one of them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one answer to one submitted item.

    Attributes:
        stage: Name of the stage.
        key: The key it was submitted with.
        value: The stage's value, None on failure.
        arrays: Handle to its arrays, None if it gave none.
        failure: Set when there is no value.
        attempts: How often it was tried.
        seconds: Compute seconds of its last try (a call's time shared evenly among its items).
    """

    stage: str
    key: str
    value: Any = None
    arrays: Arrays | None = None
    failure: Failure | None = None
    attempts: int = 1
    seconds: float = 0.0


@dataclass(slots=True)
class StageStats:
    """What a pool did so far. `busy_s` and `wait_s` are sums over its actors."""

    items: int = 0
    failures: int = 0
    calls: int = 0
    busy_s: float = 0.0
    wait_s: float = 0.0  # actor was up and had nothing to do
    setup_s: float = 0.0
    restarts: int = 0
    queued: int = 0
    running: int = 0


class Session(Protocol):
    """A running set of pools. Use as a context manager; leaving it ends every actor it started."""

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

    def put(self, arrays: Sequence[np.ndarray]) -> Arrays:
        """Hand arrays of the driver's to the engine once, to be used by any number of items."""

    def fetch(self, arrays: Arrays) -> tuple[np.ndarray, ...]:
        """The arrays behind a handle, read-only, in the driver."""

    def flush(self, stage: str) -> None:
        """Dispatch what waits in the stage's partial groups as soon as an actor is free."""

    def poll(self, timeout_s: float) -> list[Outcome]:
        """Outcomes that are ready; waits up to `timeout_s` for the first one; empty if there was none."""

    def pending(self, stage: str | None = None) -> int:
        """Items submitted without an outcome yet, of one stage or of all."""

    def bytes_in_flight(self) -> int:
        """Bytes of arrays held for items without an outcome and for handles still alive."""

    def stats(self) -> dict[str, StageStats]:
        """Statistics by stage name."""

    def __enter__(self) -> Session: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Executor(Protocol):
    """Where stages run."""

    def open(self, specs: Sequence[StageSpec]) -> Session:
        """A session with one pool per spec."""
