"""Starting and ending a Ray of our own, without traces in the host process.

Three things are easy to get wrong here, and each was seen to go wrong:

- The processes that `ray.init` starts are tied to the *thread* that called it (PR_SET_PDEATHSIG) and are killed when
  it ends. So a thread of ours holds Ray, and sessions may come from any thread.
- `ray.init` on the main thread replaces the SIGTERM handler. That thread is not the main thread.
- Ray reports every dead worker on stdout. Here a dead worker is an outcome, and stdout may carry a JSON document.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ray

if TYPE_CHECKING:
    from io import FileIO

_ROOT: Final = Path(__file__).resolve().parent.parent
_PREFIX: Final = "gristmill-ray-"
_LOCK: Final = "owner.lock"


class RayRuntime:
    """A Ray that was started, or a cluster that was connected to, and that is left again.

    Args:
        settings: For `ray.init`, beyond those that are always the same.
        temp_dir: To be removed in the end; None when connecting.
    """

    def __init__(self, settings: dict[str, Any], temp_dir: TempDir | None) -> None:
        self._settings = settings
        self.is_local = temp_dir is not None
        self._temp_dir = temp_dir
        self._started: Future[None] = Future()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="gristmill-ray", daemon=True)

    @classmethod
    def local(cls, cpus: int | None, gpus: int | None, object_store_bytes: int) -> RayRuntime:
        """A Ray for this process alone."""
        temp_dir = TempDir()
        settings = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "include_dashboard": False,
            "object_store_memory": object_store_bytes,
            "_temp_dir": str(temp_dir.path),
            # Workers import our packages from where this process has them, installed or not.
            "job_config": ray.job_config.JobConfig(code_search_path=[str(_ROOT)]),
            # What a dead worker leaves running (ffmpeg) is ended by the raylet. Its other way, as a subreaper, makes
            # every process of Ray ignore SIGCHLD: each child then seems to have ended with 0, whatever happened to it.
            "_system_config": {"process_group_cleanup_enabled": True},
        }
        return cls(settings, temp_dir)

    @classmethod
    def cluster(cls) -> RayRuntime:
        """The cluster that ``RAY_ADDRESS`` names; gristmill is installed on its nodes."""
        return cls({}, None)

    def start(self) -> None:
        """Start or connect; returns when Ray can be used."""
        logging.getLogger("ray").setLevel(logging.ERROR)
        ray._private.worker._worker_logs_enabled = False
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self.stop()  # also after Ctrl-C: what has begun to start must not stay
            raise

    def stop(self) -> None:
        """End what was started, or leave the cluster; returns when it is done."""
        self._stop.set()
        self._thread.join()
        if self._temp_dir is not None:
            self._temp_dir.remove()

    def _hold(self) -> None:
        try:
            ray.init(log_to_driver=False, configure_logging=False, **self._settings)
        except BaseException as error:  # noqa: BLE001 - raised again where start() waits
            self._started.set_exception(error)
        else:
            self._started.set_result(None)
        self._stop.wait()
        ray.shutdown()


class TempDir:
    """Ray's sockets and logs: a directory with a short name, since socket paths are limited to 107 bytes.

    The owner holds a lock on it, so that what a killed process left behind is known for that and removed by the next.
    """

    def __init__(self) -> None:
        base = Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108 - mkdtemp is private
        for left in base.glob(f"{_PREFIX}*/{_LOCK}"):
            _remove_if_unlocked(left)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        new = self.path / "new.lock"
        self._lock: FileIO = new.open("wb", buffering=0)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        new.rename(self.path / _LOCK)  # seen by others only once it is locked

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _remove_if_unlocked(lock: Path) -> None:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return  # in use, or another user's
    shutil.rmtree(lock.parent, ignore_errors=True)
