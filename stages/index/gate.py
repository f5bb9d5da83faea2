"""The gate: numbers an index must reach before any pointer moves, taken from the bytes that get published."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import GateError
from schemas.manifest import GateCheck
from stages.index.families import one_thread
from stages.index.recall import K
from stages.index.shards import query_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.config import Indexing
    from stages.index.segments import OpenSegment
    from stages.index.tune import Tuned

NORM_TOLERANCE: Final = 1e-3  # encoders normalise in float32; more than this is another vector
# One byte a dimension keeps the cosine to the original above 0.995 (measured); a row in the wrong place is near 0.
STORED_COSINE_MIN: Final = 0.98
# A corpus of many equal rows rightly leaves lists empty; beyond nine tenths the quantiser divides nothing any more.
EMPTY_LIST_SHARE_MAX: Final = 0.9
BIGGEST_LIST_SHARE_MAX: Final = 0.9
# Skewness of the k-occurrence (Radovanovic et al., JMLR 11, 2010). Text and image vectors of healthy encoders lie at
# 1 to 5; one vector among the ten nearest of every other gives about the root of the sample, 44.
HUBNESS_MAX: Final = 20.0
_SAMPLE_ROWS: Final = 2000
_ZERO_NORM: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Candidate:
    """An index before the gate.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        segments: As opened from the files that get published.
        vectors: float32 [rows of segment i, dim] at i, as they stand in the table of embeddings.
        table_rows: Live rows of the partition that have a vector in this space.
    """

    partition: str
    space: str
    segments: Sequence[OpenSegment]
    vectors: Sequence[np.ndarray]
    table_rows: int


def check_index(candidate: Candidate, tuned: Tuned, config: Indexing) -> tuple[GateCheck, ...]:
    """Every number of the gate with its threshold, passed or not."""
    return (
        *_count_checks(candidate),
        *_vector_checks(candidate.vectors, config.duplicate_share),
        *_stored_checks(candidate),
        *_list_checks(candidate.segments),
        _at_most("hubness", hubness(_sample(candidate)), HUBNESS_MAX),
        _at_least("recall_at_10", tuned.recall_at_10, config.recall_at_10),
    )


def require(partition: str, space: str, checks: Sequence[GateCheck]) -> None:
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
            f"{partition} in {space} was not published: {'; '.join(failed)}."
            " The snapshot in use stays. See docs/snapshot-format.md for what each number means"
        )


def hubness(sample: np.ndarray, k: int = K) -> float:
    """Skewness of how often each vector is among the `k` nearest of the others; 0 for fewer than k + 2 vectors.

    Args:
        sample: float32 [n, dim], unit length, without exact repetitions (equal vectors would pass for hubs).
        k: Neighbours that count.
    """
    import faiss

    if len(sample) < k + 2:
        return 0.0
    with one_thread():
        _, rows = faiss.knn(sample, sample, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    others = rows[(rows != np.arange(len(sample))[:, None]) & (rows >= 0)]
    occurrence = np.bincount(others, minlength=len(sample)).astype(np.float64)
    centred = occurrence - occurrence.mean()
    spread = centred.std()
    return float((centred**3).mean() / spread**3) if spread else 0.0


def _count_checks(candidate: Candidate) -> list[GateCheck]:
    unit_ids = [segment.rows.column("unit_id").to_pylist() for segment in candidate.segments]
    rows = sum(len(ids) for ids in unit_ids)
    distinct = len({unit_id for ids in unit_ids for unit_id in ids})
    unsorted = sum(sum(a >= b for a, b in pairwise(ids)) for ids in unit_ids)
    stored = sum(int(segment.index.ntotal) for segment in candidate.segments)
    return [
        _at_most("rows_off_table", abs(rows - candidate.table_rows), 0),
        _at_most("vectors_off_rows", abs(stored - rows), 0),
        _at_most("repeated_ids", rows - distinct, 0),
        _at_most("ids_out_of_order", unsorted, 0),
    ]


def _vector_checks(vectors: Sequence[np.ndarray], duplicate_share: float) -> list[GateCheck]:
    seen: set[bytes] = set()
    rows = not_finite = zero = 0
    norm_error = 0.0
    for part in vectors:
        norms = np.linalg.norm(part.astype(np.float64), axis=1)
        finite = np.isfinite(norms)
        rows += len(part)
        not_finite += int((~finite).sum())
        zero += int((norms < _ZERO_NORM).sum())
        if finite.any():
            norm_error = max(norm_error, float(np.abs(norms[finite] - 1).max()))
        seen.update(
            blake2b(memoryview(row), digest_size=16).digest() for row in np.ascontiguousarray(part)
        )
    return [
        _at_most("not_finite", not_finite, 0),
        _at_most("zero_vectors", zero, 0),
        _at_most("norm_error", norm_error, NORM_TOLERANCE),
        _at_most("duplicate_share", 1 - len(seen) / rows if rows else 0.0, duplicate_share),
    ]


def _stored_checks(candidate: Candidate) -> list[GateCheck]:
    """Whether row i really is vector i in the bytes: cosine of stored to original vectors on a sample."""
    pairs = zip(candidate.segments, candidate.vectors, strict=True)
    worst = min((_stored_cosine(segment, vectors) for segment, vectors in pairs), default=1.0)
    return [_at_least("stored_cosine", worst, STORED_COSINE_MIN)]


def _stored_cosine(segment: OpenSegment, vectors: np.ndarray) -> float:
    if len(vectors) != segment.index.ntotal:
        return -1.0
    rows = query_rows(segment.rows.column("unit_id").to_pylist(), _SAMPLE_ROWS)
    if not len(rows):
        return 1.0
    stored, original = segment.vectors()[rows], vectors[rows]
    with np.errstate(invalid="ignore"):  # what is not finite becomes the worst cosine
        products = (stored * original).sum(axis=1)
        lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(original, axis=1)
        cosines = products / np.maximum(lengths, _ZERO_NORM)
    return float(np.nan_to_num(cosines, nan=-1.0).min())


def _list_checks(segments: Sequence[OpenSegment]) -> list[GateCheck]:
    import faiss

    ivf: list[Any] = [
        segment.index for segment in segments if isinstance(segment.index, faiss.IndexIVF)
    ]
    if not ivf:
        return []
    sizes = np.array(
        [[index.invlists.list_size(i) for i in range(index.nlist)] for index in ivf], dtype=np.int64
    ).sum(axis=0)
    return [
        _at_most("empty_list_share", float((sizes == 0).mean()), EMPTY_LIST_SHARE_MAX),
        _at_most(
            "biggest_list_share", float(sizes.max() / max(1, sizes.sum())), BIGGEST_LIST_SHARE_MAX
        ),
    ]


def _sample(candidate: Candidate) -> np.ndarray:
    parts = []
    for segment, vectors in zip(candidate.segments, candidate.vectors, strict=True):
        share = -(-_SAMPLE_ROWS // max(1, len(candidate.segments)))
        rows = query_rows(segment.rows.column("unit_id").to_pylist(), share)
        parts.append(vectors[rows[rows < len(vectors)]])
    if not parts:
        return np.zeros((0, 1), dtype=np.float32)
    sample = np.concatenate(parts)
    return np.unique(sample[np.isfinite(sample).all(axis=1)], axis=0)


def _at_most(name: str, value: float, threshold: float) -> GateCheck:
    return GateCheck(
        name, float(value), float(threshold), at_least=False, passed=bool(value <= threshold)
    )


def _at_least(name: str, value: float, threshold: float) -> GateCheck:
    return GateCheck(
        name, float(value), float(threshold), at_least=True, passed=bool(value >= threshold)
    )
