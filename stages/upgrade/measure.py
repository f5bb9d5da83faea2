"""What a map loses: how much of what is nearest in the new space a mapped query finds among the old vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from schemas.space import Metric

K: Final = 10
_TOLERANCE: Final = 1e-6  # as near as the tenth best, but for the last bits of a float32
_QUERIES_AT_ONCE: Final = 256


def recall_at_10(
    wanted: tuple[np.ndarray, np.ndarray],
    asked: tuple[np.ndarray, np.ndarray],
    own: np.ndarray,
    metrics: tuple[Metric, Metric] = ("inner_product", "inner_product"),
) -> float:
    """Share of the ten rows found in one space that are among the ten nearest in another.

    As everywhere here, a row counts when it is at least as near as the tenth best, so among equal rows any will do.

    Args:
        wanted: Queries, float32 [q, dim], and rows, float32 [n, dim], in the space that says what is near.
        asked: The same queries and rows in the space that is searched, of whatever dim.
        own: Row that each query was made of, which is no answer to it, int64 [q]; -1 for none.
        metrics: What is near in each.

    Returns:
        0 to 1, against all other rows where there are fewer than ten; NaN without queries or other rows.
    """
    k = min(K, len(wanted[1]) - 1)
    if k < 1 or not len(own):
        return float("nan")
    hits = 0
    for start in range(0, len(own), _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        near = _similarities(wanted[0][some], wanted[1], own[some], metrics[0])
        found = _similarities(asked[0][some], asked[1], own[some], metrics[1])
        best = np.argpartition(-found, k - 1, axis=1)[:, :k]
        tenth = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
        hits += int((np.take_along_axis(near, best, axis=1) >= tenth - _TOLERANCE).sum())
    return hits / (k * len(own))


def _similarities(
    queries: np.ndarray, rows: np.ndarray, own: np.ndarray, metric: Metric
) -> np.ndarray:
    found: np.ndarray = queries @ rows.T
    if metric == "l2":
        found = 2 * found - np.square(rows).sum(axis=1) - np.square(queries).sum(axis=1)[:, None]
    made_of = np.flatnonzero(own >= 0)
    found[made_of, own[made_of]] = -np.inf
    return found
