"""Maintenance: what no kept snapshot, no live row and no run needs any more goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flows import wiring
from flows.manifests import all_manifests, built_after, is_newer, manifest_key
from flows.segment_store import BUILDING
from flows.snapshots import protect_key
from infra import pointer
from infra.contents import CONTENT, KeptContents
from infra.local_blobs import half_written, local_root
from infra.payloads import PAYLOADS, Payloads
from schemas.partition import AUDIO_SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from infra.lake import Lake
    from infra.lake.sweep import TableSweep
    from schemas.blobs import BlobStore
    from schemas.config import Config
    from schemas.other_formats import AnyManifest

_FOLDERS = ("segments", "snapshots/files")  # of immutable blobs that manifests name
_WRITERS_FOLDERS = ("tables", "segments", "snapshots", "forget", "damaged", PAYLOADS, CONTENT)


@dataclass(frozen=True, slots=True)
class Collected:
    """What maintenance did, or would do.

    Attributes:
        dry_run: Nothing was changed.
        kept: Snapshots that stay.
        expired: Snapshots that go.
        blobs: Files of segments and snapshots that no kept snapshot names.
        payloads: Kept pixels that no live unit has.
        contents: Kept contents of no live source, and superseded ones.
        spaces: Dropped spaces of which nothing is left.
        half_written: Staging files of writers that were killed.
        tables: What became of each table.
        table_files: Data files that the tables as of now do not need.
        newer: Snapshots in a newer format, of which nobody here knows what they need: while there is one, every
            snapshot and every file of one stays.
    """

    dry_run: bool
    kept: tuple[str, ...]
    expired: tuple[str, ...]
    blobs: int
    payloads: int
    contents: int
    spaces: tuple[str, ...]
    half_written: int
    tables: tuple[TableSweep, ...]
    table_files: int
    newer: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def collect(
    lake_url: str, config: Config, run_id: str, *, dry_run: bool, note: Callable[[str], None]
) -> Collected:
    """Expire snapshots, delete what they alone needed, sweep and compact the tables.

    A run that is active is waited for, since it may need what no manifest names yet.

    Raises:
        ConflictError: Another run did not end in time.
        LakeError: The lake is damaged; nothing that may be needed was deleted.
    """
    lake = wiring.open_lake(lake_url)
    with lake.writer(
        run_id, wait_s=config.runs.wait_s, on_wait=lambda who: note(f"waiting for {who}")
    ):
        kept, expired = _share_out(lake.blobs, config.runs.keep_snapshots)
        if not dry_run:
            kept, expired = _expire(lake.blobs, kept, expired)
        blobs = [*unneeded(lake.blobs, kept), *lake.blobs.list(BUILDING)]
        sweeper = lake.sweeper()
        tables = tuple(sweeper.sweep(spec, dry_run=dry_run) for spec in sweeper.specs())
        files = sweeper.vacuum(dry_run=dry_run)
        payloads = unneeded_payloads(lake)
        contents = unneeded_contents(lake, wiring.content_fingerprint(config))
        dropped = sorted(lake.spaces.dropped())
        staged = staging_files(lake_url)
        if not dry_run:
            for key in [*blobs, *payloads, *contents]:
                lake.blobs.delete(key)
            for space_key in dropped:
                lake.spaces.forget(space_key)
            for path in staged:
                path.unlink(missing_ok=True)
    return Collected(
        dry_run,
        tuple(m.snapshot_id for m in kept),
        tuple(m.snapshot_id for m in expired),
        len(blobs),
        len(payloads),
        len(contents),
        tuple(dropped),
        len(staged),
        tables,
        files,
        tuple(m.snapshot_id for m in kept if is_newer(m)),
    )


def _share_out(blobs: BlobStore, keep: int) -> tuple[list[AnyManifest], list[AnyManifest]]:
    """Snapshots to keep and to expire, whatever format they have.

    Kept are the `keep` that were published last, the current one, the protected ones, and those built after the
    current one, which may be published yet. All are kept beside one in a newer format.
    """
    entries = pointer.history(blobs)
    published = list(dict.fromkeys(entry.snapshot_id for entry in reversed(entries)))
    manifests = {manifest.snapshot_id: manifest for manifest in all_manifests(blobs)}
    if any(map(is_newer, manifests.values())):
        return list(manifests.values()), []
    current = manifests.get(published[0]) if published else None
    newest = built_after(current) if current else 0
    kept: list[AnyManifest] = []
    expired: list[AnyManifest] = []
    for snapshot_id, manifest in manifests.items():
        stays = (
            snapshot_id in published[:keep]
            or blobs.exists(protect_key(snapshot_id))
            or (snapshot_id not in published and built_after(manifest) >= newest)
        )
        (kept if stays else expired).append(manifest)
    return kept, expired


def _expire(
    blobs: BlobStore, kept: list[AnyManifest], expired: list[AnyManifest]
) -> tuple[list[AnyManifest], list[AnyManifest]]:
    """Delete the manifests of the expired ones; one that became current meanwhile comes back.

    A rollback looks after its move whether the manifest still is there, this looks after the deletion where the pointer
    is: of the two that run at once, at least one sees the other.
    """
    for manifest in expired:
        blobs.delete(manifest_key(manifest.snapshot_id))
    current = pointer.current(blobs)
    saved = [manifest for manifest in expired if manifest.snapshot_id == current]
    for manifest in saved:
        blobs.put_if_absent(manifest_key(manifest.snapshot_id), manifest.to_json().encode())
    return [*kept, *saved], [manifest for manifest in expired if manifest not in saved]


def staging_files(lake_url: str) -> list[Path]:
    """What killed writers left half-written on a local disk (an object store shows nothing half-written).

    Only where nobody but the writer writes: a publication or a rollback may just now stage its entry of the pointer,
    a waiting run one of the lease, `snapshots --protect` its mark. Those are a few bytes each.
    """
    root = local_root(lake_url)
    if root is None:
        return []
    found = half_written(root, _WRITERS_FOLDERS)
    return [path for path in found if not path.name.startswith("protected#")]


def unneeded(blobs: BlobStore, kept: Sequence[AnyManifest]) -> list[str]:
    """Keys of segments and snapshot files that no kept manifest names; none if one is kept that cannot be read."""
    if any(map(is_newer, kept)):
        return []
    needed = {ref.key for manifest in kept for ref in manifest.files()}
    return [key for folder in _FOLDERS for key in blobs.list(folder) if key not in needed]


def unneeded_payloads(lake: Lake) -> list[str]:
    """Keys of kept pixels and sounds that no live unit has. Only for the writer: a run writes them before its units."""
    pixels = lake.live_units(columns=["pixels_hash"])["pixels_hash"]
    sounds = lake.live_units(AUDIO_SEGMENT, ["unit_id"])["unit_id"]
    return Payloads(lake.blobs).unneeded(pixels, sounds)


def unneeded_contents(lake: Lake, fingerprint: str = "") -> list[str]:
    """Keys of kept contents of no live source, and those that one under this fingerprint, if it is given, stands for.

    Only for the writer: a run writes them before its units.
    """
    return KeptContents(lake.blobs, fingerprint).unneeded(lake.view().live.sources)
