"""What runs inside a Ray actor: one stage, its memory guard, and nothing that decides anything.

The module imports nothing heavy, so that thread counts are in the environment before numpy or torch load.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from infra.executor import failure_of, process_call
from schemas.engine import Answer, Failure, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from schemas.engine import Stage

    Blocks = tuple[tuple[np.ndarray, ...], ...]

OOM_EXIT_CODE: Final = 86
OOM_MARK: Final = b"gristmill:oom:"
_GUARD_PERIOD_S: Final = 0.05
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",  # tokenizers
)


@dataclass(frozen=True, slots=True)
class Where:
    """The process of an actor."""

    pid: int
    node_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Setup is done; `private_bytes` is what the process holds from here on."""

    seconds: float
    private_bytes: int


@dataclass(frozen=True, slots=True)
class Pick:
    """Arrays of a task: those of answer `answer` in block `block`, or only number `index` of them."""

    block: int
    answer: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What of a call travels to the driver: values and sizes, no arrays.

    Attributes:
        answers: (value, bytes of each array) or the failure, by task.
        failure: Of the call as a whole; then there are no answers.
        seconds: Compute time.
    """

    answers: list[tuple[Any, tuple[int, ...]] | Failure] = field(default_factory=list)
    failure: Failure | None = None
    seconds: float = 0.0


class StageWorker:
    """The actor. Its methods are called one after the other.

    Args:
        threads: For OpenMP, BLAS and tokenizers.
        memory_bytes: Private memory the process may have beyond what it has after setup; 0 for no limit.
    """

    def __init__(self, threads: int, memory_bytes: int) -> None:
        # The factory comes later, in `setup`: unpickling it may import torch, which reads these once.
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        self._memory_bytes = memory_bytes
        self._stage: Stage | None = None
        self._free_since_s = 0.0

    def where(self) -> Where:
        """Which process this is."""
        import ray

        self._free_since_s = time.perf_counter()
        return Where(os.getpid(), ray.get_runtime_context().get_node_id())

    def setup(self, factory: Callable[[], Stage]) -> Ready | Failure:
        """Make the stage and let it load what it needs; the time includes what unpickling the factory imported."""
        try:
            self._stage = factory()
            self._stage.setup()
        except Exception as error:  # noqa: BLE001 - the driver raises it, as an error of the configuration
            return failure_of(error)
        baseline_bytes = private_bytes(os.getpid())
        if self._memory_bytes:
            limit_bytes = baseline_bytes + self._memory_bytes
            threading.Thread(target=_guard, args=(limit_bytes,), daemon=True).start()
        return Ready(time.perf_counter() - self._free_since_s, baseline_bytes)

    def call(
        self, work: Sequence[tuple[Any, Pick | None]], *blocks: Blocks
    ) -> tuple[Reply, Blocks | None]:
        """Answer one call.

        Args:
            work: Value and arrays of each task.
            blocks: The objects that the picks point into, mapped from shared memory.

        Returns:
            The reply, and the arrays of all answers as one object that belongs to the driver: it outlives the actor.
        """
        if self._stage is None:
            raise RuntimeError("call before setup")
        started_s = time.perf_counter()
        tasks = [Task(value, _picked(pick, blocks)) for value, pick in work]
        answers = process_call(self._stage, tasks)
        seconds = time.perf_counter() - started_s
        if isinstance(answers, Failure):
            return Reply(failure=answers, seconds=seconds), None
        arrays = tuple(a.arrays if isinstance(a, Answer) else () for a in answers)
        return Reply([_light(a) for a in answers], seconds=seconds), arrays if any(arrays) else None

    def teardown(self) -> None:
        """Give back what setup took."""
        if self._stage is not None:
            self._stage.teardown()
            self._stage = None


def private_bytes(pid: int) -> int:
    """Resident memory that is the process's own: neither mapped files nor Ray's shared arrays.

    Raises:
        psutil.NoSuchProcess: It is gone.
    """
    import psutil

    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _picked(pick: Pick | None, blocks: Sequence[Blocks]) -> tuple[np.ndarray, ...]:
    if pick is None:
        return ()
    arrays = blocks[pick.block][pick.answer]
    chosen = arrays if pick.index is None else (arrays[pick.index],)
    for array in chosen:
        array.flags.writeable = False  # small objects travel inline and may arrive writeable
    return chosen


def _light(answer: Answer | Failure) -> tuple[Any, tuple[int, ...]] | Failure:
    if isinstance(answer, Failure):
        return answer
    return answer.value, tuple(array.nbytes for array in answer.arrays)


def _guard(limit_bytes: int) -> None:
    """End the process, leaving a mark, once it holds more than `limit_bytes`."""
    while private_bytes(os.getpid()) <= limit_bytes:
        time.sleep(_GUARD_PERIOD_S)
    import ray
    from ray.experimental import internal_kv

    actor_id = ray.get_runtime_context().get_actor_id()
    internal_kv._internal_kv_put(OOM_MARK + str(actor_id).encode(), b"1")
    os._exit(OOM_EXIT_CODE)
