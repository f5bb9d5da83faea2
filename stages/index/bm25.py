"""Scoring by words: BM25 over the postings of several segments, as if they were one. Needs numpy and pyarrow alone.

    score(q, d) = sum over the words t of q:  ln(1 + (N - n + 0.5) / (n + 0.5)) * f / (f + k1 * (1 - b + b * l / avg l))

with N rows, n of them with t, f times t in d, l terms in d: Robertson and Zaragoza 2009 with Lucene's logarithm, which
is never negative ("Lucene (accurate)" of Kamphuis et al. 2020, `lucene` of bm25s). N, n and the average are those of
the rows that count now, over all segments, taken while a question is answered: so a score does not depend on how rows
were cut into segments, nor on what was deleted, and a segment's file on nothing but its own rows.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.index.merging import Candidates, joined, ranked
from stages.index.segments import Neighbours

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.index.postings import OpenPostings, Postings
    from stages.index.segments import OpenSegment

K1: Final = 1.2  # both as in Lucene
B: Final = 0.75
Words = "Sequence[tuple[str, ...]]"  # of a question: for each word the terms it may be


@dataclass(frozen=True, slots=True)
class LexicalPart:
    """One segment.

    Attributes:
        segment: Whose rows they are.
        postings: Of its rows.
        lengths: Terms of each row, int32 [rows].
    """

    segment: OpenSegment
    postings: OpenPostings
    lengths: np.ndarray

    @property
    def live(self) -> np.ndarray | None:
        """Which rows count, bool [rows]; None for all."""
        return None if self.segment.deleted is None else ~self.segment.deleted


class LexicalIndex:
    """The lexical index of one partition.

    Args:
        parts: Its segments, in the order of the index whose rows they have.
        parameters: ``k1`` and ``b``.
    """

    def __init__(self, parts: Sequence[LexicalPart], parameters: Mapping[str, float]) -> None:
        self.parts = parts
        self._lives = [part.live for part in parts]
        self._rows = sum(part.segment.live_rows for part in parts)
        k1, b = parameters["k1"], parameters["b"]
        total = sum(
            int(_chosen(part.lengths, live).sum())
            for part, live in zip(parts, self._lives, strict=True)
        )
        mean = max(1.0, total / max(1, self._rows))
        self._damping = [k1 * (1 - b + b * part.lengths / mean) for part in parts]

    def search(
        self, queries: Sequence[Words], k: int, allowed: Sequence[np.ndarray] | None = None
    ) -> Neighbours:
        """The best rows of each question, best first; equal scores in order of unit_id.

        Args:
            queries: See stages.lexical.terms.query_terms; a word that is there twice counts twice.
            k: How many, at least 1.
            allowed: For each segment the rows that may be found, bool [rows]; None for all.

        Returns:
            Arrays [n_queries, k], -1 where fewer rows have any of the words.
        """
        masks = allowed if allowed is not None else [None] * len(self.parts)
        mays = [_both(live, mask) for live, mask in zip(self._lives, masks, strict=True)]
        best = [self._best(self.scores(words), mays, k) for words in queries]
        if not best:
            nothing = np.empty((0, k), dtype=np.int64)
            return Neighbours(nothing.astype(np.float32), nothing, nothing)
        return Neighbours(*(np.concatenate(columns) for columns in zip(*best, strict=True)))

    def scores(self, words: Words) -> list[np.ndarray]:
        """The score of every row of every segment, float64 [rows] each."""
        totals = [np.zeros(len(part.lengths)) for part in self.parts]
        for terms, times in sorted(Counter(words).items()):
            lists = [_union([part.postings.find(term) for term in terms]) for part in self.parts]
            weight = times * self._rarity(lists)
            for total, damping, (rows, often) in zip(totals, self._damping, lists, strict=True):
                total[rows] += weight * often / (often + damping[rows])
        return totals

    def _rarity(self, lists: Sequence[Postings]) -> float:
        rows = sum(
            len(found) if live is None else int(live[found].sum())
            for (found, _), live in zip(lists, self._lives, strict=True)
        )
        return math.log1p((self._rows - rows + 0.5) / (rows + 0.5))

    def _best(
        self, scores: Sequence[np.ndarray], mays: Sequence[np.ndarray | None], k: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = []
        for number, (score, may) in enumerate(zip(scores, mays, strict=True)):
            rows = top_rows(score if may is None else np.where(may, score, 0), k)
            found.append(
                Candidates.of_rows(number, score[rows][None].astype(np.float32), rows[None])
            )
        chosen = ranked(joined(found), [part.segment for part in self.parts])
        return tuple(
            _padded(part[:, :k], k) for part in (chosen.similarity, chosen.segment, chosen.row)
        )


def top_rows(scores: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the `k` rows with the highest scores above 0, best first, equal ones by number; int64."""
    near = scores.astype(np.float32)  # what hits are told by: what is equal there is equal
    rows = np.flatnonzero(near > 0)
    if len(rows) > k:
        least = np.partition(near[rows], len(rows) - k)[len(rows) - k]
        rows = rows[near[rows] >= least]
    return rows[np.argsort(-near[rows], kind="stable")][:k]


def _union(lists: Sequence[Postings]) -> Postings:
    """The rows that have any of several terms, and how often."""
    if len(lists) == 1:
        rows, often = lists[0]
        return rows, often.astype(np.float64)
    rows, place = np.unique(np.concatenate([rows for rows, _ in lists]), return_inverse=True)
    often = np.concatenate([often for _, often in lists]).astype(np.float64)
    return rows, np.bincount(place, weights=often, minlength=len(rows))


def _chosen(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    return values if mask is None else values[mask]


def _both(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _padded(values: np.ndarray, k: int) -> np.ndarray:
    wanted = np.full((1, k), -1, dtype=values.dtype)
    wanted[:, : values.shape[1]] = values
    return wanted
