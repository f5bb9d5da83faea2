"""One worker process as the driver sees it, from its request to its end."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil
import ray
from ray.exceptions import RayError
from ray.experimental import internal_kv

from infra.ray_arrays import Block, RayArrays
from infra.ray_worker import OOM_MARK, Pick, Ready, StageWorker, Where, private_bytes

if TYPE_CHECKING:
    from infra.executor import Item
    from schemas.engine import Resources, StageSpec


def worker_class(needs: Resources) -> Any:
    """The remote class of a pool: dead actors stay dead, since only the driver knows what they were doing."""
    return ray.remote(StageWorker).options(
        num_cpus=needs.cpus,
        num_gpus=needs.gpus,
        max_restarts=0,
        max_task_retries=0,
        enable_task_events=False,
    )


@dataclass(slots=True)
class Call:
    """Items on an actor.

    Attributes:
        started_s: When it began to run, None while it waits behind another.
        isolated: Nothing may be sent behind it.
    """

    items: list[Item]
    reply: ray.ObjectRef
    arrays: ray.ObjectRef
    started_s: float | None
    isolated: bool


@dataclass(slots=True, eq=False)
class Actor:
    """A worker process.

    Attributes:
        stage: Its name, which the process shows while it works: ``ray::decode``.
        handle: Ray's.
        requested_s: When it was asked for; all times are of `time.perf_counter`.
        where: Known once Ray has placed it.
        process: Of an actor on the driver's node.
        ready: Known once its stage is set up.
        calls: The running one first.
        given: Items it was given so far.
        leaving_ref: Its teardown, once it was asked to leave.
    """

    stage: str
    handle: Any
    requested_s: float
    where_ref: ray.ObjectRef
    ready_ref: ray.ObjectRef
    where: Where | None = None
    process: psutil.Process | None = None
    ready: Ready | None = None
    ready_s: float = 0.0
    idle_since_s: float = 0.0
    calls: deque[Call] = field(default_factory=deque)
    given: int = 0
    times_over: int = 0
    leaving_ref: ray.ObjectRef | None = None
    leaving_s: float = 0.0

    @classmethod
    def start(cls, worker: Any, spec: StageSpec, now_s: float) -> Actor:
        """Ask Ray for one; returns at once."""
        handle = worker.remote(spec.resources.threads, spec.resources.memory_bytes)
        where = handle.where.options(name=spec.name).remote()
        ready = handle.setup.options(name=spec.name).remote(spec.factory)
        return cls(spec.name, handle, now_s, where, ready)

    def refs(self) -> list[ray.ObjectRef]:
        """What there is to wait for, in the order in which it will come."""
        if self.leaving_ref is not None:
            return [self.leaving_ref]
        if self.where is None:
            return [self.where_ref]
        if self.ready is None:
            return [self.ready_ref]
        return [call.reply for call in self.calls]

    def placed(self, where: Where) -> None:
        """Ray has found a place for it."""
        self.where = where
        if where.node_id == ray.get_runtime_context().get_node_id():
            with suppress(psutil.Error):  # gone already: the ready_ref will tell
                self.process = psutil.Process(where.pid)

    def give(self, items: list[Item], now_s: float, *, isolated: bool = False) -> None:
        """Send a call; arrays go as references, each object once however many items use it."""
        blocks: dict[Block, int] = {}
        work: list[tuple[Any, Pick | None]] = []
        for item in items:
            pick = None
            if isinstance(item.arrays, RayArrays):
                number = blocks.setdefault(item.arrays.block, len(blocks))
                pick = Pick(number, item.arrays.answer, item.arrays.index)
            work.append((item.value, pick))
        method = self.handle.call.options(num_returns=2, name=self.stage)
        reply, arrays = method.remote(work, *[block.ref for block in blocks])
        self.calls.append(Call(items, reply, arrays, None if self.calls else now_s, isolated))
        self.given += len(items)

    def finish(self, now_s: float) -> Call:
        """The running call is over; the one behind it runs from now on."""
        call = self.calls.popleft()
        self.idle_since_s = now_s
        if self.calls:
            self.calls[0].started_s = now_s
        return call

    def running_s(self, now_s: float) -> float:
        """Seconds that its running call has been running."""
        started_s = self.calls[0].started_s if self.calls else None
        return 0.0 if started_s is None else now_s - started_s

    def leave(self, now_s: float) -> None:
        """Ask it to tear down its stage."""
        self.leaving_ref = self.handle.teardown.remote()
        self.leaving_s = now_s

    def held_bytes(self) -> int:
        """Private memory beyond what it had after setup; 0 if that cannot be known."""
        if self.ready is None or self.process is None:
            return 0
        with suppress(psutil.Error):
            return private_bytes(self.process.pid) - self.ready.private_bytes
        return 0

    def left_oom_mark(self) -> bool:
        """Whether its guard ended it for its memory."""
        key = OOM_MARK + self.handle._actor_id.hex().encode()
        marked = internal_kv._internal_kv_get(key) is not None
        if marked:
            internal_kv._internal_kv_del(key)
        return marked

    def end(self) -> float:
        """End the process and, on this node, whatever it started; gives the seconds that it was up."""
        children: list[psutil.Process] = []
        with suppress(psutil.Error):
            children = self.process.children(recursive=True) if self.process else []
        with suppress(RayError, ValueError):
            ray.kill(self.handle, no_restart=True)
        for process in [self.process, *children]:
            with suppress(psutil.Error):
                if process is not None:
                    process.kill()
        return 0.0 if self.ready is None else time.perf_counter() - self.ready_s
