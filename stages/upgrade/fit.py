"""Fitting a map between two spaces from vectors of the same inputs in both.

A rotation first: the orthogonal Procrustes solution (Schoenemann 1966, doi 10.1007/BF02289451) of the centred vectors;
between different dims a rectangular matrix with orthonormal rows or columns. Then what it leaves over by ridge
regression. The strength of the ridge goes up to infinite, where the rotation stays alone, and is chosen by what is
found for pairs that neither was fitted to: where vectors share a large mean, cosines say little about ranks.
The setting, and other maps for it: Drift-Adapter, arXiv 2509.23471.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import ConfigError, VectorError
from stages.index.maps import AffineMap
from stages.upgrade.measure import recall_at_10

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import Metric

_SEED: Final = 1234
_CHOOSING_SHARE: Final = 0.2
_CHOOSING: Final = (
    500  # pairs asked with at most: the standard error of their mean recall is near 0.01
)
# In units of the mean eigenvalue of the covariance of the inputs; of equally good ones the first stays.
RIDGES: Final = (np.inf, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Fitted:
    """A map, and how it came about.

    Attributes:
        map: From the first space to the second.
        ridge: Strength of the ridge, see `RIDGES`; infinite for a rotation alone.
        recall: recall@10 among the sample of pairs that were left out while `ridge` was chosen.
        pairs: Pairs it was fitted to in the end: all of them.
    """

    map: AffineMap
    ridge: float
    recall: float
    pairs: int

    @property
    def method(self) -> str:
        """In words."""
        return "procrustes" if np.isinf(self.ridge) else f"procrustes, ridge {self.ridge:g}"


def least_pairs(dim: int, other_dim: int) -> int:
    """Pairs without which a rotation is not determined, some left out to choose by."""
    return int(np.ceil(min(dim, other_dim) / (1 - _CHOOSING_SHARE)))


def fit_map(
    vectors: np.ndarray,
    others: np.ndarray,
    *,
    normalised: bool = True,
    metrics: tuple[Metric, Metric] = ("inner_product", "inner_product"),
    ridges: Sequence[float] = RIDGES,
) -> Fitted:
    """The map from one space into another. The same pairs in the same order give the same map.

    Args:
        vectors: float32 [n, dim], of inputs in the first space.
        others: float32 [n, other dim], of the same inputs in the second.
        normalised: Whether vectors of the second space have length 1.
        metrics: What is near in the first space and in the second.
        ridges: To choose from.

    Raises:
        ConfigError: Fewer pairs than `least_pairs`.
        VectorError: They do not pair, or are not finite.
    """
    _check(vectors, others)
    pairs = _Pairs.of(vectors, others)
    chosen_by = np.zeros(len(vectors), dtype=bool)
    order = np.random.default_rng(_SEED).permutation(len(vectors))
    chosen_by[order[: round(_CHOOSING_SHARE * len(vectors))]] = True
    trial = pairs.take(~chosen_by).solver()
    asking = np.flatnonzero(chosen_by)[:_CHOOSING]
    best_ridge, best_recall = np.inf, -1.0
    for ridge in ridges:
        mapped = trial.map(ridge, normalised=normalised).apply(vectors[asking])
        recall = recall_at_10((vectors[asking], vectors), (mapped, others), asking, metrics)
        if recall > best_recall:
            best_ridge, best_recall = ridge, recall
    fitted = pairs.solver().map(best_ridge, normalised=normalised)
    return Fitted(fitted, best_ridge, best_recall, len(vectors))


def _check(vectors: np.ndarray, others: np.ndarray) -> None:
    if vectors.ndim != 2 or others.ndim != 2 or len(vectors) != len(others):
        raise VectorError(f"{list(vectors.shape)} and {list(others.shape)} are no pairs of vectors")
    least = least_pairs(vectors.shape[1], others.shape[1])
    if len(vectors) < least:
        raise ConfigError(
            f"{len(vectors)} pairs of vectors do not determine a map from {vectors.shape[1]} to"
            f" {others.shape[1]} dims: at least {least} are needed. Raise --sample, or embed all of it"
        )
    if not (np.isfinite(vectors).all() and np.isfinite(others).all()):
        raise VectorError("a vector of the sample has NaN or infinity in it")


@dataclass(frozen=True, slots=True)
class _Pairs:
    """float64 [n, dim] and [n, other dim]."""

    vectors: np.ndarray
    others: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray, others: np.ndarray) -> _Pairs:
        return cls(vectors.astype(np.float64), others.astype(np.float64))

    def take(self, chosen: np.ndarray) -> _Pairs:
        return _Pairs(self.vectors[chosen], self.others[chosen])

    def solver(self) -> _Solver:
        """What all ridges have in common."""
        mean, other_mean = self.vectors.mean(axis=0), self.others.mean(axis=0)
        x, y = self.vectors - mean, self.others - other_mean
        rotation = _rotation(x.T @ y)
        values, basis = np.linalg.eigh(x.T @ x)
        return _Solver(mean, other_mean, rotation, values, basis, x.T @ (y - x @ rotation))


@dataclass(frozen=True, slots=True)
class _Solver:
    """Rotation [dim, other dim], eigenvalues and -vectors of the covariance, its product with what is left over."""

    mean: np.ndarray
    other_mean: np.ndarray
    rotation: np.ndarray
    values: np.ndarray
    basis: np.ndarray
    left: np.ndarray

    def map(self, ridge: float, *, normalised: bool) -> AffineMap:
        """The rotation plus the ridge regression of what it leaves over."""
        matrix = self.rotation
        if np.isfinite(ridge):
            shrunk = np.maximum(self.values, 0.0) + ridge * max(float(self.values.mean()), _TINY)
            matrix = matrix + self.basis @ ((self.basis.T @ self.left) / shrunk[:, None])
        offset = self.other_mean - self.mean @ matrix
        return AffineMap(matrix.astype(np.float32), offset.astype(np.float32), normalised)


def _rotation(product: np.ndarray) -> np.ndarray:
    """Schoenemann's: of the singular vectors alone; orthonormal rows or columns, whichever are fewer."""
    left, _, right = np.linalg.svd(product, full_matrices=False)
    found: np.ndarray = left @ right
    return found
