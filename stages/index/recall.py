"""Recall of an approximate search against exact search over all vectors of a partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.index.families import SEED, one_thread
from stages.index.segments import search_segments
from stages.index.shards import query_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.index.segments import Neighbours, OpenSegment

K: Final = 10
SCORE_TOLERANCE: Final = 1e-6  # a few units in the last place of a float32 cosine
# Rows of a partition are what its k-means was fitted to; questions of people lie beside them. A query is a row turned
# away by seeded noise to this cosine, about what a good answer has to its question in a text space.
QUERY_COSINE: Final = 0.8
_CHUNK_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries and what exact search says about them.

    Attributes:
        queries: float32 [n, dim], unit length.
        origin_segment, origin_row: int64 [n], the row a query was made from; it is no answer to itself.
        kth: float32 [n], exact similarity of the k-th best other row.
        k: min(10, number of other rows).
    """

    queries: np.ndarray
    origin_segment: np.ndarray
    origin_row: np.ndarray
    kth: np.ndarray
    k: int


def make_truth(segments: Sequence[OpenSegment], vectors: Sequence[np.ndarray], count: int) -> Truth:
    """Draw `count` queries by unit_id (the same ones whatever the order of arrival) and answer them exactly.

    A query is made from a row, and that row is left out of the answers on both sides: it would be found by any
    search and count for a tenth of recall@10.

    Args:
        segments: Of one partition in one space.
        vectors: float32 [rows of segment i, dim] at i, as they came from the encoder, before any codec.
        count: Number of queries; all rows if there are fewer.
    """
    sizes = [len(part) for part in vectors]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    unit_ids = [u for segment in segments for u in segment.rows.column("unit_id").to_pylist()]
    picked = query_rows(unit_ids, count)
    segment = np.searchsorted(starts, picked, side="right").astype(np.int64) - 1
    row = picked - starts[segment]
    k = max(0, min(K, int(starts[-1]) - 1))
    if not len(picked) or not k:
        none = np.zeros(0, dtype=np.int64)
        dim = vectors[0].shape[1] if vectors else 0
        empty = np.zeros((0, dim), dtype=np.float32)
        return Truth(empty, none, none, none.astype(np.float32), 0)
    rows = np.stack([vectors[s][r] for s, r in zip(segment, row, strict=True)])
    queries = _turned(rows)
    return Truth(queries, segment, row, _kth_best(queries, vectors, picked, k), k)


def measure_recall(
    truth: Truth,
    segments: Sequence[OpenSegment],
    vectors: Sequence[np.ndarray],
    family: str,
    search: Mapping[str, int],
) -> float:
    """Recall@10 of a search, 0..1; 1 where there is nothing to find.

    Aware of ties: a row that was found counts when its exact similarity is at least the k-th best one (less 1e-6),
    whichever of several equal rows it is.
    """
    if not truth.k:
        return 1.0
    with one_thread():
        # One more than k: the query's own row is found too, and does not count.
        found = search_segments(segments, truth.queries, truth.k + 1, family, search)
    hits = [_hits(truth, found, vectors, i) for i in range(len(truth.queries))]
    return float(np.mean(hits) / truth.k)


def _hits(truth: Truth, found: Neighbours, vectors: Sequence[np.ndarray], i: int) -> int:
    places = zip(found.segment[i].tolist(), found.row[i].tolist(), strict=True)
    own = (int(truth.origin_segment[i]), int(truth.origin_row[i]))
    others = [place for place in places if place[1] >= 0 and place != own][: truth.k]
    if not others:
        return 0
    exact = np.stack([vectors[s][r] for s, r in others]) @ truth.queries[i]
    return int((exact >= truth.kth[i] - SCORE_TOLERANCE).sum())


def _turned(rows: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(SEED).standard_normal(rows.shape).astype(np.float32)
    noise -= (noise * rows).sum(
        axis=1, keepdims=True
    ) * rows  # keep what is at right angles to the row
    noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-12)
    turned = QUERY_COSINE * rows + np.sqrt(1 - QUERY_COSINE**2) * noise
    return np.ascontiguousarray(turned, dtype=np.float32)


def _kth_best(
    queries: np.ndarray, vectors: Sequence[np.ndarray], own: np.ndarray, k: int
) -> np.ndarray:
    """float32 [n]: brute force in chunks, so memory stays at a few chunks whatever the size of the partition."""
    import faiss

    best = np.full((len(queries), k), -np.inf, dtype=np.float32)
    first = 0
    for part in vectors:
        for start in range(0, len(part), _CHUNK_ROWS):
            chunk = np.ascontiguousarray(part[start : start + _CHUNK_ROWS])
            with one_thread():
                scores, rows = faiss.knn(
                    queries, chunk, min(k + 1, len(chunk)), metric=faiss.METRIC_INNER_PRODUCT
                )
            scores = np.where(rows + first == own[:, None], np.float32(-np.inf), scores)
            best = -np.sort(-np.concatenate([best, scores], axis=1), axis=1)[:, :k]
            first += len(chunk)
    return best[:, -1]
