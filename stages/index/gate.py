"""The gate: numbers an index must reach before any pointer moves, taken from the bytes that get published."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import GateError
from schemas.manifest import GateCheck
from stages.index.build import first_out_of_order
from stages.index.full import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from schemas.config import Indexing
    from schemas.manifest import CurvePoint, SegmentRef
    from stages.index.build import IndexKind
    from stages.index.segments import OpenSegment

STORED_COSINE: Final = "stored_cosine"
_RANGE_ROWS: Final = 256
_ZERO_NORM: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index before the gate.

    Attributes:
        kind: What its segments have in common.
        segments: As opened from the files that get published.
        refs: What the manifest will say of each; the health of new ones with their stored cosine.
        table_rows: Live rows of the partition that have a vector in this space.
        broken_files: Files that were written for it and are not what the manifest says.
    """

    kind: IndexKind
    segments: Sequence[OpenSegment]
    refs: Sequence[SegmentRef]
    table_rows: int
    broken_files: int = 0


def check_index(
    candidate: Candidate, point: CurvePoint, recalls: Mapping[str, float], config: Indexing
) -> tuple[GateCheck, ...]:
    """Every number of the gate with its threshold, passed or not."""
    return (
        *_count_checks(candidate),
        *_vector_checks(candidate, config),
        *_list_checks(candidate, config),
        *tuned_checks(point, recalls, config.recall_at_10, config.latency_ms),
    )


def tuned_checks(
    point: CurvePoint, recalls: Mapping[str, float], recall_at_10: float, latency_ms: float
) -> tuple[GateCheck, ...]:
    """Those that search parameters decide: recall in all and by kind of query, and the latency if it has a limit."""
    measured = {"": point.recall_at_10} | {f"_{kind}": recalls[kind] for kind in sorted(recalls)}
    recall = [
        _at_least(f"recall_at_10{kind}", value, recall_at_10) for kind, value in measured.items()
    ]
    if not latency_ms:
        return tuple(recall)
    return (*recall, _at_most("latency_ms_p99", point.latency_ms_p99, latency_ms))


def require(place: str, checks: Sequence[GateCheck]) -> None:
    """Let an index pass.

    Raises:
        GateError: A check did not pass; names the partition, the space and each number.
    """
    failed = [
        f"{c.name} is {c.value:g}, must be at {'least' if c.at_least else 'most'} {c.threshold:g}"
        for c in checks
        if not c.passed
    ]
    if failed:
        raise GateError(
            f"{place} was not published: {'; '.join(failed)}."
            " The snapshot in use stays. See docs/snapshot-format.md for what each number means"
        )


def stored_ranges(rows: int) -> list[range]:
    """Rows whose stored vectors are compared with the encoder's: the first, the middle and the last 256."""
    starts = {0, max(0, rows // 2 - _RANGE_ROWS // 2), max(0, rows - _RANGE_ROWS)}
    return [range(start, min(start + _RANGE_ROWS, rows)) for start in sorted(starts)]


def stored_cosine(segment: OpenSegment, originals: np.ndarray) -> float:
    """Whether row i really is vector i in the bytes: the lowest cosine of stored vectors to the encoder's.

    Args:
        segment: As opened.
        originals: float32 [rows of `stored_ranges`, dim], one range after the other.
    """
    ranges = stored_ranges(len(segment.rows))
    if not len(segment.rows):
        return 1.0
    stored = np.concatenate([_stored(segment, part) for part in ranges])
    wanted = originals[:, : stored.shape[1]]
    with np.errstate(invalid="ignore"):  # what is not finite becomes the worst cosine
        products = (stored * wanted).sum(axis=1)
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(wanted, axis=1)
        cosines = products / np.maximum(lengths, _ZERO_NORM)
    return float(np.nan_to_num(cosines, nan=-1.0).min())


def _stored(segment: OpenSegment, rows: range) -> np.ndarray:
    """What a hit is ranked by in the end: full vectors where there are any, else those of the index."""
    if segment.full is not None:
        return decode(segment.full[rows.start : rows.stop])
    return segment.family.reconstruct(segment.index, rows.start, len(rows))


def broken_files(ref: SegmentRef, local_path: Mapping[str, Path]) -> int:
    """Files of a segment whose bytes on disk are not what the manifest will say."""
    return sum(
        hashlib.sha256(local_path[file.key].read_bytes()).hexdigest() != file.sha256
        for file in ref.files
    )


def _count_checks(candidate: Candidate) -> list[GateCheck]:
    rows, distinct = live_counts(candidate.segments)
    pairs = list(zip(candidate.segments, candidate.refs, strict=True))
    off = sum(abs(s.family.size(s.index)[0] - len(s.rows)) for s, _ in pairs)
    off += sum(abs(len(s.rows) - ref.rows) for s, ref in pairs)
    unsorted = sum(first_out_of_order(s.rows["unit_id"]) is not None for s, _ in pairs)
    tombstones = sum(
        abs((0 if s.deleted is None else int(s.deleted.sum())) - ref.deleted_rows)
        for s, ref in pairs
    )
    return [
        _at_most("rows_off_table", abs(rows - candidate.table_rows), 0),
        _at_most("vectors_off_rows", off, 0),
        _at_most("tombstones_off", tombstones, 0),
        _at_most("repeated_ids", rows - distinct, 0),
        _at_most("ids_out_of_order", unsorted, 0),
        _at_most("broken_files", candidate.broken_files, 0),
    ]


def live_counts(segments: Sequence[OpenSegment]) -> tuple[int, int]:
    """Rows that can be found, and how many different ids they have."""
    live = [
        ids if segment.deleted is None else ids.filter(pa.array(~segment.deleted))
        for segment in segments
        for ids in [segment.rows["unit_id"].combine_chunks()]
    ]
    distinct: int = pc.count_distinct(pa.chunked_array(live, pa.string())).as_py()
    return sum(map(len, live)), distinct


def _vector_checks(candidate: Candidate, config: Indexing) -> list[GateCheck]:
    numbers = [ref.health for ref in candidate.refs]
    return [
        _at_most("not_finite", sum(n["not_finite"] for n in numbers), 0),
        _at_most("zero_vectors", sum(n["zero_vectors"] for n in numbers), 0),
        _at_most(
            "norm_error", max((n["norm_error"] for n in numbers), default=0), config.norm_error
        ),
        _at_most("duplicate_share", _duplicate_share(candidate.segments), config.duplicate_share),
        _at_least(
            STORED_COSINE, min((n[STORED_COSINE] for n in numbers), default=1), config.stored_cosine
        ),
        _at_most("hubness", max((n["hubness"] for n in numbers), default=0), config.hubness),
    ]


def _duplicate_share(segments: Sequence[OpenSegment]) -> float:
    digests = [
        column if segment.deleted is None else column[~segment.deleted]
        for segment in segments
        for column in [segment.rows["vector_digest"].to_numpy()]
    ]
    rows = sum(map(len, digests))
    return 1 - len(np.unique(np.concatenate(digests))) / rows if rows else 0.0


def _list_checks(candidate: Candidate, config: Indexing) -> list[GateCheck]:
    sizes = list_sizes(candidate.segments)
    if sizes is None:
        return []
    biggest = float(sizes.max() / max(1, sizes.sum()))
    return [
        _at_most("empty_list_share", float((sizes == 0).mean()), config.empty_list_share),
        _at_most("biggest_list_share", biggest, config.biggest_list_share),
    ]


def list_sizes(segments: Sequence[OpenSegment]) -> np.ndarray | None:
    """Vectors in each inverted list over all segments, int64; None without lists."""
    found = [segment.family.list_sizes(segment.index) for segment in segments]
    lists = [sizes for sizes in found if sizes is not None]
    total: np.ndarray | None = np.sum(lists, axis=0) if lists else None
    return total


def imbalance(segments: Sequence[OpenSegment]) -> float:
    """Imbalance factor of the lists: 1 where all are equally long, as faiss' ``imbalance_factor``; 1 without lists."""
    sizes = list_sizes(segments)
    if sizes is None or not sizes.sum():
        return 1.0
    return float((sizes.astype(np.float64) ** 2).sum() * len(sizes) / float(sizes.sum()) ** 2)


def _at_most(name: str, value: float, threshold: float) -> GateCheck:
    return GateCheck(
        name, float(value), float(threshold), at_least=False, passed=bool(value <= threshold)
    )


def _at_least(name: str, value: float, threshold: float) -> GateCheck:
    return GateCheck(
        name, float(value), float(threshold), at_least=True, passed=bool(value >= threshold)
    )
