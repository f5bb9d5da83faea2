"""A stage that fails on purpose, for chaos tests. It ships, since workers cannot import test modules."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from schemas.engine import Answer, Failure, Task
from schemas.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Mode = Literal[
    "ok", "reject", "raise", "corrupt", "memory_error", "exit", "abort", "kill", "hang", "child", "memory",
    "memory_gil", "slow", "arrays", "sum", "read_only", "short", "unpicklable", "environment", "status",
]  # fmt: skip
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """What `FaultStage` shall do with an item.

    Attributes:
        mode: What to do.

            - ``ok`` answers the payload, ``sum`` the sums of the item's arrays, ``read_only`` whether they cannot be
              written, ``environment`` the variable named by the payload, ``status`` the exit status of a process that
              ended with `amount`, ``arrays`` comes with `amount` arrays
            - ``reject`` answers a failure; ``raise`` raises a ValueError, ``corrupt`` a CorruptError of page 3,
              ``memory_error`` a MemoryError
            - ``exit``, ``abort`` and ``kill`` end the process
            - ``hang`` sleeps for an hour; ``child`` starts a process that does, and then hangs; ``slow`` takes
              `amount` seconds
            - ``memory`` takes `amount` bytes and holds them; ``memory_gil`` does so and lets no other thread run
            - ``short`` forgets an answer; ``unpicklable`` answers what cannot travel
        payload: Travels along.
        amount: Seconds, bytes or arrays, as the mode says.
    """

    mode: Mode = "ok"
    payload: Any = None
    amount: float = 0.0


class FaultStage:
    """Does to the letter what each item asks for. Values are `Fault`; answers are ``(payload, pid, tasks in call)``.

    Args:
        setup_s: Seconds that setup takes.
        setup_mode: ``raise`` and ``kill`` make setup fail.
    """

    def __init__(self, setup_s: float = 0.0, setup_mode: Mode = "ok") -> None:
        self._setup_s = setup_s
        self._setup_mode = setup_mode
        self._held: list[bytearray] = []

    def setup(self) -> None:
        """Take as long, or fail, as asked."""
        time.sleep(self._setup_s)
        if self._setup_mode == "raise":
            raise ValueError("setup was asked to raise")
        if self._setup_mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    def teardown(self) -> None:
        """Let go of the memory."""
        self._held.clear()

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer each task as it asks."""
        answers = [self._one(task, len(tasks)) for task in tasks]
        short = any(task.value.mode == "short" for task in tasks)
        return answers[:-1] if short else answers

    def _one(self, task: Task, together: int) -> Answer | Failure:
        fault: Fault = task.value
        act = _ACTS.get(fault.mode)
        if act is not None:
            act(fault)
        if fault.mode in {"memory", "memory_gil"}:
            self._take(int(fault.amount), alone=fault.mode == "memory_gil")
        if fault.mode == "reject":
            return Failure("empty", f"{fault.payload} was rejected on purpose")
        if fault.mode == "arrays":
            return Answer((fault.payload, os.getpid(), together), make_arrays(fault))
        return Answer((_payload(fault, task), os.getpid(), together))

    def _take(self, nbytes: int, *, alone: bool) -> None:
        if alone:
            # Native code that never gives the GIL back; a second is more than an outside look needs.
            sys.setswitchinterval(3600)
        for _ in range(0, nbytes, _BLOCK_BYTES):
            self._held.append(bytearray(b"x" * _BLOCK_BYTES))
            until_s = time.perf_counter() + 0.02
            while time.perf_counter() < until_s:
                if not alone:
                    time.sleep(0.01)


def make_arrays(fault: Fault) -> tuple[np.ndarray, ...]:
    """The arrays that an item of mode ``arrays`` is answered with: number i is 100,000 float32 of value i + 1."""
    return tuple(np.full(100_000, i + 1, dtype=np.float32) for i in range(int(fault.amount)))


def _payload(fault: Fault, task: Task) -> Any:
    if fault.mode == "sum":
        return [float(array.sum()) for array in task.arrays]
    if fault.mode == "read_only":
        return [not array.flags.writeable for array in task.arrays]
    if fault.mode == "unpicklable":
        return (i for i in range(3))
    if fault.mode == "environment":
        return os.environ.get(fault.payload)
    if fault.mode == "status":
        return subprocess.call([sys.executable, "-c", f"raise SystemExit({int(fault.amount)})"])
    return fault.payload


def _raise(fault: Fault) -> None:
    raise ValueError(f"{fault.payload} was asked to raise")


def _corrupt(fault: Fault) -> None:
    raise CorruptError(f"{fault.payload} is broken on purpose", page=3)


def _memory_error(fault: Fault) -> None:
    raise MemoryError(f"{fault.payload} asked for too much")


def _hang(fault: Fault) -> None:
    del fault
    time.sleep(3600)


def _child(fault: Fault) -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    _hang(fault)


_ACTS: dict[str, Callable[[Fault], None]] = {
    "raise": _raise,
    "corrupt": _corrupt,
    "memory_error": _memory_error,
    "exit": lambda fault: os._exit(int(fault.amount)),
    "abort": lambda _: os.abort(),
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "hang": _hang,
    "child": _child,
    "slow": lambda fault: time.sleep(fault.amount),
}
