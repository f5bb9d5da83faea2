"""Opening a lake's snapshots and swapping to the next one. A serving process needs faiss, numpy and pyarrow for it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from flows.manifests import find_snapshot, manifest_key, read_manifest
from infra import pointer
from infra.blobs import open_blobs
from schemas.errors import LakeError
from stages.index.snapshot import OpenSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def open_snapshot(url: str, snapshot: str = "current", *, verify: bool = False) -> OpenSnapshot:
    """Open a snapshot of a lake with all its files, so that it answers whatever becomes of the lake.

    On a local disk maintenance may then expire it: mapped files live as long as they are mapped. One that
    expires while it is being opened is looked up once more: by then ``current`` names another one.

    Args:
        url: The lake (obstore is needed where it is remote).
        snapshot: Its id, the start of it, ``current`` or ``previous``.
        verify: Read every file once and compare sizes and checksums first.

    Raises:
        ConfigError: Nothing is published yet, or the name is that of several.
        FormatError: It is of another format version; says what to do.
        IntegrityError: A file is missing or not what the manifest says.
        LakeError: There is no such lake or snapshot (any more).
    """
    return with_snapshot(url, lambda opened: opened, snapshot, verify=verify)


def with_snapshot(
    url: str, use: Callable[[OpenSnapshot], T], snapshot: str = "current", *, verify: bool = False
) -> T:
    """What `use` makes of an opened snapshot, which may expire meanwhile; see :func:`open_snapshot`."""
    blobs = open_blobs(url, read_only=True)
    chosen = find_snapshot(blobs, snapshot)

    def opened(snapshot_id: str) -> T:
        manifest = read_manifest(blobs, snapshot_id)
        return use(_held(OpenSnapshot.open(manifest, blobs.local_path, verify=verify)))

    try:
        return opened(chosen)
    except LakeError:
        if blobs.exists(manifest_key(chosen)):  # maintenance deletes it first: this is damage
            raise
        return opened(find_snapshot(blobs, snapshot))


def _held(snapshot: OpenSnapshot) -> OpenSnapshot:
    """With every file opened that searching needs."""
    for partition, space in snapshot.indexes:
        snapshot.segments(partition, space)
    for entry in snapshot.manifest.inverted:
        snapshot.inverted(entry)
    for space_map in snapshot.manifest.maps:
        snapshot.map_into(space_map.target)
    _ = snapshot.places
    return snapshot


class Serving:
    """The published snapshot of a lake, swapped for the next one without downtime. Safe to use from several threads.

    >>> serving = Serving("lake")
    >>> snapshot = serving.snapshot     # once for each request: a request is answered by one snapshot
    >>> serving.refresh()               # every minute, say, in another thread
    False

    Args:
        url: The lake.

    Raises:
        ConfigError, LakeError: As :func:`open_snapshot`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._blobs = open_blobs(url, read_only=True)
        self._refreshing = Lock()
        self._snapshot = open_snapshot(url)

    @property
    def snapshot(self) -> OpenSnapshot:
        """The one in use; whoever holds it may finish with it after a swap."""
        return self._snapshot

    def refresh(self) -> bool:
        """Open what is published now beside the one in use, then swap. A thread that comes meanwhile waits.

        Returns:
            Whether it swapped.

        Raises:
            ConfigError, LakeError: As :func:`open_snapshot`; the one in use stays.
        """
        with self._refreshing:
            if pointer.current(self._blobs) == self._snapshot.manifest.snapshot_id:
                return False
            opened = open_snapshot(self._url)
            swapped = opened.manifest.snapshot_id != self._snapshot.manifest.snapshot_id
            self._snapshot = opened
            return swapped
