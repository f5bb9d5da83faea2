"""Fewer vectors a unit, chosen when its index is built: alike ones are averaged, or the leading ones are taken."""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas.space import TokenVectors

_LEAST_NORM: Final = 1e-12
_DECIMALS: Final = 10


def reduced(unit: TokenVectors, *, prefix: int = 0, pool: int = 1) -> TokenVectors:
    """What is kept of a unit's vectors.

    Args:
        unit: As encoded.
        prefix: The leading vectors alone, where the space's contract says that they stand for the unit (nested vectors
            as of MetaEmbed, Xiao et al. 2025, arXiv 2509.18095); 0 for all.
        pool: About as many vectors become one, see `pooled`; 1 for none.
    """
    if prefix:
        unit = TokenVectors(unit.vectors[:prefix], unit.kinds[:prefix])
    return pooled(unit, pool)


def pooled(unit: TokenVectors, factor: int) -> TokenVectors:
    """Alike vectors averaged, of length 1 again: ceil(n / factor) of each kind.

    Hierarchical clustering by Ward's criterion, as Clavie et al. 2024 (arXiv 2409.14683) found best for factors of 2 to
    4. Only vectors of one kind are joined, so that every kind is still told; those kept are in the order of the first
    vector of each cluster.
    """
    if factor == 1:
        return unit
    own = np.empty(len(unit.kinds), dtype=np.int64)
    clusters = 0
    for kind in np.unique(unit.kinds):
        members = np.flatnonzero(unit.kinds == kind)
        own[members] = clusters + _ward(unit.vectors[members], -(-len(members) // factor))
        clusters += -(-len(members) // factor)
    sums = np.zeros((clusters, unit.vectors.shape[1]))
    np.add.at(sums, own, unit.vectors)
    lengths = np.sqrt(np.vecdot(sums, sums))[:, None]
    firsts = np.full(clusters, len(own))
    np.minimum.at(firsts, own, np.arange(len(own)))
    order = np.argsort(firsts)
    means = (sums / np.maximum(lengths, _LEAST_NORM)).astype(np.float32)
    return TokenVectors(means[order], unit.kinds[firsts[order]])


def _ward(vectors: np.ndarray, count: int) -> np.ndarray:
    """Numbers 0..count-1 of the clusters of vectors float32 [n, dim], int64 [n]; n is at least `count`.

    The two clusters are joined whose union adds least to the sum of squares (Ward 1963), by the update of Lance and
    Williams 1967, until `count` are left; of equal pairs the first.
    """
    wide = vectors.astype(np.float64)
    squares = np.vecdot(wide, wide)
    # Rounded, since the last bits of a product depend on threads, and vectors of equal cost are common.
    costs = np.round(squares[:, None] + squares - 2 * wide @ wide.T, _DECIMALS)
    np.fill_diagonal(costs, np.inf)
    sizes = np.ones(len(wide))
    joined = np.arange(len(wide))
    nearest = costs.argmin(axis=1)
    lowest = costs[np.arange(len(wide)), nearest]
    for _ in range(len(wide) - count):
        a = int(lowest.argmin())
        a, b = sorted((a, int(nearest[a])))
        merged = _joined_costs(costs, sizes, a, b)
        sizes[a] += sizes[b]
        joined[joined == b] = a
        costs[a], costs[:, a], costs[b], costs[:, b] = merged, merged, np.inf, np.inf
        stale = np.flatnonzero((nearest == a) | (nearest == b) | (merged < lowest))
        stale = np.append(stale, a)
        nearest[stale] = costs[stale].argmin(axis=1)
        lowest[stale] = costs[stale, nearest[stale]]
        lowest[b] = np.inf
    return np.unique(joined, return_inverse=True)[1]


def _joined_costs(costs: np.ndarray, sizes: np.ndarray, a: int, b: int) -> np.ndarray:
    """Of every cluster with the union of `a` and `b`; infinite to themselves and to those that are gone."""
    total = sizes + sizes[a] + sizes[b]
    found: np.ndarray = (
        (sizes + sizes[a]) * costs[a] + (sizes + sizes[b]) * costs[b] - sizes * costs[a, b]
    ) / total
    found[[a, b]] = np.inf
    return found
