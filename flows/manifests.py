"""Manifests of a lake: where they are, reading them, those of other formats too, and finding a snapshot by its name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from infra import pointer
from infra.aside import ASIDE
from schemas.blobs import check_key
from schemas.errors import ConfigError, FormatError, GristmillError, IntegrityError, LakeError
from schemas.manifest import Manifest
from schemas.other_formats import OtherFormat, read_any

if TYPE_CHECKING:
    from schemas.blobs import BlobStore
    from schemas.other_formats import AnyManifest

# What reading something that is no manifest raises, besides our own errors.
_NO_MANIFEST: Final = (ValueError, KeyError, TypeError, AttributeError)


def manifest_key(snapshot_id: str) -> str:
    """Where a snapshot's manifest is."""
    return f"snapshots/{snapshot_id}/manifest.json"


def snapshot_ids(blobs: BlobStore) -> list[str]:
    """Of every snapshot that has a manifest, readable or not, sorted."""
    return [_id_of(key) for key in _manifest_keys(blobs, "snapshots")]


def find_snapshot(blobs: BlobStore, name: str) -> str:
    """The id of a snapshot.

    Args:
        blobs: The lake's.
        name: Its id, or the start of it if no other starts so; ``current``; ``previous``: what a rollback goes to.

    Raises:
        ConfigError: Nothing is published, or the start is that of several.
        LakeError: There is no such snapshot.
    """
    if name == "current":
        current = pointer.current(blobs)
        if current is None:
            raise ConfigError(
                f"{blobs.url} has no published snapshot: gristmill run SRC --lake {blobs.url}"
            )
        return current
    if name == "previous":
        before = pointer.previous(blobs)
        if before is None:
            raise LakeError(f"{blobs.url} has no snapshot before the current one")
        return before
    found = [snapshot_id for snapshot_id in snapshot_ids(blobs) if snapshot_id.startswith(name)]
    if name in found:
        return name
    if not found or not name:
        raise LakeError(f"{blobs.url} has no snapshot {name}: gristmill snapshots lists them")
    if len(found) > 1:
        raise ConfigError(f"{name} is the start of several snapshots: {', '.join(found)}")
    return found[0]


def read_manifest(blobs: BlobStore, snapshot_id: str) -> Manifest:
    """The manifest of a snapshot.

    Raises:
        FormatError: It is of another format version.
        LakeError: There is none, or it cannot be read.
    """
    manifest = _read(blobs, manifest_key(snapshot_id))
    if not isinstance(manifest, Manifest):
        raise FormatError(f"snapshot {snapshot_id} {manifest.advice}")
    return manifest


def read_manifests(blobs: BlobStore) -> list[Manifest]:
    """Those of every snapshot in the format of this version, in the order they were built.

    Raises:
        LakeError: One cannot be read.
    """
    return [manifest for manifest in all_manifests(blobs) if isinstance(manifest, Manifest)]


def all_manifests(blobs: BlobStore) -> list[AnyManifest]:
    """Those of every snapshot there is, in the order they were built.

    That is the order of the table versions they were built from, whatever the clock said: every writer commits. What a
    newer format says of them is not known: those come last.

    Raises:
        LakeError: One cannot be read.
    """
    manifests: list[AnyManifest] = []
    for snapshot_id in snapshot_ids(blobs):
        try:
            manifests.append(_read(blobs, manifest_key(snapshot_id)))
        except LakeError:
            if blobs.exists(manifest_key(snapshot_id)):  # else it has expired just now
                raise
    return sorted(manifests, key=lambda m: (is_newer(m), built_after(m), m.snapshot_id))


def published_manifest(blobs: BlobStore) -> Manifest | None:
    """The current snapshot's, if there is one that can be gone on from: another format or a damaged one cannot."""
    current = pointer.current(blobs)
    if current is None:
        return None
    with suppress(LakeError):
        manifest = trusted_manifest(blobs, current)
        return manifest if isinstance(manifest, Manifest) else None
    return None


def known_manifests(blobs: BlobStore) -> list[Manifest]:
    """Those of the snapshots there are, and of those that a repair set aside: what of them is whole is not built again.

    One that is damaged or of another format is left out.
    """
    found = []
    for key in [*_manifest_keys(blobs, "snapshots"), *_manifest_keys(blobs, ASIDE)]:
        with suppress(LakeError):
            manifest = _trusted(blobs, key)
            if isinstance(manifest, Manifest):
                found.append(manifest)
    return found


def trusted_manifest(blobs: BlobStore, snapshot_id: str) -> AnyManifest:
    """A manifest that is what its name says; of another format no more than its own word for it is known.

    Raises:
        LakeError: It is not, or there is none.
    """
    return _trusted(blobs, manifest_key(snapshot_id))


def built_after(manifest: AnyManifest) -> int:
    """Version of `completions` that a snapshot was built from."""
    return manifest.table_versions.get("completions", 0)


def is_newer(manifest: AnyManifest) -> bool:
    """Whether it is of a format that a later gristmill wrote: which files it consists of is not known."""
    return not isinstance(manifest, Manifest) and manifest.references is None


def _manifest_keys(blobs: BlobStore, folder: str) -> list[str]:
    return [key for key in blobs.list(folder) if key.endswith("/manifest.json")]


def _id_of(key: str) -> str:
    return key.split("/")[-2]


def _parsed(blobs: BlobStore, key: str) -> AnyManifest:
    manifest = read_any(blobs.get(key).decode())
    if isinstance(manifest, OtherFormat) and is_newer(manifest):
        return replace(manifest, snapshot_id=_id_of(key))  # all that is sure of it
    return manifest


def _read(blobs: BlobStore, key: str) -> AnyManifest:
    try:
        return _parsed(blobs, key)
    except _NO_MANIFEST as error:
        raise LakeError(
            f"the manifest of snapshot {_id_of(key)} cannot be read ({error}): gristmill verify --repair"
        ) from error
    except IntegrityError as error:
        raise LakeError(
            f"{blobs.url} has no snapshot {_id_of(key)}: gristmill snapshots lists them"
        ) from error


def _trusted(blobs: BlobStore, key: str) -> AnyManifest:
    snapshot_id = _id_of(key)
    try:
        manifest = _parsed(blobs, key)
        said = manifest.snapshot_id
        if isinstance(manifest, Manifest):
            said = Manifest.identity(
                manifest.spaces,
                manifest.indexes,
                manifest.sources,
                router=manifest.router,
                inverted=manifest.inverted,
                maps=manifest.maps,
            )
        for ref in () if is_newer(manifest) else manifest.files():
            check_key(ref.key)
    except (*_NO_MANIFEST, GristmillError) as error:
        raise LakeError(f"{key} cannot be read: {error}") from error
    if not said == manifest.snapshot_id == snapshot_id:
        raise LakeError(f"{key} says it is {manifest.snapshot_id}, what it names is {said}")
    return manifest
