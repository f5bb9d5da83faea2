"""Searching segments of late interaction: candidates by their encodings, ranked by MaxSim over quantised vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import VectorError
from stages.index.late.fde import Fde
from stages.index.late.maxsim import maxsim
from stages.index.late.store import TokenStore
from stages.index.merging import Candidates, ranked
from stages.index.segments import RESCORE, Neighbours, search_segments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stages.index.late.codecs import Codebook
    from stages.index.segments import OpenSegment, SegmentPaths

_VALUES: Final = 1 << 22  # decoded at a time: 16 MiB of float32


@dataclass(frozen=True, slots=True)
class LateIndex:
    """The opened segments of one index.

    Attributes:
        segments: Rows and the index of encodings; tombstones and filters as in any other index.
        stores: The vectors of each one's units.
        fde: How queries are encoded.
    """

    segments: Sequence[OpenSegment]
    stores: Sequence[TokenStore]
    fde: Fde

    @classmethod
    def of(
        cls,
        segments: Sequence[OpenSegment],
        paths: Sequence[SegmentPaths],
        parameters: Mapping[str, int],
        codebook: Codebook,
    ) -> LateIndex:
        """Map the vectors of opened segments.

        Args:
            segments: In order.
            paths: Of each.
            parameters: Build parameters of the index.
            codebook: That they share.

        Raises:
            IntegrityError: A file is missing or unreadable, or does not belong to the segment.
        """
        stores = [
            TokenStore.open(files, len(segment.rows), codebook)
            for files, segment in zip(paths, segments, strict=True)
        ]
        return cls(segments, stores, Fde.of(parameters, codebook.centre))

    def search(
        self,
        queries: Sequence[np.ndarray],
        k: int,
        search: Mapping[str, int],
        *,
        allowed: Sequence[np.ndarray | None] | None = None,
    ) -> Neighbours:
        """The `k` best units for each query over all segments; equal ones are ordered by unit_id.

        Args:
            queries: float32 [vectors, dim] each, at least one vector, of length 1.
            k: How many, at least 1.
            search: Of the index of encodings, which is asked for ``k * rescore`` candidates.
            allowed: For each segment the units that may be found, bool [rows], or None for all.

        Returns:
            Arrays as of `search_segments`; similarities are MaxSim divided by the vectors of the query, -1 to 1.
        """
        near = self.candidates(queries, k * search.get(RESCORE, 1), search, allowed=allowed)
        return self.ranked(near, self.similarities(queries, near), k)

    def candidates(
        self,
        queries: Sequence[np.ndarray],
        width: int,
        search: Mapping[str, int],
        *,
        allowed: Sequence[np.ndarray | None] | None = None,
    ) -> Neighbours:
        """The `width` best by their encodings, best first."""
        encoded = self.fde.queries(queries)
        return search_segments(self.segments, encoded, width, _knobs(search), allowed=allowed)

    def similarities(self, queries: Sequence[np.ndarray], near: Neighbours) -> np.ndarray:
        """Of each candidate, float32 [n_queries, width]; -inf where there is none."""
        found = np.full(near.row.shape, -np.inf, dtype=np.float32)
        for i, query in enumerate(queries):
            for number, store in enumerate(self.stores):
                own = np.flatnonzero((near.segment[i] == number) & (near.row[i] >= 0))
                found[i, own] = _of_units(store, near.row[i, own], query)
        return found

    def ranked(self, near: Neighbours, similarities: np.ndarray, k: int) -> Neighbours:
        """The `k` best of the candidates by their similarities."""
        candidates = Candidates(near.similarity, similarities, near.segment, near.row)
        best = ranked(candidates, self.segments)
        return Neighbours(best.similarity[:, :k], best.segment[:, :k], best.row[:, :k])


def _knobs(search: Mapping[str, int]) -> dict[str, int]:
    return {name: value for name, value in search.items() if name != RESCORE}


def _of_units(store: TokenStore, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """MaxSim of one query to units of one segment, int64 [n] in any order: float32 [n]."""
    found = np.empty(len(rows), dtype=np.float32)
    order = np.argsort(rows, kind="stable")  # as they lie on disk
    counts = np.diff(store.offsets)[rows[order]]
    block = np.cumsum(counts) * query.shape[1] // _VALUES
    for number in np.unique(block):
        some = order[block == number]
        codes, starts = store.gathered(rows[some])
        found[some] = maxsim(query, store.codebook.decode(codes), starts)
    return found


def packed(queries: Sequence[np.ndarray]) -> np.ndarray:
    """Queries float32 [vectors, dim] as the rows of one array, filled up with zeros: float32 [n, most * dim]."""
    most = max((query.size for query in queries), default=0)
    rows = np.zeros((len(queries), most), dtype=np.float32)
    for row, query in zip(rows, queries, strict=True):
        row[: query.size] = query.ravel()
    return rows


def unpacked(rows: np.ndarray, dim: int) -> list[np.ndarray]:
    """What `packed` was given; vectors of nothing but zeros are filling."""
    queries = rows.reshape(len(rows), -1, dim)
    return [query[query.any(axis=1)] for query in queries]


def checked_lists(queries: Sequence[np.ndarray], dim: int, place: str) -> list[np.ndarray]:
    """Queries as contiguous arrays.

    Raises:
        VectorError: One is not finite float32 [n, dim] with at least one vector.
    """
    for query in queries:
        if query.ndim != 2 or query.dtype != np.float32 or query.shape[1] != dim or not len(query):
            raise VectorError(
                f"{place}: a query is {query.dtype} {list(query.shape)}, expected float32 [n, {dim}]"
            )
        if not np.isfinite(query).all():
            raise VectorError(f"{place}: a query vector has NaN or infinity in it")
    return [np.ascontiguousarray(query) for query in queries]
