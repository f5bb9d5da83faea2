"""Verifying a snapshot from its bytes: checksums, digests, counts, and recall once more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from schemas.errors import IntegrityError
from schemas.manifest import GateCheck, Manifest
from stages.index.build import segment_digest
from stages.index.gate import live_counts
from stages.index.inverted_gate import check_inverted
from stages.index.late.asked import LateMeter
from stages.index.recall import RecallMeter
from stages.index.segments import RESCORE
from stages.index.snapshot import OpenSnapshot, check_file
from stages.index.truth import read_truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemas.inverted import InvertedIndex
    from schemas.manifest import IndexManifest
    from schemas.partition import Partition
    from stages.index.truth import Truth


@dataclass(frozen=True, slots=True)
class Verified:
    """One index as found.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        rows: That can be found.
        recall_at_10: Against the exact neighbours that the snapshot has of its queries; the lowest by kind of query.
        checks: Recall beside its threshold.
    """

    partition: str
    space: str
    rows: int
    recall_at_10: float
    checks: tuple[GateCheck, ...]


def verify(manifest: Manifest, local_path: Callable[[str], Path]) -> tuple[Verified, ...]:
    """Go through every byte of a snapshot.

    Args:
        manifest: As it was read.
        local_path: Where the file of a key lies.

    Raises:
        IntegrityError: An id, a checksum, a digest or a count does not hold; names the file or the index.
    """
    identity = Manifest.identity(
        manifest.spaces,
        manifest.indexes,
        manifest.sources,
        router=manifest.router,
        inverted=manifest.inverted,
        maps=manifest.maps,
    )
    if identity != manifest.snapshot_id:
        raise IntegrityError(
            f"the manifest says it is {manifest.snapshot_id}, but what it names is snapshot {identity}"
        )
    for ref in manifest.files():
        check_file(ref, local_path(ref.key))
    return measure(manifest, local_path)


def measure(manifest: Manifest, local_path: Callable[[str], Path]) -> tuple[Verified, ...]:
    """The same without the checksums of the files, for one who has taken them already."""
    snapshot = OpenSnapshot.open(manifest, local_path)
    for entry in manifest.inverted:
        _verify_inverted(snapshot, entry)
    return tuple(_verify_index(snapshot, *place, local_path) for place in snapshot.indexes)


def _verify_inverted(snapshot: OpenSnapshot, entry: InvertedIndex) -> None:
    beside = snapshot.entry(entry.parsed_partition, entry.space)
    what = f"postings of {entry.partition}{f' in {entry.encoder}' if entry.encoder else ''}"
    digests = [segment.digest for segment in beside.segments]
    if [ref.segment for ref in entry.segments] != digests:
        raise IntegrityError(f"the {what} are of other segments than its index in {entry.space}")
    checks = check_inverted(snapshot.inverted(entry), entry, broken_files=0)
    failed = [f"{check.name} is {check.value:g}" for check in checks if not check.passed]
    if failed:
        raise IntegrityError(f"the {what} do not hold: {', '.join(failed)}")


def _verify_index(
    snapshot: OpenSnapshot, partition: Partition, space: str, local_path: Callable[[str], Path]
) -> Verified:
    entry = snapshot.entry(partition, space)
    _check_digests(entry)
    segments = snapshot.segments(partition, space)
    rows, different = live_counts(segments)
    if rows != entry.rows or different != entry.rows:
        raise IntegrityError(
            f"{partition} in {space}: {rows} rows with {different} different ids, the manifest says {entry.rows}"
        )
    truth = read_truth(local_path(entry.truth.key))
    recalls = _meter(snapshot, entry, truth).recalls(entry.search)
    recall = min(recalls.values(), default=1.0)
    wanted = next((c.threshold for c in entry.checks if c.name == "recall_at_10"), 0.0)
    check = GateCheck("recall_at_10", recall, wanted, at_least=True, passed=recall >= wanted)
    return Verified(str(partition), space, entry.rows, recall, (check,))


def _meter(snapshot: OpenSnapshot, entry: IndexManifest, truth: Truth) -> RecallMeter:
    place = entry.parsed_partition, entry.space
    if entry.late is None:
        return RecallMeter(truth, snapshot.segments(*place), entry.metric)
    return LateMeter(truth, snapshot.late_index(*place), entry.search[RESCORE])


def _check_digests(entry: IndexManifest) -> None:
    for ref in entry.segments:
        sums = {PurePosixPath(file.key).name: file.sha256 for file in ref.files}
        if segment_digest(sums) != ref.digest:
            raise IntegrityError(
                f"segment {ref.digest} of {entry.partition} in {entry.space} is not named after its files"
            )
