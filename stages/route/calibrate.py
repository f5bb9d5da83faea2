"""Making scores of different spaces and partitions comparable.

A cosine of 0.3 is a fine hit for a picture and noise for a passage. So each index records, when it is built, how
similar its best hit is to questions that belong elsewhere: the text vectors of other partitions. A hit is judged by
how far it stands above that background, in standard deviations, which the logistic function maps to 0..1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKGROUND_QUERIES: Final = 64  # of each partition
_MIN_STD: Final = 0.02  # a background of few, alike queries would make every hit a miracle
_CHUNK_ROWS: Final = 1 << 16


def calibrate(vectors: np.ndarray, background: np.ndarray) -> dict[str, float]:
    """Mean and standard deviation of the best similarity that background queries find in an index.

    Args:
        vectors: float32 [n, dim], the rows of the index, unit length.
        background: float32 [n_queries, dim], queries that belong elsewhere, unit length; may be empty.
    """
    if not len(background) or not len(vectors):
        return {"best_mean": 0.0, "best_std": 1.0}
    best = np.full(len(background), -1.0, dtype=np.float32)
    for start in range(0, len(vectors), _CHUNK_ROWS):
        similarities = background @ vectors[start : start + _CHUNK_ROWS].T
        best = np.maximum(best, similarities.max(axis=1))
    return {
        "best_mean": round(float(best.mean()), 6),
        "best_std": round(max(_MIN_STD, float(best.std())), 6),
    }


def standing(similarity: float, calibration: Mapping[str, float]) -> float:
    """Standard deviations above the background's best hits."""
    return (similarity - calibration.get("best_mean", 0.0)) / calibration.get("best_std", 1.0)


def score(deviations: float) -> float:
    """`standing` as 0..1; a hit no better than the background's best has 0.5."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, deviations))))
