"""Numbers about a segment's vectors that are taken once, where it is built, and stay with it."""

from __future__ import annotations

from typing import Final

import numpy as np

from stages.index.families import one_thread

HUB_K: Final = 10
_SAMPLE_ROWS: Final = 2000
_ZERO_NORM: Final = 1e-6


def health(vectors: np.ndarray, *, normalised: bool) -> dict[str, float]:
    """What the gate wants to know of vectors, float32 [n, dim], before they go into an index.

    Returns:
        not_finite: Vectors with NaN or infinity.
        zero_vectors: Vectors of length 0 (less than 1e-6).
        norm_error: Largest distance of a length from 1; 0 in a space that is not normalised.
        hubness: Of a sample, see `hubness`.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    finite = np.isfinite(norms)
    error = float(np.abs(norms[finite] - 1).max()) if normalised and finite.any() else 0.0
    return {
        "not_finite": float((~finite).sum()),
        "zero_vectors": float((norms < _ZERO_NORM).sum()),
        "norm_error": error,
        "hubness": hubness(_sample(vectors[finite])),
    }


def hubness(sample: np.ndarray, k: int = HUB_K) -> float:
    """Skewness of how often each vector is among the `k` nearest of the others; 0 for fewer than k + 2 vectors.

    Radovanovic et al., JMLR 11 (2010). Text and image vectors of healthy encoders lie at 1 to 5; one vector among the
    ten nearest of every other of 2,000 gives about the root of the sample, 44.

    Args:
        sample: float32 [n, dim], without exact repetitions (equal vectors would pass for hubs).
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


def _sample(vectors: np.ndarray) -> np.ndarray:
    """Evenly spread over the rows, which are in order of their ids: as good as random, and always the same."""
    step = max(1, len(vectors) // _SAMPLE_ROWS)
    return np.ascontiguousarray(np.unique(vectors[::step][:_SAMPLE_ROWS], axis=0))
