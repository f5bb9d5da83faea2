"""A folder for a moment, as :mod:`infra.sources.scratch` has files for one."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "gristmill-spill-"
_LOCK: Final = "lock"
_ABANDONED_S: Final = 60  # longer than from making a folder to locking it


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the temporary one (``TMPDIR``), only this user's, deleted afterwards.

    A process that is killed cannot delete its folder, which may be big: the next one that makes one does.
    """
    sweep_abandoned()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name) / "files"
        folder.mkdir()
        with (Path(name) / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder


def sweep_abandoned() -> None:
    """Delete such folders of processes that are gone: nobody holds the lock in them any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, another user's, or swept by a neighbour
            if time.time() - folder.stat().st_mtime < _ABANDONED_S:
                continue
            with (folder / _LOCK).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
