"""How one segment is asked: inside its index, or row by row where a filter leaves few.

With a share s of the rows allowed, an index must look about 1/s times as far to see as many allowed rows as it was
tuned to see: into 1/s times as many lists, along 1/s times as many vectors of a graph. So its knobs are raised by 1/s,
at most to their largest, and it is given a selector. That compares as many vectors as a search without a filter until
the knobs are at their largest; from there on it is exhaustive, and compares fewer the fewer rows are allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.index.full import blocks, compare, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.space import Metric
    from stages.index.segments import OpenSegment

# Comparing a row of full.npy takes as long as passing this many in lists or codes (measured: docs/filters.md).
_PASSED_PER_ROW: Final = 8
_SIMILARITIES: Final = 1 << 22  # at a time, when rows are compared one by one: 16 MiB


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of one segment that may be found.

    Attributes:
        count: How many.
        mask: Which, bool [rows of the segment]; None for all.
        bitmap: The same as a uint8 bitmap, as a family takes it.
    """

    count: int
    mask: np.ndarray | None = None
    bitmap: np.ndarray | None = None

    def within(self, allowed: np.ndarray | None) -> Selection:
        """Those of them that are allowed too, bool [rows of the segment]; None allows all."""
        if allowed is None:
            return self
        return Selection.of_mask(allowed if self.mask is None else allowed & self.mask)

    @classmethod
    def of_mask(cls, mask: np.ndarray) -> Selection:
        """The rows where `mask`, bool [rows], is True."""
        count = int(np.count_nonzero(mask))
        if count == len(mask):
            return cls(count)
        return cls(count, mask, np.packbits(mask, bitorder="little"))


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard to search.

    Attributes:
        width: Candidates to ask for.
        factor: By how much the knobs are raised; infinity for their largest.
    """

    width: int
    factor: float = 1.0


def raised(segment: OpenSegment, search: Mapping[str, int], factor: float) -> Mapping[str, int]:
    """The search parameters of one segment with its knobs raised by `factor`, if it has lists.

    Lists are shared by all segments, so the share of all rows counts. A graph finds its way by itself.
    """
    if factor == 1 or "nlist" not in segment.parameters:
        return search
    changed = dict(search)
    for knob in segment.family.knobs(len(segment.rows), segment.parameters):
        if knob.name in search:
            most = max(knob.largest, search[knob.name])
            wanted = search[knob.name] * factor
            changed[knob.name] = most if wanted >= most else math.ceil(wanted)
    return changed


class Inside:
    """Asks the indices of segments some queries. What they would all compute alike is computed once.

    Args:
        queries: float32 [n, dim] of the space.
        search: Values of the knobs as they were tuned.
    """

    def __init__(self, queries: np.ndarray, search: Mapping[str, int]) -> None:
        self._queries = queries
        self._search = search
        self._probes: dict[tuple[int, ...], Any] = {}

    def ask(
        self, segment: OpenSegment, selection: Selection, effort: Effort
    ) -> tuple[np.ndarray, np.ndarray]:
        """float32 scores and int64 rows [n, width], best first; -inf and -1 where there were fewer."""
        if self._queries.shape[1] > segment.dim:
            self._queries = _cut(self._queries, segment.dim)
        search = raised(segment, self._search, effort.factor)
        knobs = tuple(search.values())
        if knobs not in self._probes:
            self._probes[knobs] = segment.family.probe(segment.index, self._queries, search)
        return segment.family.search(
            segment.index,
            self._queries,
            min(effort.width, selection.count),
            search,
            selected=selection.bitmap,
            probe=self._probes[knobs],
        )


def _cut(queries: np.ndarray, dims: int) -> np.ndarray:
    """The leading dims, renormalised (Kusupati et al. 2022, arXiv 2205.13147)."""
    leading = queries[:, :dims]
    lengths = np.linalg.norm(leading, axis=1, keepdims=True)
    return np.ascontiguousarray(leading / np.maximum(lengths, np.finfo(np.float32).tiny))


def row_by_row(
    segment: OpenSegment, selection: Selection, search: Mapping[str, int], effort: Effort
) -> bool:
    """Whether the allowed rows are compared one by one, by their full vectors, instead of asking the index.

    So it is when that costs less than what the index would look at, and when all of them would be compared anyway.
    """
    if segment.full is None or selection.mask is None:
        return False
    if selection.count <= effort.width:
        return True
    rows, dim, parameters = len(segment.rows), segment.dim, segment.parameters
    higher = raised(segment, search, effort.factor)
    scanned = segment.family.scanned_bytes(rows, dim, parameters, higher)
    passed = min(rows, scanned / segment.family.code_bytes(dim, parameters))
    return selection.count * _PASSED_PER_ROW <= passed


def nearest_rows(
    segment: OpenSegment, selection: Selection, queries: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` best of the selected rows by their full vectors; of equal ones the first.

    Args:
        segment: With full vectors.
        selection: Of some of its rows.
        queries: float32 [n_queries, dim].
        k: How many.
        metric: What is near.

    Returns:
        float32 similarities and int64 rows [n_queries, min(k, selected)], best first.
    """
    rows = (
        np.flatnonzero(selection.mask) if selection.mask is not None else np.arange(selection.count)
    )
    width = min(k, len(rows))
    scores = np.empty((len(queries), width), dtype=np.float32)
    ids = np.empty((len(queries), width), dtype=np.int64)
    step = max(1, _SIMILARITIES // len(rows))
    for start in range(0, len(queries), step):
        near = _all_similarities(segment, rows, queries[start : start + step], metric)
        for i, row in enumerate(near, start):
            # Everything as near as the k-th, in order of row: a partial sort picks any of equals.
            last = np.partition(row, len(row) - width)[len(row) - width]
            enough = np.flatnonzero(row >= last)
            best = enough[np.argsort(-row[enough], kind="stable")[:width]]
            scores[i], ids[i] = row[best], rows[best]
    return scores, ids


def _all_similarities(
    segment: OpenSegment, rows: np.ndarray, queries: np.ndarray, metric: Metric
) -> np.ndarray:
    stored = np.asarray(segment.full)
    near = np.empty((len(queries), len(rows)), dtype=np.float32)
    done = 0
    for block in blocks(rows, stored.shape[1]):
        vectors = decode(stored[block])
        for i, query in enumerate(queries):
            near[i, done : done + len(block)] = compare(query, vectors, metric)
        done += len(block)
    return near
