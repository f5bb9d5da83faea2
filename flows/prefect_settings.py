"""Prefect as gristmill runs it: no server needed, quiet, nothing sent anywhere, unless the user set it up."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.local_blobs import full_disk, out_of_space

if TYPE_CHECKING:
    from collections.abc import Iterator

# The temporary server migrates its database on first use; on two slow cores that takes over the default 20 s.
_STARTUP_TIMEOUT_S: Final = 90
_MARK: Final = (
    "GRISTMILL_PREFECT_SERVER_OF"  # in the environment of the server, whenever it may come up
)
_NEEDED_BYTES: Final = 16 << 20  # its database and logs take 6 MB
_GUARD: Final = """
import contextlib, sys, time
sys.stdin.read()
import psutil
for _ in range(10):  # one that was just forked does not have its environment yet
    for process in psutil.process_iter(["cmdline", "environ"]):
        mark = (process.info["environ"] or {}).get(sys.argv[1])
        if mark == sys.argv[2] and "uvicorn" in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
    time.sleep(0.5)
"""
_GUARDS: Final[list[subprocess.Popen[bytes]]] = []  # held, so that their pipes stay open


@contextmanager
def prefect_settings() -> Iterator[None]:
    """Settings for the flows called inside. What stands in the environment or a profile wins."""
    from prefect import settings
    from prefect.settings import temporary_settings

    home = prefect_home()
    make_room(home)
    defaults = {
        settings.PREFECT_HOME: home,
        settings.PREFECT_SERVER_ANALYTICS_ENABLED: False,
        settings.PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: _STARTUP_TIMEOUT_S,
    }
    updates = {key: value for key, value in defaults.items() if key.name not in os.environ}
    if not {"PREFECT_LOGGING_LEVEL", "PREFECT_API_URL"} & os.environ.keys():
        # An error is told once, by the command line; Prefect would print its traceback first, for each flow and task.
        logging.getLogger("prefect").setLevel(logging.CRITICAL)
    with temporary_settings(set_defaults=updates):
        if not settings.PREFECT_API_URL.value():
            _start_server()
        yield


def prefect_home() -> Path:
    """Where Prefect has its database, unless the environment or a profile says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gristmill" / "prefect"


def make_room(home: Path) -> None:
    """Make the folder. Without space in it Prefect would say, after a minute and a half, that it timed out.

    Raises:
        LakeError: There is no space.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)  # Prefect makes only the last folder
    except OSError as error:
        if out_of_space(error):
            raise full_disk(f"Prefect, {home}", error) from error
        raise
    free = shutil.disk_usage(home).free
    if free < _NEEDED_BYTES:
        raise full_disk(f"Prefect, {home}", OSError(f"{free} of {_NEEDED_BYTES} bytes are free"))


def _start_server() -> None:
    """Start the temporary server that Prefect would start at the first flow, and see that it ends with this process.

    Prefect stops it at exit, which a driver that is killed never comes to. So a process that does nothing waits for
    the end of a pipe that only the driver holds, and then ends the server, which may not even have been up by then.
    """
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    if server.running:
        return
    mark = secrets.token_hex(16)
    os.environ[_MARK] = mark
    command = [sys.executable, "-c", _GUARD, _MARK, mark]
    _GUARDS.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
    server.start()
