"""Space on the disks of this machine: a run that found none says so, and not what came of it."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Final, Self

from infra.local_blobs import full_disk, local_root, out_of_space
from schemas.errors import GristmillError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_FULL_BYTES: Final = 1 << 20


class SpaceWatch:
    """Turns an error of another library into one that says which disk is full, where one is.

    Args:
        lake_url: The lake; one that is not local is left out.
        prefect_home: Where Prefect has its database.
    """

    def __init__(self, lake_url: str, prefect_home: Path) -> None:
        root = local_root(lake_url)
        self._places = {f"the lake {root}": str(root)} if root else {}
        self._places["temporary files"] = tempfile.gettempdir()
        self._places[f"Prefect, {prefect_home}"] = str(prefect_home)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not isinstance(exc, Exception) or isinstance(exc, GristmillError):
            return
        full = [what for what, path in self._places.items() if free_bytes(path) < _FULL_BYTES]
        if full or out_of_space(exc):
            where = " and ".join(full) or "this machine"
            raise full_disk(where, exc) from exc


def free_bytes(path: str | Path) -> int:
    """Free space where a folder is, in bytes; as if there were plenty where it is not there."""
    try:
        free: int = shutil.disk_usage(path).free
    except OSError:
        return _FULL_BYTES
    return free
