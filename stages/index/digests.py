"""Digests of vectors: what tells that two rows have the same one, without keeping either."""

from __future__ import annotations

from typing import Final

import numpy as np

_SEED: Final = 20_260_101
_CHUNK_ROWS: Final = 1 << 13


def vector_digests(vectors: np.ndarray) -> np.ndarray:
    """uint64 [n], equal where vectors are equal number by number.

    Multilinear hashing (Carter & Wegman 1979) of the 32-bit patterns modulo 2**64: two vectors that differ in an
    odd pattern somewhere collide with odds of 2**-64. Minus zero counts as zero.

    Args:
        vectors: float32 [n, dim].
    """
    factors = np.random.PCG64(_SEED).random_raw(vectors.shape[1]) | np.uint64(1)
    found = np.zeros(len(vectors), dtype=np.uint64)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        chunk = np.ascontiguousarray(vectors[start : start + _CHUNK_ROWS]) + np.float32(0)
        patterns = chunk.view(np.uint32).astype(np.uint64)
        found[start : start + len(chunk)] = (patterns * factors).sum(axis=1, dtype=np.uint64)
    return found
