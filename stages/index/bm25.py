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

from stages.index.listed import best_rows, live_mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.index.postings import OpenPostings, Postings
    from stages.index.segments import Neighbours, OpenSegment

    Words = Sequence[tuple[str, ...]]  # of a question: for each word the terms it may be

K1: Final = 1.2  # both as in Lucene
B: Final = 0.75


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


class LexicalIndex:
    """The lexical index of one partition.

    Args:
        parts: Its segments, in the order of the index whose rows they have.
        parameters: ``k1`` and ``b``.
    """

    def __init__(self, parts: Sequence[LexicalPart], parameters: Mapping[str, float]) -> None:
        self.parts = parts
        self._segments = [part.segment for part in parts]
        self._lives = [live_mask(segment) for segment in self._segments]
        self._rows = sum(segment.live_rows for segment in self._segments)
        k1, b = parameters["k1"], parameters["b"]
        lived = zip(parts, self._lives, strict=True)
        total = sum(int((p.lengths if m is None else p.lengths[m]).sum()) for p, m in lived)
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
        return best_rows(map(self.scores, queries), self._segments, k, allowed)

    def scores(self, words: Words) -> list[np.ndarray]:
        """The score of every row of every segment, float64 [rows] each."""
        totals = [np.zeros(len(part.lengths)) for part in self.parts]
        for terms, times in sorted(Counter(words).items()):
            lists = self._lists(terms)
            weight = times * self._rarity(lists)
            for total, damping, (rows, often) in zip(totals, self._damping, lists, strict=True):
                total[rows] += weight * often / (often + damping[rows])
        return totals

    def most(self, words: Words) -> float:
        """What no row's score can reach: that of one that has every word without end."""
        return sum(
            times * self._rarity(self._lists(terms)) for terms, times in Counter(words).items()
        )

    def _lists(self, terms: tuple[str, ...]) -> list[Postings]:
        return [_union([part.postings.find(term) for term in terms]) for part in self.parts]

    def _rarity(self, lists: Sequence[Postings]) -> float:
        rows = sum(
            len(found) if live is None else int(live[found].sum())
            for (found, _), live in zip(lists, self._lives, strict=True)
        )
        return math.log1p((self._rows - rows + 0.5) / (rows + 0.5))


def _union(lists: Sequence[Postings]) -> Postings:
    """The rows that have any of several terms, and how often."""
    if len(lists) == 1:
        rows, often = lists[0]
        return rows, often.astype(np.float64)
    rows, place = np.unique(np.concatenate([rows for rows, _ in lists]), return_inverse=True)
    often = np.concatenate([often for _, often in lists]).astype(np.float64)
    return rows, np.bincount(place, weights=often, minlength=len(rows))
