"""Files for a moment: what is fetched from an object store lies in one while it is decoded."""

from __future__ import annotations

import fcntl
import tempfile
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "gristmill-object-"
_ABANDONED_S: Final = 60  # longer than from making a file to locking it


@contextmanager
def scratch_file() -> Iterator[tuple[BinaryIO, Path]]:
    """An empty file in the temporary folder (``TMPDIR``), only this user's, deleted afterwards.

    A worker that is killed cannot delete its file: the next process that makes one here does.
    """
    _sweep_once()
    with tempfile.NamedTemporaryFile(prefix=_PREFIX) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield cast("BinaryIO", file), Path(file.name)


def sweep_abandoned() -> None:
    """Delete such files of processes that are gone: nobody holds the lock on them any more."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, another user's, or swept by a neighbour
            if time.time() - path.stat().st_mtime < _ABANDONED_S:
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@cache
def _sweep_once() -> None:
    sweep_abandoned()
