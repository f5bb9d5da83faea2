"""The coarse quantiser of families with lists: k-means centroids, and finding the nearest of them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from stages.index.families import _faiss
from stages.index.families._gpu import to_gpu
from stages.index.families.protocol import SEED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from schemas.space import Metric

KMEANS_ITERATIONS: Final = 10  # faiss' own default for the quantiser of an IVF index
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
    clustering = faiss.Clustering(dim, nlist)
    clustering.seed, clustering.niter = SEED, KMEANS_ITERATIONS
    clustering.spherical = metric == "inner_product"
    clustering.max_points_per_centroid = len(sample)  # never subsamples
    clustering.min_points_per_centroid = 1  # only silences a warning
    assigner = faiss.IndexFlat(dim, _faiss.metric_code(metric))
    with _faiss.one_thread():
        clustering.train(sample, to_gpu(assigner) if faiss.get_num_gpus() else assigner)
        centroids = faiss.vector_to_array(clustering.centroids).reshape(nlist, dim)
        quantiser = (
            _graph(dim, metric)
            if nlist >= GRAPH_LISTS
            else faiss.IndexFlat(dim, _faiss.metric_code(metric))
        )
        quantiser.add(centroids)
    return quantiser


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
