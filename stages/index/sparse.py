"""Postings of a sparse encoder: made from its vectors, and scored exactly by the inner product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.engine import Answer
from stages.index.listed import best_rows
from stages.index.postings import postings_bytes, sparse_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SparseVector
    from stages.index.postings import OpenPostings
    from stages.index.segments import Neighbours, OpenSegment

SPARSE_FORMAT: Final = "sparse-1"  # a change of the files makes every one of them new
# Postings of a text with 168 terms, as splade gave 20,371 texts on average (docs/hybrid.md).
SPARSE_ROW_BYTES: Final = 1400


@dataclass(frozen=True, slots=True)
class SparseRequest:
    """Make the postings of one segment. Beside it travel the vectors of its rows, one row after the other.

    The arrays are how many terms each row has, int64 [rows]; their terms, int32; their weights, float32.

    Attributes:
        rows: How many of the rows have a vector; it may be one without a term.
    """

    rows: int


@dataclass(frozen=True, slots=True)
class SparseBuilt:
    """What was made: rows that have a vector, different terms, and pairs of a term and a row."""

    rows: int
    terms: int
    postings: int


def build_sparse(
    request: SparseRequest, counts: np.ndarray, terms: np.ndarray, weights: np.ndarray
) -> Answer:
    """From vectors by row to lists by term.

    Returns:
        Answer(SparseBuilt, (postings,)), uint8: a file of postings.
    """
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    order = np.argsort(terms, kind="stable")  # rows stay ascending within a term
    different, starts = np.unique(terms[order], return_index=True)
    bounds = np.append(starts, len(terms)).astype(np.int64)
    data = postings_bytes(
        sparse_schema(), different.tolist(), bounds, (rows[order], weights[order])
    )
    return Answer(SparseBuilt(request.rows, len(different), len(terms)), (data,))


@dataclass(frozen=True, slots=True)
class SparsePart:
    """One segment, and the postings of its rows."""

    segment: OpenSegment
    postings: OpenPostings


class SparseIndex:
    """The postings of one partition in one sparse space.

    Args:
        parts: Its segments, in the order of the index whose rows they have.
    """

    def __init__(self, parts: Sequence[SparsePart]) -> None:
        self.parts = parts
        self._segments = [part.segment for part in parts]

    def search(
        self,
        queries: Sequence[SparseVector],
        k: int,
        allowed: Sequence[np.ndarray] | None = None,
    ) -> Neighbours:
        """The rows with the largest inner products, as :meth:`stages.index.bm25.LexicalIndex.search` gives them."""
        return best_rows(map(self.scores, queries), self._segments, k, allowed)

    def scores(self, query: SparseVector) -> list[np.ndarray]:
        """The inner product with every row of every segment, float64 [rows] each."""
        totals = [np.zeros(len(segment.rows)) for segment in self._segments]
        for term, weight in zip(query.terms.tolist(), query.weights.tolist(), strict=True):
            for total, part in zip(totals, self.parts, strict=True):
                rows, weights = part.postings.find(term)
                total[rows] += weight * weights
        return totals
