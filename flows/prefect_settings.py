"""Prefect as gristmill runs it: no server needed, quiet, nothing sent anywhere, unless the user set it up."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# The temporary server migrates its database on first use; on two slow cores that takes over the default 20 s.
_STARTUP_TIMEOUT_S: Final = 90


@contextmanager
def prefect_settings() -> Iterator[None]:
    """Settings for the flows called inside. What stands in the environment or a profile wins."""
    from prefect import settings
    from prefect.settings import temporary_settings

    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gristmill" / "prefect"
    home.mkdir(parents=True, exist_ok=True)  # Prefect makes only the last folder
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
        yield
