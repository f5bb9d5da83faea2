"""Recall of an approximate search against exact search over all rows of an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.index.segments import search_segments
from stages.index.truth import GENERAL, SCORE_TOLERANCE, K

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.space import Metric
    from stages.index.segments import Neighbours, OpenSegment
    from stages.index.truth import Truth


class RecallMeter:
    """Measures recall@10 for any choice of search parameters.

    Aware of ties: a row that was found counts when its vector is that of a row at least as near as the tenth nearest
    (less 1e-6), whichever of several equal rows it is.

    Args:
        truth: Of the live rows of these segments; its general questions are not asked.
        segments: As opened from the files that get published.
        metric: What is near.
    """

    def __init__(self, truth: Truth, segments: Sequence[OpenSegment], metric: Metric) -> None:
        asked = ~truth.queries.of_kind(GENERAL)
        truth = truth.pick(np.flatnonzero(asked))
        self._truth = truth
        self._segments = segments
        self._metric: Metric = metric
        self._origins = _places(truth, segments)
        self._digests = [_numbers(segment.rows["vector_digest"]) for segment in segments]

    @property
    def queries(self) -> np.ndarray:
        """float32 [n, dim]."""
        return self._truth.queries.vectors

    def recalls(self, search: Mapping[str, int]) -> dict[str, float]:
        """recall@10, 0..1, by kind of query; 1 where there is nothing to find."""
        near = self._truth.nearest
        if not near.scores.size:
            return dict.fromkeys(self._truth.queries.kinds, 1.0)
        found = self.found(search)
        wanted = np.minimum(K, (near.scores > -np.inf).sum(axis=1))
        kth = near.scores[np.arange(len(near.scores)), np.maximum(wanted - 1, 0)]
        right = near.scores >= (kth - SCORE_TOLERANCE)[:, None]
        shares: dict[str, list[float]] = {}
        for i, kind in enumerate(self._truth.queries.kinds):
            hits = self._hits(found, i, near.digests[i][right[i]])
            share = min(hits, wanted[i]) / wanted[i] if wanted[i] else 1.0
            shares.setdefault(kind, []).append(float(share))
        return {kind: float(np.mean(values)) for kind, values in sorted(shares.items())}

    def found(self, search: Mapping[str, int]) -> Neighbours:
        """What is found with one more than K: the row that a query was made from is found too, and does not count."""
        return search_segments(self._segments, self.queries, K + 1, search, metric=self._metric)

    def _hits(self, found: Neighbours, query: int, right: np.ndarray) -> int:
        segment, row = found.segment[query], found.row[query]
        there = row >= 0
        own = self._origins.get(query)
        if own is not None:
            there &= ~((segment == own[0]) & (row == own[1]))
        places = np.flatnonzero(there)[:K]
        digests = [self._digests[segment[i]][row[i]] for i in places]
        return int(np.isin(np.array(digests, dtype=np.uint64), right).sum())


def _places(truth: Truth, segments: Sequence[OpenSegment]) -> dict[int, tuple[int, int]]:
    """(segment, row) that each query was made from, by number of the query."""
    queries = {origin: i for i, origin in enumerate(truth.queries.origins) if origin}
    if not queries:
        return {}
    wanted = pa.array(list(queries), pa.string())
    found: dict[int, tuple[int, int]] = {}
    for number, segment in enumerate(segments):
        ids = segment.rows["unit_id"]
        for row in np.flatnonzero(pc.is_in(ids, value_set=wanted).to_numpy()).tolist():
            if segment.deleted is None or not segment.deleted[row]:
                found[queries[ids[row].as_py()]] = (number, row)
    return found


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = column.to_numpy()
    return numbers
