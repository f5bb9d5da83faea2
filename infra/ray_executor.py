"""The executor on Ray, on a laptop or a cluster. Ray itself is imported when the first session opens."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from infra.executor import check_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from infra.ray_session import RaySession
    from schemas.engine import StageSpec

OBJECT_STORE_BYTES: Final = 1 << 30
SCHEDULE_TIMEOUT_S: Final = 60.0
_ROOT: Final = Path(__file__).resolve().parent.parent


class RayExecutor:
    """Runs stages in Ray actors.

    A running Ray of this process, or the cluster that ``RAY_ADDRESS`` names, is used as it is; otherwise a local
    one is started with the first session and ended with the last. As a context manager it keeps Ray in between.

    Args:
        cpus: Logical CPUs of a local Ray; None for those this process may use.
        gpus: Logical GPUs of a local Ray; None lets Ray detect them.
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
        self._connected = False
        self._temp_dir: str | None = None

    def open(self, specs: Sequence[StageSpec]) -> RaySession:
        """A session over these stages; their actors start with their first item.

        Raises:
            ConfigError: A spec is not possible.
        """
        check_specs(specs)
        self._acquire()
        from infra.ray_session import RaySession

        return RaySession(specs, self._schedule_timeout_s, self._release)

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
        self._users += 1
        if self._users == 1:
            self._start()

    def _release(self) -> None:
        self._users -= 1
        if self._users == 0 and self._connected:
            self._stop()

    def _start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if ray.is_initialized():
            return
        settings: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if not os.environ.get("RAY_ADDRESS"):
            settings |= self._local_settings()
        _silence(ray)
        with _signals_kept():
            ray.init(job_config=ray.job_config.JobConfig(code_search_path=[str(_ROOT)]), **settings)
        self._connected = True

    def _local_settings(self) -> dict[str, Any]:
        # A directory of its own with a short name: socket paths are limited to 107 bytes, and nothing is left behind.
        base = "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - mkdtemp makes it private
        self._temp_dir = tempfile.mkdtemp(prefix="gristmill-", dir=base)
        return {
            "num_cpus": self._cpus or len(os.sched_getaffinity(0)),
            "num_gpus": self._gpus,
            "include_dashboard": False,
            "object_store_memory": self._object_store_bytes,
            "_temp_dir": self._temp_dir,
            "_system_config": {
                # What a dead worker leaves running (ffmpeg) is ended by the raylet.
                "kill_child_processes_on_worker_exit_with_raylet_subreaper": True,
            },
        }

    def _stop(self) -> None:
        import ray

        self._connected = False
        with _signals_kept():
            ray.shutdown()
        if self._temp_dir is not None:
            shutil.rmtree(self._temp_dir, ignore_errors=True)
            self._temp_dir = None


def _silence(ray: Any) -> None:
    """Keep Ray off stdout: a dead worker is an outcome here, and stdout may be carrying one JSON document."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray._private.worker._worker_logs_enabled = False


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray installs a SIGTERM handler of its own; the host's stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
