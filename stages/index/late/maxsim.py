"""MaxSim: for each vector of a query the best cosine among those of a unit, and the mean of these.

Khattab and Zaharia 2020 (arXiv 2004.12832) add them up; the mean ranks alike and is a cosine, so that it can be
compared with other spaces and with queries of other lengths.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_PRODUCTS: Final = 1 << 24  # at a time: 64 MiB of float32


def maxsim(query: np.ndarray, vectors: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Of one query to some units; a unit gives the same bits in any company.

    Args:
        query: float32 [q, dim], q at least 1.
        vectors: float32 [n, dim], of one unit after the other.
        starts: int64 [units], where each one's vectors begin; ascending, from 0, none empty.

    Returns:
        float32 [units]. E.g. the query [[1, 0], [0, 1]] and a unit with [[1, 0]] and [[.8, .6]] give (1 + .6) / 2.
    """
    best = np.empty((len(query), len(starts)), dtype=np.float32)
    for row, vector in enumerate(query):
        # vecdot makes each product by itself; a matrix product has other low bits at its edges.
        best[row] = np.maximum.reduceat(np.vecdot(vectors, vector), starts)
    return np.asarray(best.mean(axis=0, dtype=np.float64), dtype=np.float32)


def all_maxsims(
    queries: np.ndarray, firsts: np.ndarray, vectors: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Of many queries to all units, for measuring against: by matrix products, so to about 1e-6.

    Args:
        queries: float32 [n, dim], of one query after the other.
        firsts: int64 [queries], where each one's vectors begin.
        vectors: float32 [m, dim], of one unit after the other.
        starts: int64 [units], where each one's begin.

    Returns:
        float32 [queries, units].
    """
    counts = np.diff(firsts, append=len(queries))[:, None].astype(np.float32)
    found = np.empty((len(firsts), len(starts)), dtype=np.float32)
    ends = np.append(starts[1:], len(vectors))
    most = max(1, _PRODUCTS // max(1, len(queries)))
    first = 0
    while first < len(starts):
        last = max(first + 1, int(np.searchsorted(ends, starts[first] + most, side="right")))
        products = queries @ vectors[starts[first] : ends[last - 1]].T
        best = np.maximum.reduceat(products, starts[first:last] - starts[first], axis=1)
        found[:, first:last] = np.add.reduceat(best, firsts, axis=0) / counts
        first = last
    return found
