"""The executor on Ray, on a laptop or a cluster. Ray itself is imported when the first session opens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

from infra.executor import check_specs
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from infra.ray_runtime import RayRuntime
    from infra.ray_session import RaySession
    from schemas.engine import StageSpec

OBJECT_STORE_BYTES: Final = 1 << 30
SCHEDULE_TIMEOUT_S: Final = 60.0


class RayExecutor:
    """Runs stages in Ray actors.

    A running Ray of this process, or the cluster that ``RAY_ADDRESS`` names, is used as it is; otherwise a local
    one is started with the first session and ended with the last. As a context manager it keeps Ray in between.

    Args:
        cpus: Logical CPUs of a local Ray; None for those of the machine or container.
        gpus: Logical GPUs of a local Ray; None for those of the machine.
        object_store_bytes: Shared memory of a local Ray; what does not fit is spilled to disk.
        schedule_timeout_s: How long a stage waits for its first actor to be placed before it is an error.
    """

    def __init__(
        self,
        *,
        cpus: int | None = None,
        gpus: int | None = None,
        object_store_bytes: int = OBJECT_STORE_BYTES,
        schedule_timeout_s: float = SCHEDULE_TIMEOUT_S,
    ) -> None:
        self._cpus = cpus
        self._gpus = gpus
        self._object_store_bytes = object_store_bytes
        self._schedule_timeout_s = schedule_timeout_s
        self._users = 0
        self._runtime: RayRuntime | None = None

    def open(self, specs: Sequence[StageSpec]) -> RaySession:
        """A session over these stages; their actors start with their first item.

        Raises:
            ConfigError: A spec is not possible, or one actor of it needs more than the local Ray has.
        """
        check_specs(specs)
        self._acquire()
        from infra.ray_session import RaySession

        try:
            self._check_fits(specs)
            return RaySession(specs, self._schedule_timeout_s, self._release)
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        self._acquire()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def _acquire(self) -> None:
        if self._users == 0:
            self._start()
        self._users += 1

    def _release(self) -> None:
        self._users -= 1
        if self._users == 0 and self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            runtime.stop()

    def _check_fits(self, specs: Sequence[StageSpec]) -> None:
        if self._runtime is None or not self._runtime.is_local:
            return  # others' clusters may grow
        import ray

        there = ray.cluster_resources()
        for spec in specs:
            for name, needed in (("CPU", spec.resources.cpus), ("GPU", spec.resources.gpus)):
                if needed > there.get(name, 0):
                    raise ConfigError(
                        f"stage '{spec.name}' cannot start: an actor needs {needed:g} {name}s,"
                        f" there are {there.get(name, 0):g}"
                    )

    def _start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if ray.is_initialized():
            return
        from infra.ray_runtime import RayRuntime

        if os.environ.get("RAY_ADDRESS"):
            runtime = RayRuntime.cluster()
        else:
            runtime = RayRuntime.local(self._cpus, self._gpus, self._object_store_bytes)
        runtime.start()
        self._runtime = runtime
