"""A pool of equal Ray actors for one stage.

An actor has at most one call running and, while calls are short, one more queued behind it, so that it need not
wait for the driver. Actors answer in order: the first call without an answer is the one that runs, and when the
actor dies it is the suspect. Suspects are tried again in isolation (see infra/executor.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import OutOfMemoryError as RayOutOfMemoryError
from ray.exceptions import RayActorError, RayError, RayTaskError

from infra.executor import Result, StageQueue
from infra.ray_actor import Actor, worker_class
from infra.ray_arrays import Block, RayArrays
from infra.ray_aside import aside
from infra.ray_worker import Ready, Reply, Where
from schemas.engine import Answer, Failure, StageStats
from schemas.errors import (
    ConfigError,
    CrashError,
    GristmillError,
    OutOfMemoryError,
    TimeoutExceededError,
)

if TYPE_CHECKING:
    from collections import deque

    import psutil

    from infra.executor import ByteAccount
    from schemas.engine import Outcome, StageSpec

MAX_SETUP_DEATHS: Final = 3
PIPELINED_BELOW_S: Final = (
    1.0  # a longer call dwarfs the driver's gap, and must not hold up another
)
MEMORY_PERIOD_S: Final = 0.1
TEARDOWN_S: Final = 5.0
_MIB: Final = 1 << 20


class RayPool:
    """The actors of one stage and the items they work on.

    Args:
        spec: The stage.
        outcomes: Where outcomes go.
        account: Where bytes of arrays are counted.
        schedule_timeout_s: How long Ray may take to place the first actor.
    """

    def __init__(
        self,
        spec: StageSpec,
        outcomes: deque[Outcome],
        account: ByteAccount,
        schedule_timeout_s: float,
    ) -> None:
        self.spec = spec
        self.queue = StageQueue(spec, outcomes)
        self.actors: list[Actor] = []
        self._worker = worker_class(spec.resources)
        self._account = account
        self._schedule_timeout_s = schedule_timeout_s
        self._setup_deaths = 0
        self._mean_call_s: float | None = None
        self._up_s = 0.0
        self._memory_checked_s = 0.0

    # What the session calls, in the order of one turn of its loop.

    def refs(self) -> list[ray.ObjectRef]:
        """Everything to wait for: at most two references an actor."""
        return [ref for actor in self.actors for ref in actor.refs()]

    def collect(self, ready: set[ray.ObjectRef]) -> None:
        """Take in what came."""
        for actor in list(self.actors):
            for ref in actor.refs():
                if ref not in ready or not self._take_in(actor, ref):
                    break

    def police(self, now_s: float) -> None:
        """End actors that ran past a deadline or a memory limit; complain of a pool that never came."""
        for actor in list(self.actors):
            if actor.leaving_ref is not None and now_s > actor.leaving_s + TEARDOWN_S:
                self._remove(actor)
            elif actor.calls and actor.running_s(now_s) > self._limit_s(actor):
                self._lose(actor, self._timeout(), now_s)
        if self.spec.resources.memory_bytes and now_s > self._memory_checked_s + MEMORY_PERIOD_S:
            self._memory_checked_s = now_s
            self._check_memory(now_s)
        if self.actors and all(actor.where is None for actor in self.actors):
            self._check_placement(now_s)

    def dispatch(self, now_s: float) -> None:
        """Start actors that are missing and give calls to those that can take one.

        No more of them than there are calls: each loads what its stage needs, which takes processors from the others.
        """
        self._retire(now_s)
        if self.queue.pending:
            busy = sum(bool(actor.calls) for actor in self.actors)
            wanted = min(self.spec.actors, busy + self.queue.grouper.calls)
            missing = wanted - sum(not self._worn(actor) for actor in self.actors)
            self.actors.extend(Actor.start(self._worker, self.spec, now_s) for _ in range(missing))
        able = [a for a in self.actors if a.ready and not a.leaving_ref and not self._spent(a)]
        for actor in able:
            if not actor.calls:
                self._give_first(actor, now_s)
        if self._mean_call_s is None or self._mean_call_s > PIPELINED_BELOW_S:
            return
        for actor in able:
            if not self.queue.grouper.ready:
                break
            if self._takes_second(actor, now_s):
                actor.give(self.queue.take(now_s, now_s), now_s)

    def _takes_second(self, actor: Actor, now_s: float) -> bool:
        alone = len(actor.calls) == 1 and not actor.calls[0].isolated
        return alone and actor.running_s(now_s) < PIPELINED_BELOW_S and not self._spent(actor)

    def _give_first(self, actor: Actor, now_s: float) -> None:
        suspects = self.queue.take_suspects()
        items = suspects or self.queue.take(now_s, actor.idle_since_s)
        if items:
            actor.give(items, now_s, isolated=bool(suspects))

    def due_in(self, now_s: float) -> float:
        """Seconds until this pool needs a turn even if nothing comes in."""
        due_s = min((self._due_in(actor, now_s) for actor in self.actors), default=60.0)
        if self.spec.resources.memory_bytes and any(actor.calls for actor in self.actors):
            due_s = min(due_s, MEMORY_PERIOD_S)
        return max(0.0, due_s)

    def stats(self, now_s: float) -> StageStats:
        """The statistics so far; a running call counts as busy up to now."""
        stats = self.queue.snapshot()
        stats.busy_s += sum(actor.running_s(now_s) for actor in self.actors)
        up_s = sum(now_s - actor.ready_s for actor in self.actors if actor.ready is not None)
        stats.wait_s = max(0.0, self._up_s + up_s - stats.busy_s)
        return stats

    def close(self, *, graceful: bool) -> list[psutil.Process]:
        """End all actors; gives the local processes, which may take a moment to be gone."""
        if graceful:
            idle = [actor for actor in self.actors if actor.ready is not None and not actor.calls]
            refs = [actor.leaving_ref or actor.handle.teardown.remote() for actor in idle]
            if refs:
                aside(ray.wait, refs, num_returns=len(refs), timeout=TEARDOWN_S)
        processes = [actor.process for actor in self.actors if actor.process is not None]
        for actor in list(self.actors):
            self._remove(actor)
        return processes

    # Coming and going of actors.

    def _worn(self, actor: Actor) -> bool:
        """So near its number of items that its replacement should start."""
        limit = self.spec.recycle_after_items
        ahead = min(max(2 * self.spec.batching.max_items, limit // 20), limit // 2)
        return bool(limit) and actor.given >= limit - ahead

    def _spent(self, actor: Actor) -> bool:
        return bool(self.spec.recycle_after_items) and actor.given >= self.spec.recycle_after_items

    def _retire(self, now_s: float) -> None:
        for actor in self.actors:
            if self._spent(actor) and not actor.calls and actor.leaving_ref is None:
                actor.leave(now_s)
                self.queue.stats.restarts += 1

    def _remove(self, actor: Actor) -> None:
        self.actors.remove(actor)
        self._up_s += actor.end()

    def _lose(self, actor: Actor, failure: Failure, now_s: float) -> None:
        """The actor died, or must: the running call is suspect, one behind it is not."""
        seconds = actor.running_s(now_s)
        self._remove(actor)
        self.queue.stats.restarts += 1
        running, *behind = actor.calls
        for call in behind:
            self.queue.give_back(call.items)
        self.queue.died(running.items, failure, seconds)

    def _check_memory(self, now_s: float) -> None:
        """A second look from outside, for a stage that holds the GIL and so its own guard."""
        for actor in [actor for actor in self.actors if actor.calls]:
            over = actor.held_bytes() > self.spec.resources.memory_bytes
            actor.times_over = actor.times_over + 1 if over else 0
            if actor.times_over > 1:
                self._lose(actor, self._oom(), now_s)

    def _check_placement(self, now_s: float) -> None:
        waited_s = now_s - min(actor.requested_s for actor in self.actors)
        if waited_s > self._schedule_timeout_s:
            needs = self.spec.resources
            raise ConfigError(
                f"stage '{self.spec.name}' cannot start: an actor needs {needs.cpus:g} CPUs and"
                f" {needs.gpus:g} GPUs; of {_amounts(ray.cluster_resources())} there are"
                f" {_amounts(ray.available_resources())} free after {waited_s:.0f} s."
                " Lower what the stages declare together, or add nodes"
            )

    # Calls.

    def _take_in(self, actor: Actor, ref: ray.ObjectRef) -> bool:
        """Take in one reference; False if there is nothing more to take from this actor."""
        try:
            value = aside(ray.get, ref)
        except (RayActorError, RayOutOfMemoryError) as error:
            self._died(actor, error)
            return False
        except RayError as error:
            # The call itself went wrong, not the stage: an answer that cannot travel, arrays that were lost.
            lost = not isinstance(error, RayTaskError)
            value = Reply(failure=Failure(GristmillError.code, _last_line(error), retryable=lost))
        self._arrived(actor, value)
        return actor in self.actors

    def _arrived(self, actor: Actor, value: Any) -> None:
        now_s = time.perf_counter()
        if actor.leaving_ref is not None:
            self._remove(actor)
        elif isinstance(value, Where):
            actor.placed(value)
        elif isinstance(value, Ready):
            actor.ready, actor.ready_s, actor.idle_since_s = value, now_s, now_s
            self._setup_deaths = 0
            self.queue.stats.setup_s += value.seconds
        elif isinstance(value, Reply) and actor.calls:
            self._answered(actor, value, now_s)
        else:
            failure = value.failure if isinstance(value, Reply) else value
            raise ConfigError(f"stage '{self.spec.name}' cannot start: {_reason(failure)}")

    def _answered(self, actor: Actor, reply: Reply, now_s: float) -> None:
        call = actor.finish(now_s)
        mean_s = reply.seconds if self._mean_call_s is None else self._mean_call_s
        self._mean_call_s = 0.8 * mean_s + 0.2 * reply.seconds
        sizes = [() if isinstance(a, Failure) else a[1] for a in reply.answers]
        block = Block(call.arrays, sizes, self._account) if any(sizes) else None

        def arrays_of(index: int) -> RayArrays | None:
            return RayArrays(block, index) if block is not None and sizes[index] else None

        answers = [a if isinstance(a, Failure) else Answer(a[0]) for a in reply.answers]
        self.queue.settle(call.items, Result(answers, reply.failure, reply.seconds), arrays_of)

    def _died(self, actor: Actor, error: Exception) -> None:
        if actor.calls:
            failure = self._oom() if actor.left_oom_mark() else _crash(error)
            self._lose(actor, failure, time.perf_counter())
            return
        self._remove(actor)
        if actor.leaving_ref is not None:
            return
        self.queue.stats.restarts += 1
        self._setup_deaths += 1
        if self._setup_deaths >= MAX_SETUP_DEATHS:
            raise ConfigError(
                f"stage '{self.spec.name}' cannot start: its process died {self._setup_deaths} times"
                f" in setup; the last time: {_cause(error)}"
            )

    def _limit_s(self, actor: Actor) -> float:
        return len(actor.calls[0].items) * self.spec.timeout_s

    def _due_in(self, actor: Actor, now_s: float) -> float:
        if actor.leaving_ref is not None:
            return actor.leaving_s + TEARDOWN_S - now_s
        if actor.calls:
            return self._limit_s(actor) - actor.running_s(now_s)
        if actor.ready is not None:
            due_s = self.queue.grouper.due_in(now_s, actor.idle_since_s)
            return 60.0 if due_s is None else due_s
        return 1.0

    def _timeout(self) -> Failure:
        reason = (
            f"it ran past its deadline of {self.spec.timeout_s:g} s in stage '{self.spec.name}'"
        )
        return Failure(TimeoutExceededError.code, reason, TimeoutExceededError.retryable)

    def _oom(self) -> Failure:
        limit_mib = self.spec.resources.memory_bytes / _MIB
        reason = f"it ran past its limit of {limit_mib:.0f} MiB in stage '{self.spec.name}'"
        return Failure(OutOfMemoryError.code, reason, OutOfMemoryError.retryable)


def _reason(failure: Failure | None) -> str:
    return "unknown" if failure is None else failure.reason


def _crash(error: Exception) -> Failure:
    if isinstance(error, RayOutOfMemoryError):
        reason = "Ray ended its process: its machine was running out of memory"
        return Failure(OutOfMemoryError.code, reason, OutOfMemoryError.retryable)
    reason = f"its process died: {_cause(error)}"
    return Failure(CrashError.code, reason, CrashError.retryable)


def _cause(error: Exception) -> str:
    """The part of Ray's page-long message that says something."""
    detail = str(error).rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    lines = detail.strip().splitlines() or [type(error).__name__]
    return lines[0][:300]


def _last_line(error: Exception) -> str:
    """A traceback's last line is the exception."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip()[:300]


def _amounts(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
