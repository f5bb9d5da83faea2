"""Which part of a vector an index holds, and whether a segment keeps the whole beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.index.families.registry import family

if TYPE_CHECKING:
    from collections.abc import Mapping


def indexed(vectors: np.ndarray, dims: int) -> np.ndarray:
    """The leading `dims` of vectors float32 [n, dim], of length 1 again; the vectors themselves if that is all of them.

    Matryoshka representations (Kusupati et al. 2022, arXiv 2205.13147) are used so.
    """
    if dims == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dims]
    lengths = np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(cut / lengths, dtype=np.float32)


def keeps_full(family_name: str, dim: int, parameters: Mapping[str, int]) -> bool:
    """Whether segments of such an index have a full.npy: where the index alone is too coarse to rank by."""
    return family(family_name).rescores or parameters.get("dims", dim) < dim
