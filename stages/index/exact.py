"""Exact neighbours by brute force: what approximate search is measured against.

Similarities come from float64 sums, rounded once; faiss only narrows the choice down. So they and the order do not
depend on how the vectors were cut into chunks, on threads, or on which processor found them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.engine import Answer
from stages.index.families import library, metric_code
from stages.index.families import threads as on_threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.space import Metric

_MORE: Final = 32  # candidates beyond k: enough that a tie at the end is seen to be none
_QUERIES_AT_ONCE: Final = 32
_ROWS_AT_ONCE: Final = 1 << 12
_GPU_MOST: Final = 2048  # candidates that faiss finds on a GPU
_HALF_ULP: Final = 2.0**-24


@dataclass(frozen=True, slots=True)
class Ranked:
    """Neighbours of some queries, nearest first; of equally near ones the lower position comes first.

    Attributes:
        scores: float32 [queries, k]: the inner product, or minus the squared Euclidean distance.
        positions: int64 [queries, k].
    """

    scores: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True, slots=True)
class ExactRequest:
    """The `k` nearest of one chunk.

    Beside it travel the queries, float32 [q, dim], the chunk, float32 [n, dim], and where each of its vectors stands
    among all, int64 [n]. The answer's arrays are those of `Ranked`.
    """

    k: int
    metric: Metric


def answer_exact(request: ExactRequest, arrays: Sequence[np.ndarray]) -> Answer:
    """What a worker answers; its value is how many vectors it looked at."""
    queries, vectors, positions = arrays
    found = chunk_top_k(queries, vectors, positions, request.k, request.metric)
    return Answer(len(vectors), (found.scores, found.positions))


def exact_top_k(
    queries: np.ndarray, chunks: Iterable[np.ndarray], k: int, metric: Metric, *, threads: int = 1
) -> Ranked:
    """The `k` nearest vectors of each query.

    Args:
        queries: float32 [q, dim].
        chunks: float32 [n, dim] each; positions count on from one to the next.
        k: At least 1.
        metric: What is near.
        threads: That faiss may use.

    Returns:
        min(k, vectors) neighbours of each query.
    """
    best = _nothing(len(queries))
    start = 0
    for chunk in chunks:
        positions = np.arange(start, start + len(chunk))
        found = chunk_top_k(queries, chunk, positions, k, metric, threads=threads)
        best = merge_top_k([best, found], k)
        start += len(chunk)
    return best


def chunk_top_k(
    queries: np.ndarray,
    vectors: np.ndarray,
    positions: np.ndarray,
    k: int,
    metric: Metric,
    *,
    threads: int = 1,
) -> Ranked:
    """The `k` nearest of one chunk; `positions`, int64 [n], are those of its vectors. Else as `exact_top_k`."""
    if not len(queries) or not len(vectors):
        return _nothing(len(queries))
    wanted = min(k + _MORE, len(vectors))
    rough, rows = _candidates(queries, vectors, wanted, metric, threads)
    scores = np.empty(rows.shape, np.float32)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        scores[some] = _scores(queries[some], vectors[rows[some]], metric)
    found = _best(scores, positions[rows], k)
    if wanted == len(vectors):
        return found
    # What is no candidate is at most as near as the last one, but for the rounding of float32.
    margin = _rounding(queries, vectors)
    in_doubt = np.flatnonzero(~(rough[:, -1] + margin < found.scores[:, -1]))
    for query in in_doubt:
        whole = _scan(queries[query], vectors, positions, k, metric)
        found.scores[query], found.positions[query] = whole.scores[0], whole.positions[0]
    return found


def merge_top_k(parts: Sequence[Ranked], k: int) -> Ranked:
    """The `k` nearest of several parts, with the neighbours of the same queries."""
    scores = np.concatenate([part.scores for part in parts], axis=1)
    return _best(scores, np.concatenate([part.positions for part in parts], axis=1), k)


def _best(scores: np.ndarray, positions: np.ndarray, k: int) -> Ranked:
    order = np.lexsort((positions, -scores), axis=1)[:, :k]
    return Ranked(
        np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)
    )


def _nothing(queries: int) -> Ranked:
    return Ranked(np.zeros((queries, 0), np.float32), np.zeros((queries, 0), np.int64))


def _scan(
    query: np.ndarray, vectors: np.ndarray, positions: np.ndarray, k: int, metric: Metric
) -> Ranked:
    """One query against every vector of a chunk, where many are nearly as near as each other."""
    best = _nothing(1)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        some = slice(start, start + _ROWS_AT_ONCE)
        scores = _scores(query[None], vectors[None, some], metric)
        best = merge_top_k([best, Ranked(scores, positions[None, some])], k)
    return best


def _scores(queries: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Of queries [q, dim] to vectors of their own [q, n, dim]: float32 [q, n].

    einsum adds up each row by itself, so equal vectors get equal scores wherever they stand; BLAS promises no such
    thing.
    """
    wide = vectors.astype(np.float64)
    if metric == "inner_product":
        scores = np.einsum("qd,qnd->qn", queries.astype(np.float64), wide)
    else:
        wide -= queries[:, None].astype(np.float64)
        scores = -np.einsum("qnd,qnd->qn", wide, wide)
    rounded: np.ndarray = scores.astype(np.float32)
    return rounded


def _rounding(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """How far faiss' float32 scores may be off, [q].

    A dot product of n terms is off by at most n * 2**-24 * |a| |b| (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1); a distance is three of them, of at most (|a| + |b|)**2 together. Doubled, for the last rounding.
    """
    longest = np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max())
    lengths = np.linalg.norm(queries, axis=1) + longest
    bound: np.ndarray = 2 * _HALF_ULP * queries.shape[1] * lengths**2
    return bound


def _candidates(
    queries: np.ndarray, vectors: np.ndarray, count: int, metric: Metric, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nearly the nearest of a chunk, on a GPU where there is one: float32 scores and int64 rows [q, count]."""
    faiss, code = library(), metric_code(metric)
    if faiss.get_num_gpus() > 0 and count <= _GPU_MOST:
        scores, rows = faiss.knn_gpu(_gpu(), queries, vectors, count, metric=code)
    else:
        with on_threads(threads):
            scores, rows = faiss.knn(queries, vectors, count, metric=code)
    return (scores if metric == "inner_product" else -scores), rows


@cache
def _gpu() -> Any:
    """Memory on the GPU to work in: 1.5 GB, so it is taken once."""
    return library().StandardGpuResources()
