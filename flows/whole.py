"""Which snapshots of a lake are whole: manifests that are what they say, and files that have the bytes they had."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.manifests import is_newer, manifest_key, snapshot_ids, trusted_manifest
from infra import pointer
from infra.local_blobs import local_root
from schemas.errors import GristmillError, LakeError
from schemas.findings import Check
from schemas.ids import digest_file
from schemas.other_formats import OtherFormat

if TYPE_CHECKING:
    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore
    from schemas.manifest import FileRef, Manifest
    from schemas.other_formats import AnyManifest
    from stages.index.verify import Verified


@dataclass(slots=True)
class Snapshots:
    """What was found.

    Attributes:
        current: Id of the published one, by the highest entry of the pointer that can be read.
        whole: Manifests that can be trusted, by id; their files may be damaged.
        others: Those of other formats, by id. Of an older one the files are looked at, of a newer one nothing is known.
        broken: Id -> what is wrong with its manifest.
        damaged: Key of a file -> what is wrong with it, and the ids of those that need it.
        files: Number of files looked at.
        recalls: Recall of each index of the current one, as measured now.
    """

    current: str | None = None
    whole: dict[str, Manifest] = field(default_factory=dict)
    others: dict[str, OtherFormat] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    files: int = 0
    recalls: list[Check] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with any of them."""
        return not (self.broken or self.damaged) and all(check.ok for check in self.recalls)

    @property
    def ids(self) -> set[str]:
        """Of every snapshot that was looked at."""
        return {*self.whole, *self.others, *self.broken}

    @property
    def readable(self) -> list[AnyManifest]:
        """Every manifest that is not broken."""
        return [*self.whole.values(), *self.others.values()]

    @property
    def unusable(self) -> set[str]:
        """Ids of those of which anything is damaged, or whose recall is gone."""
        spoiled = {owner for _, owners in self.damaged.values() for owner in owners}
        poor = {self.current} if not all(check.ok for check in self.recalls) else set()
        return {*self.broken, *spoiled, *(s for s in poor if s)}


def look_at_snapshots(blobs: BlobStore, progress: Progress, only: str = "") -> Snapshots:
    """Look at every kept snapshot, or at one, and read every byte of it.

    Raises:
        LakeError: The store cannot be reached.
    """
    found = look_at_manifests(blobs, only)
    _look_at_files(blobs, found, progress)
    measured = only or found.current
    if measured in found.whole and measured not in found.unusable:
        found.recalls = _measure(blobs, found.whole[measured])
    return found


def look_at_manifests(blobs: BlobStore, only: str = "") -> Snapshots:
    """Look at the manifests alone, or at one.

    Raises:
        LakeError: The store cannot be reached.
    """
    entries, _ = pointer.look(blobs)
    found = Snapshots(entries[max(entries)].snapshot_id if entries else None)
    for snapshot_id in [only] if only else snapshot_ids(blobs):
        try:
            manifest = trusted_manifest(blobs, snapshot_id)
        except LakeError as error:
            if blobs.exists(manifest_key(snapshot_id)):  # else it has expired just now
                found.broken[snapshot_id] = str(error)
            continue
        if isinstance(manifest, OtherFormat):
            found.others[snapshot_id] = manifest
        else:
            found.whole[snapshot_id] = manifest
    return found


def _look_at_files(blobs: BlobStore, found: Snapshots, progress: Progress) -> None:
    refs: dict[str, FileRef] = {}
    owners: dict[str, list[str]] = {}
    for manifest in found.readable:
        for ref in () if is_newer(manifest) else manifest.files():
            refs[ref.key] = ref
            owners.setdefault(ref.key, []).append(manifest.snapshot_id)
    found.files = len(refs)
    for number, (key, ref) in enumerate(refs.items()):
        progress("snapshots", number, len(refs))
        wrong = _wrong(blobs, ref)
        kept = [s for s in owners[key] if wrong and blobs.exists(manifest_key(s))]
        if kept:
            found.damaged[key] = (wrong, kept)


def _wrong(blobs: BlobStore, ref: FileRef) -> str:
    try:
        size_bytes = blobs.size_bytes(ref.key)
        if size_bytes is None:
            return "is missing"
        if size_bytes != ref.size_bytes:
            return f"has {size_bytes} bytes, the manifest says {ref.size_bytes}"
        sha256 = _sha256(blobs, ref.key)
    except (GristmillError, OSError) as error:
        return f"cannot be read: {error}"
    return "" if sha256 == ref.sha256 else f"has SHA-256 {sha256}, the manifest says {ref.sha256}"


def _sha256(blobs: BlobStore, key: str) -> str:
    """Of the bytes in the store, not of a copy in the cache."""
    root = local_root(blobs.url)
    if root is not None:
        return digest_file(root / key)
    return hashlib.sha256(blobs.get(key)).hexdigest()


def _measure(blobs: BlobStore, manifest: Manifest) -> list[Check]:
    from stages.index.verify import measure

    try:
        return [_checked(index) for index in measure(manifest, blobs.local_path)]
    except GristmillError as error:
        return [Check("all of them", str(error), ok=False)]


def _checked(index: Verified) -> Check:
    return Check(
        f"{index.partition} @ {index.space}",
        f"{index.rows} rows, recall@10 {index.recall_at_10:.3f}",
        all(check.passed for check in index.checks),
    )
