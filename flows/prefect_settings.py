"""Prefect as gristmill runs it: no server needed, quiet, nothing sent anywhere, unless the user set it up."""

from __future__ import annotations

import logging
import os
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
_NEEDED_BYTES: Final = 16 << 20  # its database and logs take 6 MB
_GUARD: Final = """
import contextlib, os, signal, sys
sys.stdin.read()
with contextlib.suppress(ProcessLookupError):
    os.kill(int(sys.argv[1]), signal.SIGTERM)
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
    the end of a pipe that only the driver holds, and ends the server then.
    """
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    if server.running:
        return
    server.start()
    if server.server_process is not None:
        command = [sys.executable, "-I", "-S", "-c", _GUARD, str(server.server_process.pid)]
        _GUARDS.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
