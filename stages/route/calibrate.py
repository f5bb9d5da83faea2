"""Making similarities of different spaces comparable.

A cosine of 0.3 is a fine hit for a picture and noise for a passage: each encoder has a scale of its own. So each
index records, when it is built, how similar its best hit is to questions about anything (background.py), and a
hit is judged by how far it stands above what its *space* answers to them, in standard deviations (the z-norm of speaker
verification, Auckenthaler et al. 2000). One scale for a whole space, because within it cosines are comparable as they
are: a scale for each partition would punish the partitions that have good answers to anything
(docs/decisions/0014-one-scale-for-a-space.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.manifest import IndexManifest, Manifest

_MIN_STD: Final = 0.02  # a background of alike answers would make every hit a miracle
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of the best similarity that background questions find in a space."""

    mean: float = 0.0
    std: float = 1.0

    def standing(self, similarity: np.ndarray) -> np.ndarray:
        """Standard deviations above the background, of similarities of any shape; float64."""
        above: np.ndarray = (np.asarray(similarity, dtype=np.float64) - self.mean) / self.std
        return above


def calibrate(best: np.ndarray) -> dict[str, float]:
    """What an index answers to background questions, as it stands in the manifest.

    Args:
        best: float32 [n_questions], the similarity of the best row to each question, at least one.

    Returns:
        Mean and standard deviation over the questions.
    """
    return {
        "best_mean": round(float(best.mean()), _DECIMALS),
        "best_std": round(float(best.std()), _DECIMALS),
    }


def space_scales(indexes: Iterable[IndexManifest]) -> dict[str, Scale]:
    """The scale of each space, by its key: the mean over its indices. A space without calibration keeps raw cosines."""
    found: dict[str, list[tuple[float, float]]] = {}
    for index in indexes:
        numbers = found.setdefault(index.space, [])
        if index.calibration:
            numbers.append((index.calibration["best_mean"], index.calibration["best_std"]))
    return {space: _mean(numbers) for space, numbers in found.items()}


def as_asked(manifest: Manifest) -> list[IndexManifest]:
    """The indices of a snapshot; what is asked by a map is calibrated to mapped questions."""
    mapped = {
        (measured.partition, space_map.target): measured.calibration
        for space_map in manifest.maps
        for measured in space_map.partitions
    }
    return [
        replace(index, calibration=mapped.get((index.partition, index.space), index.calibration))
        for index in manifest.indexes
    ]


def _mean(numbers: list[tuple[float, float]]) -> Scale:
    if not numbers:
        return Scale()
    mean, std = np.mean(numbers, axis=0).tolist()
    return Scale(mean, max(_MIN_STD, std))
