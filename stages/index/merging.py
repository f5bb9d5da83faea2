"""One ranking out of what several segments found, with equal similarities in order of unit_id.

Candidates are arrays, [n_queries, width]. Strings are only read where similarities are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.index.segments import OpenSegment


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows of any segments; all arrays [n_queries, width].

    Attributes:
        score: float32, the index' own, by which they were chosen; infinity where rows were compared one by one.
        similarity: float32, what they are ranked by.
        segment: int64 position of the segment.
        row: int64 row in the segment, -1 for none (with a score and a similarity of -inf).
    """

    score: np.ndarray
    similarity: np.ndarray
    segment: np.ndarray
    row: np.ndarray

    @classmethod
    def of_indices(cls, found: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> Candidates:
        """What the indices of segments found: position of the segment, scores and rows of each."""
        score = np.concatenate([scores for _, scores, _ in found], axis=1)
        row = np.concatenate([rows for _, _, rows in found], axis=1)
        own = np.repeat([number for number, _, _ in found], [r.shape[1] for _, _, r in found])
        return cls(score, score, own[None].repeat(len(row), axis=0), row)

    @classmethod
    def of_rows(cls, segment: int, similarity: np.ndarray, row: np.ndarray) -> Candidates:
        """What was found in a segment row by row."""
        score = np.full(row.shape, np.inf, dtype=np.float32)
        return cls(score, similarity, np.full(row.shape, segment), row)

    @property
    def width(self) -> int:
        """Candidates of each query."""
        return int(self.row.shape[1])

    def taken(self, columns: np.ndarray) -> Candidates:
        """Of each query the candidates at `columns`, int64 [n_queries, other width]."""
        line = np.arange(len(columns))[:, None]
        score = self.score[line, columns]
        same = self.similarity is self.score
        return Candidates(
            score,
            score if same else self.similarity[line, columns],
            self.segment[line, columns],
            self.row[line, columns],
        )


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All of them side by side."""
    if len(parts) == 1:
        return parts[0]
    return Candidates(
        np.concatenate([p.score for p in parts], axis=1),
        np.concatenate([p.similarity for p in parts], axis=1),
        np.concatenate([p.segment for p in parts], axis=1),
        np.concatenate([p.row for p in parts], axis=1),
    )


def best(candidates: Candidates, width: int) -> Candidates:
    """The `width` best by the index' own score, best first."""
    return candidates.taken(np.argsort(-candidates.score, axis=1, kind="stable")[:, :width])


def ranked(candidates: Candidates, segments: Sequence[OpenSegment]) -> Candidates:
    """The same by similarity, best first, equal ones by unit_id."""
    order = np.argsort(-candidates.similarity, axis=1, kind="stable")
    found = candidates.taken(order)
    near = found.similarity
    equal = (near[:, 1:] == near[:, :-1]) & (found.row[:, 1:] >= 0)
    if not equal.any():
        return found
    for query in np.flatnonzero(equal.any(axis=1)):
        among = np.zeros(found.width, dtype=np.bool_)
        among[1:] |= equal[query]
        among[:-1] |= equal[query]
        places = np.flatnonzero(among)
        names = _unit_ids(segments, found.segment[query, places], found.row[query, places])
        order[query, places] = order[query, places][np.lexsort((names, -near[query, places]))]
    return candidates.taken(order)


def _unit_ids(segments: Sequence[OpenSegment], segment: np.ndarray, row: np.ndarray) -> np.ndarray:
    """What orders candidates [n] like their unit ids: rows of one segment are sorted by them."""
    if (segment == segment[0]).all():
        return row
    names = np.empty(len(row), dtype=object)
    for number in np.unique(segment):
        own = segment == number
        names[own] = segments[number].unit_ids(row[own])
    return names.astype(np.str_)
