"""What every executor shares: grouping items into calls, judging answers, retries, statistics.

The life of an item is the same wherever it runs::

    submit -> group -> call -> outcome
                         |
              suspects <-+  a call of several that failed as a whole: each of its items alone
                         +  a process that died on one item, the first time: that item once more
                         +  a call that was waiting on a process that died: the same call, no attempt counted

Suspects run isolated: nothing waits behind them on their process. When it dies there is no doubt who did it, while
the answer of a call that was just done can get lost with a process that dies in the next.

`StageQueue` holds that life for one stage and knows neither processes nor clocks of its own, so it is tested
without either. An executor takes calls from it, runs them, and says how they went.
"""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.engine import Answer, Failure, Outcome, StageStats
from schemas.errors import ConfigError, CrashError, GristmillError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.engine import Arrays, Batching, Stage, StageSpec, Task

MAX_DEATHS_ALONE: Final = 2
_RETRIED_ALONE: Final = frozenset({CrashError.code, OutOfMemoryError.code})


@dataclass(slots=True)
class Item:
    """One submitted item on its way to its outcome."""

    key: str
    value: Any
    arrays: Arrays | None = None
    cost: int = 1
    group: str = ""
    attempts: int = 0


@dataclass(slots=True)
class _Group:
    """Items of one group that wait for company; `since` is when the first of them came."""

    since: float
    items: list[Item] = field(default_factory=list)
    cost: int = 0
    flushed: bool = False


class Grouper:
    """Puts items of equal group together into calls.

    A group is closed when it has `max_items`, when its cost reaches `max_cost`, or before an item whose cost would
    carry it over `max_cost`; so no call costs more than `max_cost` unless a single item does.
    """

    def __init__(self, batching: Batching) -> None:
        self._batching = batching
        self._open: dict[str, _Group] = {}
        self._ready: deque[list[Item]] = deque()
        self._suspects: deque[list[Item]] = deque()
        self._count = 0

    def __len__(self) -> int:
        """Items waiting."""
        return self._count

    @property
    def calls(self) -> int:
        """Calls that the items waiting make up, partial groups among them."""
        return len(self._ready) + len(self._open) + len(self._suspects)

    @property
    def ready(self) -> int:
        """Calls that may be dispatched at once, however long an actor has been idle."""
        return len(self._ready) + sum(group.flushed for group in self._open.values())

    def add(self, item: Item, now_s: float) -> None:
        """Queue an item with the others of its group."""
        self._count += 1
        limits = self._batching
        waiting = self._open.get(item.group)
        if waiting and limits.max_cost and waiting.cost + item.cost > limits.max_cost:
            self._close(item.group)
            waiting = None
        if waiting is None:
            waiting = self._open[item.group] = _Group(since=now_s)
        waiting.items.append(item)
        waiting.cost += item.cost
        full = len(waiting.items) >= limits.max_items
        if full or (limits.max_cost and waiting.cost >= limits.max_cost):
            self._close(item.group)

    def add_suspects(self, items: list[Item]) -> None:
        """Queue items as one call to be run in isolation."""
        self._count += len(items)
        self._suspects.append(items)

    def flush(self) -> None:
        """Let partial groups go; until they do, they may still grow."""
        for group in self._open.values():
            group.flushed = True

    def take_suspects(self) -> list[Item]:
        """The next call to be run in isolation; empty if there is none."""
        call = self._suspects.popleft() if self._suspects else []
        self._count -= len(call)
        return call

    def take(self, now_s: float, idle_since_s: float) -> list[Item]:
        """The next call for an actor idle since `idle_since_s`; empty if it should go on waiting."""
        self._close_overdue(now_s)
        if not self._ready:
            name = self._partial(now_s, idle_since_s)
            if name is None:
                return []
            self._close(name)
        call = self._ready.popleft()
        self._count -= len(call)
        return call

    def due_in(self, now_s: float, idle_since_s: float) -> float | None:
        """Seconds until `take` would give a partial group; None if there is none."""
        waits = [
            0.0 if group.flushed else self._due_s(group, idle_since_s) - now_s
            for group in self._open.values()
        ]
        return max(0.0, min(waits)) if waits else None

    def _close_overdue(self, now_s: float) -> None:
        """Let groups that seldom fill queue up behind the full ones, or a busy stage would never come to them."""
        limit_s = self._batching.max_wait_s
        for name in [n for n, group in self._open.items() if now_s - group.since >= limit_s]:
            self._close(name)

    def _partial(self, now_s: float, idle_since_s: float) -> str | None:
        """The group that waited longest among those that may go."""
        flushed = [name for name, group in self._open.items() if group.flushed]
        if flushed:
            return flushed[0]
        due = (n for n, group in self._open.items() if self._due_s(group, idle_since_s) <= now_s)
        return next(due, None)

    def _due_s(self, group: _Group, idle_since_s: float) -> float:
        # An actor that was idle long before the item came must still give its group a chance to fill.
        return max(idle_since_s, group.since) + self._batching.linger_s

    def _close(self, name: str) -> None:
        self._ready.append(self._open.pop(name).items)


@dataclass(slots=True)
class Result:
    """What one call gave: an answer for every task, or the failure of the call as a whole."""

    answers: list[Answer | Failure] = field(default_factory=list)
    failure: Failure | None = None
    seconds: float = 0.0


class StageQueue:
    """The items of one stage, from submission to outcome.

    Args:
        spec: The stage.
        outcomes: Where outcomes go, shared by the stages of a session.
    """

    def __init__(self, spec: StageSpec, outcomes: deque[Outcome]) -> None:
        self.spec = spec
        self.stats = StageStats()
        self.grouper = Grouper(spec.batching)
        self._outcomes = outcomes

    @property
    def pending(self) -> int:
        """Items without an outcome."""
        return len(self.grouper) + self.stats.running

    def snapshot(self) -> StageStats:
        """The statistics so far; calls still running are not in `busy_s`."""
        now = self.stats
        return StageStats(
            items=now.items,
            failures=now.failures,
            calls=now.calls,
            busy_s=now.busy_s,
            wait_s=now.wait_s,
            setup_s=now.setup_s,
            restarts=now.restarts,
            queued=len(self.grouper),
            running=now.running,
        )

    def take_suspects(self) -> list[Item]:
        """The next call to be run in isolation, before all others."""
        return self._taken(self.grouper.take_suspects())

    def take(self, now_s: float, idle_since_s: float) -> list[Item]:
        """The next call; its items count as running and as tried until they are settled or given back."""
        return self._taken(self.grouper.take(now_s, idle_since_s))

    def _taken(self, items: list[Item]) -> list[Item]:
        for item in items:
            item.attempts += 1
        self.stats.running += len(items)
        return items

    def give_back(self, items: list[Item]) -> None:
        """A call that, as far as is known, never started: it was no attempt."""
        for item in items:
            item.attempts -= 1
        self.stats.running -= len(items)
        self.grouper.add_suspects(items)

    def settle(
        self,
        items: list[Item],
        result: Result,
        arrays_of: Callable[[int], Arrays | None],
    ) -> None:
        """Take the result of a call; `arrays_of(i)` is the handle to what answer i brought."""
        self._count_call(items, result.seconds)
        if result.failure is not None and len(items) > 1:
            self._one_by_one(items)
            return
        answers = [result.failure] if result.failure is not None else result.answers
        share = result.seconds / len(items)
        for index, (item, answer) in enumerate(zip(items, answers, strict=True)):
            self._answer(item, answer, arrays_of(index), share)

    def died(self, items: list[Item], failure: Failure, seconds: float) -> None:
        """The process died, or was ended, while it worked on this call."""
        self._count_call(items, seconds)
        alone_again = failure.code in _RETRIED_ALONE and items[0].attempts < MAX_DEATHS_ALONE
        if len(items) > 1 or alone_again:
            self._one_by_one(items)
            return
        self._answer(items[0], failure, None, seconds)

    def _count_call(self, items: list[Item], seconds: float) -> None:
        self.stats.calls += 1
        self.stats.busy_s += seconds
        self.stats.running -= len(items)

    def _one_by_one(self, items: list[Item]) -> None:
        for item in items:
            self.grouper.add_suspects([item])

    def _answer(
        self, item: Item, answer: Answer | Failure, arrays: Arrays | None, seconds: float
    ) -> None:
        failure = answer if isinstance(answer, Failure) else None
        self.stats.items += 1
        self.stats.failures += failure is not None
        self._outcomes.append(
            Outcome(
                stage=self.spec.name,
                key=item.key,
                value=answer.value if isinstance(answer, Answer) else None,
                arrays=arrays,
                failure=failure,
                attempts=item.attempts,
                seconds=seconds,
            )
        )


def check_specs(specs: Sequence[StageSpec]) -> None:
    """Refuse specs that cannot work.

    Raises:
        ConfigError: Two stages have one name, or a number is out of range; names the stage and the field.
    """
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{names.count(name)} stages are named '{name}': names must differ")
    for spec in specs:
        at_least = {
            "actors": (spec.actors, 1),
            "batching.max_items": (spec.batching.max_items, 1),
            "batching.max_cost": (spec.batching.max_cost, 0),
            "batching.linger_s": (spec.batching.linger_s, 0),
            "recycle_after_items": (spec.recycle_after_items, 0),
            "resources.cpus": (spec.resources.cpus, 0),
            "resources.gpus": (spec.resources.gpus, 0),
            "resources.memory_bytes": (spec.resources.memory_bytes, 0),
            "resources.threads": (spec.resources.threads, 1),
        }
        for what, (value, least) in at_least.items():
            if value < least:
                raise ConfigError(
                    f"stage '{spec.name}': {what} is {value}, it must be at least {least}"
                )
        if spec.timeout_s <= 0:
            raise ConfigError(f"stage '{spec.name}': timeout_s is {spec.timeout_s}, not positive")


def process_call(stage: Stage, tasks: Sequence[Task]) -> list[Answer | Failure] | Failure:
    """Let a stage answer one call; what it raises becomes the failure of the call."""
    try:
        answers = stage.process(tasks)
    except MemoryError as error:
        return Failure(OutOfMemoryError.code, _reason(error), OutOfMemoryError.retryable)
    except Exception as error:  # noqa: BLE001 - an executor turns whatever a stage raises into a failure
        return failure_of(error)
    return _checked(stage, answers, len(tasks))


def failure_of(error: Exception) -> Failure:
    """An exception of a stage as a value: our own errors know their code, others say where they came from."""
    if isinstance(error, GristmillError):
        return Failure(error.code, error.message, error.retryable, error.page, error.second)
    return Failure(GristmillError.code, _reason(error))


def _reason(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _checked(stage: Stage, answers: Any, count: int) -> list[Answer | Failure] | Failure:
    name = type(stage).__name__
    if not isinstance(answers, list) or len(answers) != count:
        got = len(answers) if isinstance(answers, list) else type(answers).__name__
        return Failure(GristmillError.code, f"{name} answered {got} for {count} tasks: a bug in it")
    for answer in answers:
        if not isinstance(answer, Answer | Failure):
            kind = type(answer).__name__
            return Failure(GristmillError.code, f"{name} answered with a {kind}: a bug in it")
    return answers


class ByteAccount:
    """Bytes of array blocks that are alive. Blocks may die on any thread, at any moment."""

    def __init__(self) -> None:
        self._held_bytes = 0
        self._released: deque[int] = deque()

    def hold(self, nbytes: int) -> None:
        """A block came to life."""
        self._held_bytes += nbytes

    def release(self, nbytes: int) -> None:
        """A block died. Only appends, which is atomic: the collector may call this in the middle of anything."""
        self._released.append(nbytes)

    @property
    def held_bytes(self) -> int:
        """Bytes alive now."""
        while self._released:
            self._held_bytes -= self._released.popleft()
        return self._held_bytes
