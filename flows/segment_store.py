"""Segments and other files of snapshots in the lake: put there once, under the name of their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from schemas.errors import GristmillError
from schemas.manifest import FileRef, SegmentRef, Training, segment_of, training_of
from stages.index.build import STATS_FILE, segment_files
from stages.index.segments import SegmentPaths

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np

    from schemas.blobs import BlobStore
    from schemas.manifest import Manifest

BUILDING: Final = "building"  # what a build has finished so far, until maintenance


class SegmentStore:
    """What was built before is found by what it was built from: in a manifest, or in a killed build's notes.

    Args:
        blobs: The lake's.
        known: Manifests to reuse segments of.
    """

    def __init__(self, blobs: BlobStore, known: Iterable[Manifest]) -> None:
        self._blobs = blobs
        self._known = {
            segment.input_digest: segment
            for manifest in known
            for entry in manifest.indexes
            for segment in entry.segments
        }

    def find(self, input_digest: str) -> SegmentRef | None:
        """The segment that was built from this, without tombstones, if all of its files are there."""
        found = self._known.get(input_digest) or self._noted_segment(input_digest)
        return found if found is not None and self.is_whole(found) else None

    def is_whole(self, segment: SegmentRef) -> bool:
        """Whether its files are there, by their sizes; `gristmill verify` reads the bytes."""
        return all(self.is_there(ref) for ref in segment.files)

    def keep(self, segment: SegmentRef, arrays: Sequence[np.ndarray]) -> SegmentRef:
        """Write a segment's files, and then the note that it is there.

        Two spaces may have equal vectors, and so equal segments; stats.json is then that of the one that came first.

        Returns:
            The segment with the files that are there.
        """
        files = []
        for ref, data in segment_files(segment, arrays):
            there = self._stats_there(ref, segment) if ref.key.endswith(STATS_FILE) else None
            self.put(there or ref, data.tobytes())
            files.append(there or ref)
        kept = replace(segment, files=tuple(files))
        self.note(segment.input_digest, asdict(kept))
        return kept

    def find_training(self, trained_from: str) -> Training | None:
        """What was trained from this sample (a digest) before."""
        raw = self.noted(trained_from)
        found = training_of(raw) if raw else None
        return found if found is not None and self.is_there(found.file) else None

    def keep_training(self, trained_from: str, training: Training, data: bytes) -> None:
        """Write a trained index, and then the note that it is there."""
        self.put(training.file, data)
        self.note(trained_from, asdict(training))

    def put_file(self, data: bytes, suffix: str) -> FileRef:
        """Write a small file of a snapshot."""
        ref = file_ref(data, suffix)
        self.put(ref, data)
        return ref

    def put(self, ref: FileRef, data: bytes) -> None:
        """Write a file that is named after its content, unless it is there and whole."""
        if not self.is_there(ref):
            self._blobs.put(ref.key, data)

    def get(self, ref: FileRef) -> bytes:
        """The bytes of a file."""
        return self._blobs.get(ref.key)

    def path_of(self, ref: FileRef) -> Path:
        """Where a file is on local disk."""
        return self._blobs.local_path(ref.key)

    def paths(self, segment: SegmentRef) -> SegmentPaths:
        """Where a segment's files are on local disk."""
        by_name = {ref.key.rpartition("/")[2]: ref.key for ref in segment.files}
        local = {name: self._blobs.local_path(key) for name, key in by_name.items()}
        deleted = segment.deleted
        return SegmentPaths.of(local, self._blobs.local_path(deleted.key) if deleted else None)

    def is_there(self, ref: FileRef) -> bool:
        """Whether a file is there, by its size."""
        return self._blobs.size_bytes(ref.key) == ref.size_bytes

    def _stats_there(self, ref: FileRef, segment: SegmentRef) -> FileRef | None:
        """The stats.json of this segment that is there, if it is whole."""
        try:
            data = self._blobs.get(ref.key)
            if json.loads(data)["digest"] != segment.digest:
                return None
        except (GristmillError, ValueError, KeyError, TypeError):
            return None
        return FileRef(ref.key, len(data), hashlib.sha256(data).hexdigest())

    def _noted_segment(self, input_digest: str) -> SegmentRef | None:
        raw = self.noted(input_digest)
        return segment_of(raw) if raw else None

    def noted(self, name: str) -> dict[str, object] | None:
        """What a build that may have been killed noted under a name."""
        try:
            found: dict[str, object] = json.loads(self._blobs.get(f"{BUILDING}/{name}.json"))
        except (GristmillError, ValueError):  # none, or half a one: it is built again
            return None
        return found

    def note(self, name: str, value: dict[str, object]) -> None:
        """Note what was finished, after its files are there."""
        self._blobs.put(f"{BUILDING}/{name}.json", json.dumps(value, sort_keys=True).encode())


def file_ref(data: bytes, suffix: str) -> FileRef:
    """Name, size and checksum of a small file of a snapshot."""
    sha = hashlib.sha256(data).hexdigest()
    return FileRef(f"snapshots/files/{sha}.{suffix}", len(data), sha)
