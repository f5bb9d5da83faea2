"""Verifying a snapshot from its bytes: checksums, digests, counts, and recall once more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import IntegrityError
from schemas.manifest import GateCheck, Manifest
from stages.index.build import INDEX_FILE, ROWS_FILE, segment_digest
from stages.index.recall import make_truth, measure_recall
from stages.index.snapshot import OpenSnapshot, check_file, files_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemas.manifest import IndexManifest
    from schemas.partition import Partition

_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Verified:
    """One index as found. `recall_at_10` is against exact search over the vectors the index itself holds."""

    partition: str
    space: str
    rows: int
    recall_at_10: float
    checks: tuple[GateCheck, ...]


def verify(
    manifest: Manifest, local_path: Callable[[str], Path], queries: int = _QUERIES
) -> tuple[Verified, ...]:
    """Go through every byte of a snapshot.

    The vectors of the encoder are not part of a snapshot, so recall is measured against those inside the index: what a
    codec lost at building time is not seen here, a spoiled quantiser, list or search parameter is.

    Args:
        manifest: As it was read.
        local_path: Where the file of a key lies.
        queries: How many queries an index is asked.

    Raises:
        IntegrityError: An id, a checksum, a digest or a count does not hold; names the file or the index.
    """
    identity = Manifest.identity(manifest.spaces, manifest.indexes, manifest.sources)
    if identity != manifest.snapshot_id:
        raise IntegrityError(
            f"the manifest says it is {manifest.snapshot_id}, but what it names is snapshot {identity}"
        )
    for ref in files_of(manifest):
        check_file(ref, local_path(ref.key))
    return measure(manifest, local_path, queries)


def measure(
    manifest: Manifest, local_path: Callable[[str], Path], queries: int = _QUERIES
) -> tuple[Verified, ...]:
    """The same without the checksums of the files, for one who has taken them already."""
    snapshot = OpenSnapshot.open(manifest, local_path)
    return tuple(_verify_index(snapshot, *place, queries=queries) for place in snapshot.indexes)


def _verify_index(
    snapshot: OpenSnapshot, partition: Partition, space: str, queries: int
) -> Verified:
    entry = snapshot.entry(partition, space)
    _check_digests(entry)
    segments = snapshot.segments(partition, space)
    unit_ids = [u for s in segments for u in s.rows.column("unit_id").to_pylist()]
    if len(unit_ids) != entry.rows or len(set(unit_ids)) != entry.rows:
        raise IntegrityError(
            f"{partition} in {space}: {len(unit_ids)} rows with {len(set(unit_ids))} different ids,"
            f" the manifest says {entry.rows}"
        )
    vectors = [segment.vectors() for segment in segments]
    truth = make_truth(segments, vectors, queries)
    recall = measure_recall(truth, segments, vectors, entry.family, entry.search)
    wanted = next((c.threshold for c in entry.checks if c.name == "recall_at_10"), 0.0)
    check = GateCheck("recall_at_10", recall, wanted, at_least=True, passed=recall >= wanted)
    return Verified(str(partition), space, entry.rows, recall, (check,))


def _check_digests(entry: IndexManifest) -> None:
    for ref in entry.segments:
        sha = {file.key.rpartition("/")[2]: file.sha256 for file in ref.files}
        if segment_digest(sha[INDEX_FILE], sha[ROWS_FILE]) != ref.digest:
            raise IntegrityError(
                f"segment {ref.digest} of {entry.partition} in {entry.space} is not named after its files"
            )
