"""Where a repair puts what is damaged: out of the way, and never away. Standard library and a blob store only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infra.local_blobs import local_root

if TYPE_CHECKING:
    from schemas.blobs import BlobStore

ASIDE: Final = "damaged"


def set_aside(blobs: BlobStore, run_id: str, key: str) -> None:
    """Move a file to ``damaged/<run id>/<key>``; nothing happens when it is not there."""
    root = local_root(blobs.url)
    if not blobs.exists(key):
        return
    if root is None:
        blobs.put(f"{ASIDE}/{run_id}/{key}", blobs.get(key))
        blobs.delete(key)
        return
    target = root / ASIDE / run_id / key  # renamed, since a bad disk may not let it be read
    target.parent.mkdir(parents=True, exist_ok=True)
    (root / key).replace(target)
