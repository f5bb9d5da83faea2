"""The coarse quantiser of families with lists: k-means centroids, and finding the nearest of them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.index.families import _faiss
from stages.index.families._gpu import to_gpu
from stages.index.families.protocol import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.space import Metric

KMEANS_ITERATIONS: Final = 10  # faiss' own default for the quantiser of an IVF index
# From here on k-means has two levels: as many clusters as the root of the lists, the lists inside of each, and then all
# lists over all rows. 2048 lists of 81,920 rows of 384 dims, one thread: 5 s instead of 18, cosine of rows to their
# centroids 0.618 instead of 0.619, imbalance 1.43 instead of 1.47, recall of 16 lists 0.968 instead of 0.974.
LEVELS_FROM: Final = 1024
# Over groups of centroids too: 8192 lists of 327,680 rows take 31 s, with rounds over all of them 102 s, and the
# cosine of rows to their centroids is the same (0.697).
_LAST_ROUNDS: Final = 2
_TINY: Final = 1e-12
# 65,536 vectors, one thread: 0.9 s instead of 1.5 with 2048 lists; 99.5 % go into the same list as by a scan of all.
_GROUPS_LOOKED_INTO: Final = 8
_ASSIGNED_AT_ONCE: Final = 1 << 16
# From here on a query finds its lists faster by a graph over the centroids. One thread, 384 dims, the nearest 32 lists,
# by graph and by scan: 0.24 and 0.36 ms of 4096, 0.30 and 1.1 ms of 8192, 0.63 and 3.2 ms of 16384; 94 % are the same.
GRAPH_LISTS: Final = 8192
_GRAPH_LINKS: Final = 32
_GRAPH_EF_CONSTRUCTION: Final = 80
_GRAPH_LEAST_EF: Final = 64
# A walk of effort 2 * nprobe costs about 5 us for each, a scan 0.15 us for each list: beyond this share it is slower.
_GRAPH_LARGEST_SHARE: Final = 1 / 64


def trained_quantiser(sample: np.ndarray, nlist: int, metric: Metric) -> Any:
    """A quantiser with the centroids of `sample`, float32 [n, d] with n at least `nlist`: flat, or a graph over many.

    k-means is spherical for inner product. It runs over exactly the sample, on a GPU if there is one.
    """
    faiss = _faiss.library()

    dim = sample.shape[1]
    with _faiss.one_thread():
        centroids = _centroids(sample, nlist, metric)
        quantiser = (
            _graph(dim, metric)
            if nlist >= GRAPH_LISTS
            else faiss.IndexFlat(dim, _faiss.metric_code(metric))
        )
        quantiser.add(centroids)
    return quantiser


def _centroids(sample: np.ndarray, count: int, metric: Metric) -> np.ndarray:
    if count < LEVELS_FROM or _faiss.library().get_num_gpus():
        return _kmeans(sample, count, metric)
    whole = _kmeans(sample, _groups(count), metric)
    group = _nearest(sample, whole, 1, metric)[1][:, 0]
    rows, order = np.bincount(group, minlength=len(whole)), np.argsort(group, kind="stable")
    ends = np.cumsum(rows)
    shares = np.diff(ends * count // len(sample), prepend=0)
    centroids = np.concatenate(
        [
            _kmeans(sample[order[end - size : end]], int(share), metric)
            for end, size, share in zip(ends, rows, shares, strict=True)
            if share
        ]
    )
    for _ in range(_LAST_ROUNDS):
        centroids = _moved(centroids, sample, metric)
    return centroids


def _kmeans(sample: np.ndarray, count: int, metric: Metric) -> np.ndarray:
    """float32 [count, d]."""
    faiss = _faiss.library()

    dim = sample.shape[1]
    clustering = faiss.Clustering(dim, count)
    clustering.seed, clustering.niter = SEED, KMEANS_ITERATIONS
    clustering.spherical = metric == "inner_product"
    clustering.max_points_per_centroid = len(sample)  # never subsamples
    clustering.min_points_per_centroid = 1  # only silences a warning
    centroids = faiss.IndexFlat(dim, _faiss.metric_code(metric))
    if faiss.get_num_gpus():
        centroids = to_gpu(centroids)
    clustering.train(np.ascontiguousarray(sample), centroids)
    # From the index, not from Clustering.centroids: where pymupdf is loaded too, SWIG takes that vector for its own.
    return np.asarray(centroids.reconstruct_n(0, count))


def _moved(centroids: np.ndarray, sample: np.ndarray, metric: Metric) -> np.ndarray:
    """One round of Lloyd's: each centroid to the mean of the rows that are nearest to it, if there are any."""
    own = _list_of_each(centroids, sample, metric)
    rows, order = np.bincount(own, minlength=len(centroids)), np.argsort(own, kind="stable")
    there = np.flatnonzero(rows)
    sums = np.add.reduceat(sample[order], (np.cumsum(rows) - rows)[there], axis=0)
    moved = centroids.copy()
    moved[there] = sums / rows[there, None].astype(np.float32)
    if metric == "inner_product":
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), _TINY)
    return moved


def _groups(count: int) -> int:
    return math.isqrt(count)


def _nearest(
    vectors: np.ndarray, centroids: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest centroids of each vector: scores, the larger the nearer, float32, and numbers int64 [n, k]."""
    code = _faiss.metric_code(metric)
    distances, numbers = _faiss.library().knn(vectors, centroids, k, metric=code)
    return (distances if metric == "inner_product" else -distances), numbers


def _graph(dim: int, metric: Metric) -> Any:
    faiss = _faiss.library()

    graph = faiss.IndexHNSWFlat(dim, _GRAPH_LINKS, _faiss.metric_code(metric))
    graph.hnsw.efConstruction = _GRAPH_EF_CONSTRUCTION
    return graph


def nearest_lists(ivf: Any, queries: np.ndarray, nprobe: int) -> tuple[np.ndarray, np.ndarray]:
    """The lists to look into: faiss' distances float32 and ids int64 [n, nprobe], nearest first."""
    faiss = _faiss.library()

    quantiser = faiss.downcast_index(ivf.quantizer)
    if isinstance(quantiser, faiss.IndexHNSW) and nprobe <= ivf.nlist * _GRAPH_LARGEST_SHARE:
        options = faiss.SearchParametersHNSW(efSearch=_graph_effort(nprobe))
        distances, ids = quantiser.search(queries, nprobe, params=options)
    else:
        distances, ids = _flat(quantiser).search(queries, nprobe, params=_faiss.every())
    return distances, ids


def _graph_effort(nprobe: int) -> int:
    return max(2 * nprobe, _GRAPH_LEAST_EF)


def list_of_each(ivf: Any, vectors: np.ndarray) -> np.ndarray:
    """The list that each vector goes into, int64 [n]: of its nearest centroid, or of one that is hardly farther."""
    faiss = _faiss.library()

    quantiser = _flat(faiss.downcast_index(ivf.quantizer))
    metric: Metric = "inner_product" if ivf.metric_type == faiss.METRIC_INNER_PRODUCT else "l2"
    return _list_of_each(quantiser.reconstruct_n(0, ivf.nlist), vectors, metric)


def _list_of_each(centroids: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """With many centroids these are grouped, and a vector is compared with those of its nearest groups."""
    if len(centroids) < LEVELS_FROM:
        return np.ascontiguousarray(_nearest(vectors, centroids, 1, metric)[1][:, 0])
    groups = _kmeans(centroids, _groups(len(centroids)), metric)
    group_of = _nearest(centroids, groups, 1, metric)[1][:, 0]
    members = [np.flatnonzero(group_of == number) for number in range(len(groups))]
    chosen = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), _ASSIGNED_AT_ONCE):
        part = slice(start, start + _ASSIGNED_AT_ONCE)
        near = _nearest(vectors[part], groups, _GROUPS_LOOKED_INTO, metric)[1]
        chosen[part] = _best_member(vectors[part], near, centroids, members, metric)
    return chosen


def _best_member(
    vectors: np.ndarray,
    near: np.ndarray,
    centroids: np.ndarray,
    members: list[np.ndarray],
    metric: Metric,
) -> np.ndarray:
    """The nearest centroid among those of the groups `near`, int64 [n, groups looked into], of each vector."""
    best = np.full(len(vectors), -np.inf, dtype=np.float32)
    chosen = np.zeros(len(vectors), dtype=np.int64)
    order = np.argsort(near, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(near.ravel(), minlength=len(members)))
    for numbers, rows in zip(members, np.split(order // near.shape[1], ends[:-1]), strict=True):
        if len(numbers) and len(rows):
            scores, which = _nearest(vectors[rows], centroids[numbers], 1, metric)
            better = scores[:, 0] > best[rows]
            best[rows[better]] = scores[better, 0]
            chosen[rows[better]] = numbers[which[better, 0]]
    return chosen


@contextmanager
def scanned_quantiser(ivf: Any) -> Iterator[None]:
    """Assign vectors by a scan over the centroids while this lasts, also where there is a graph over them.

    Many vectors at once are assigned by matrix products: exactly, and up to 16384 lists no slower than by the graph
    (one thread, 384 dims: 0.14 and 0.27 ms a vector of 8192, 0.26 and 0.39 of 16384, 0.55 and 0.48 of 32768).
    """
    faiss = _faiss.library()

    quantiser = ivf.quantizer
    ivf.quantizer = _flat(faiss.downcast_index(quantiser))
    try:
        yield
    finally:
        ivf.quantizer = quantiser


def _flat(quantiser: Any) -> Any:
    faiss = _faiss.library()

    if isinstance(quantiser, faiss.IndexHNSW):
        return faiss.downcast_index(quantiser.storage)
    return quantiser


def coarse_bytes(nlist: int, dim: int, nprobe: int) -> float:
    """About how many bytes :func:`nearest_lists` looks at for one query."""
    if nlist >= GRAPH_LISTS and nprobe <= nlist * _GRAPH_LARGEST_SHARE:
        return _faiss.walked(_graph_effort(nprobe)) * 4.0 * dim
    return nlist * 4.0 * dim
