"""Reading segments back and searching over several of them. Needs faiss, numpy and pyarrow, nothing else.

faiss' own IndexShards ignores selectors and has no idea of unit ids (faiss issue 5584), so the fan-out is here.
How a single segment is asked is decided in asking.py, how answers become one ranking in merging.py.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.errors import IntegrityError
from schemas.tables import SEGMENT_ROWS
from stages.index.asking import Effort, Inside, Selection, nearest_rows, raised, row_by_row
from stages.index.families.registry import family
from stages.index.filters import FilterMasks
from stages.index.full import open_full, similarities
from stages.index.merging import Candidates, best, joined, ranked
from stages.index.tombstones import read_tombstones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from schemas.filters import Filter
    from schemas.space import Metric
    from stages.index.families.protocol import IndexFamily

INDEX_FILE: Final = "index.faiss"
ROWS_FILE: Final = "rows.arrow"
FULL_FILE: Final = "full.npy"
TOKEN_FILES: Final = ("tokens.npy", "offsets.npy", "kinds.npy")
RESCORE: Final = "rescore"
_RECONSTRUCT_ROWS: Final = 1 << 16
_LARGEST_FACTOR: Final = 1 << 12  # knobs that were raised by more go to their largest
_ROUNDING: Final = np.float32(
    1e-6
)  # codes compared in blocks give equal vectors other low bits (RaBitQ)
# Share of the hits that twice the effort may replace and count as no difference: what the target lets be missed, about.
_MOVED: Final = 0.1
_TIES: Final = (
    4096  # candidates up to which equally near ones are followed, to order all of them by unit_id
)


@dataclass(frozen=True, slots=True)
class SegmentPaths:
    """The files of a segment on local disk.

    Attributes:
        index: index.faiss.
        rows: rows.arrow.
        full: full.npy of an index that rescores.
        deleted: Its tombstones, if rows were deleted.
        tokens: tokens.npy, offsets.npy and kinds.npy of a segment for late interaction.
    """

    index: Path
    rows: Path
    full: Path | None = None
    deleted: Path | None = None
    tokens: tuple[Path, Path, Path] | None = None

    @classmethod
    def of(cls, named: Mapping[str, Path], deleted: Path | None) -> SegmentPaths:
        """From the files of a segment by their names.

        Raises:
            IntegrityError: index.faiss or rows.arrow is not among them.
        """
        if not {INDEX_FILE, ROWS_FILE} <= set(named):
            raise IntegrityError(
                f"a segment has no {INDEX_FILE} or no {ROWS_FILE}; it has {', '.join(named)}"
            )
        tokens = [named[name] for name in TOKEN_FILES if name in named]
        return cls(
            named[INDEX_FILE],
            named[ROWS_FILE],
            named.get(FULL_FILE),
            deleted,
            (tokens[0], tokens[1], tokens[2]) if len(tokens) == len(TOKEN_FILES) else None,
        )


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment on local disk, memory-mapped: what is not searched is not read.

    Attributes:
        family: How the index is searched.
        index: What `family` opened; id i is row i.
        rows: In the SEGMENT_ROWS schema, sorted by unit_id.
        full: Vectors at full length, [rows, dim], see full.py; None without.
        deleted: Which rows count no more, bool [rows]; None if all do.
        live: The rows that do.
        dim: Length of the vectors in the index.
        parameters: Build parameters of the index.
        filters: What the filters asked of it let through.
    """

    family: IndexFamily
    index: Any
    rows: pa.Table
    full: np.ndarray | None
    deleted: np.ndarray | None
    live: Selection
    dim: int
    parameters: Mapping[str, int]
    filters: FilterMasks

    @classmethod
    def open(
        cls, paths: SegmentPaths, family_name: str, parameters: Mapping[str, int]
    ) -> OpenSegment:
        """Map the files.

        Args:
            paths: Where they lie.
            family_name: Registry name of the index' family.
            parameters: Its build parameters.

        Raises:
            IntegrityError: A file is missing, unreadable, or they do not belong together.
            ConfigError: There is no such family.
        """
        chosen = family(family_name)
        index = chosen.open(paths.index)
        rows = open_rows(paths.rows)
        count, dim = chosen.size(index)
        if count != len(rows):
            raise IntegrityError(f"{paths.index} has {count} vectors, its rows.arrow {len(rows)}")
        full = open_full(paths.full, count) if paths.full else None
        deleted = read_tombstones(paths.deleted, count) if paths.deleted else None
        return cls(
            family=chosen,
            index=index,
            rows=rows,
            full=full,
            deleted=deleted,
            live=Selection(count) if deleted is None else Selection.of_mask(~deleted),
            dim=dim,
            parameters=parameters,
            filters=FilterMasks(rows),
        )

    @property
    def live_rows(self) -> int:
        """How many rows count."""
        return self.live.count

    def mask(self, where: Filter) -> np.ndarray:
        """Which rows a filter lets through, bool [rows]; do not write into it.

        Raises:
            IntegrityError: A row's attributes or locator cannot be read.
        """
        return self.filters.mask(where)

    def unit_ids(self, rows: np.ndarray) -> np.ndarray:
        """The unit ids of row numbers of any shape, as strings."""
        column = self.rows.column("unit_id").take(pa.array(rows.ravel(), pa.int64()))
        names: np.ndarray = column.to_numpy().astype(np.str_)
        return names.reshape(rows.shape)

    def row(self, number: int) -> dict[str, Any]:
        """One row as plain values."""
        row: dict[str, Any] = self.rows.slice(number, 1).to_pylist()[0]
        return row

    def find(self, unit_id: str) -> int | None:
        """The number of a unit's row; None if it is not here."""
        column = self.rows.column("unit_id")
        at = bisect_left(range(len(column)), unit_id, key=lambda i: column[i].as_py())
        return at if at < len(column) and column[at].as_py() == unit_id else None

    def vectors(self) -> np.ndarray:
        """All vectors as the index holds them, float32 [rows, dims] (a family with a codec has lost some bits)."""
        stored = np.empty((len(self.rows), self.dim), dtype=np.float32)
        for start in range(0, len(stored), _RECONSTRUCT_ROWS):
            count = min(_RECONSTRUCT_ROWS, len(stored) - start)
            stored[start : start + count] = self.family.reconstruct(self.index, start, count)
        return stored


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The best rows over all segments, best first, -1 where there were fewer; all arrays [n_queries, k].

    Attributes:
        similarity: float32 inner products, or squared distances with a minus.
        segment: int64 position of the segment.
        row: int64 row in the segment.
    """

    similarity: np.ndarray
    segment: np.ndarray
    row: np.ndarray

    def of(self, queries: np.ndarray) -> Neighbours:
        """Those of some queries, by a mask or numbers."""
        return Neighbours(self.similarity[queries], self.segment[queries], self.row[queries])


def search_segments(
    segments: Sequence[OpenSegment],
    queries: np.ndarray,
    k: int,
    search: Mapping[str, int],
    *,
    metric: Metric = "inner_product",
    allowed: Sequence[np.ndarray | None] | None = None,
) -> Neighbours:
    """The `k` best rows for each query over all segments; equal similarities are ordered by unit_id.

    Deleted rows are never found. Where lists or a graph hold fewer than `k` for a query, it looks further until it has
    as many as there are; so neither a filter nor a tombstone costs a hit. Of more than 4096 equally near rows at the
    end of an answer, which ones are in it is faiss' choice, the same every time.

    Args:
        segments: Of one index.
        queries: float32 [n, dim] of the space; cut to the index' dims and renormalised where it has fewer.
        k: How many, at least 1.
        search: The index' search parameters, e.g. ``{"nprobe": 16, "rescore": 4}``. With `rescore` r the index is asked
            for r * k candidates, which are ranked by their full vectors; without, the index' own scores count.
            What has full vectors is always ranked by them where rows are filtered or deleted.
        metric: What is near.
        allowed: For each segment the rows that may be found, bool [rows], or None for all.

    Returns:
        Arrays of width k, or of the number of rows that may be found if that is less.
    """
    masks = allowed if allowed is not None else [None] * len(segments)
    selections = [s.live.within(m) for s, m in zip(segments, masks, strict=True)]
    question = _Question(segments, selections, k, search, metric)
    if not question.width or not len(queries):
        nothing = np.full((len(queries), question.width), -1, dtype=np.int64)
        return Neighbours(nothing.astype(np.float32), nothing, nothing)
    return question.answer(queries)


class _Question:
    """What is asked of which rows, whatever the queries."""

    def __init__(
        self,
        segments: Sequence[OpenSegment],
        selections: Sequence[Selection],
        k: int,
        search: Mapping[str, int],
        metric: Metric,
    ) -> None:
        self.segments = segments
        self.findable = sum(selection.count for selection in selections)
        self.live = sum(segment.live.count for segment in segments)
        self.width = min(k, self.findable)
        self.metric: Metric = metric
        self._search = {name: value for name, value in search.items() if name != RESCORE}
        self._parts = [
            (i, segment, selection)
            for i, (segment, selection) in enumerate(zip(segments, selections, strict=True))
            if selection.count
        ]
        self._restricted = any(selection.mask is not None for _, _, selection in self._parts)
        has_full = all(segment.full is not None for _, segment, _ in self._parts)
        self._rescore = max(search.get(RESCORE, 0), int(self._restricted)) if has_full else 0

    def answer(self, queries: np.ndarray) -> Neighbours:
        """The nearest.

        A filter may leave just what lies far from a query, where neighbours are spread wider than the knobs were tuned
        for. So a filtered search is done at half its effort too, and if that makes a difference, at twice.
        """
        effort = self._effort(self.live / self.findable, self._rescore)
        half = self._effort(effort.factor / 2, self._rescore / 2)
        if self.findable == self.live or self._is_exhaustive(half):
            return self._answer(queries, effort)
        before, _ = self._candidates(queries, half)
        return self._answer(queries, effort, self._top(before))

    def _answer(
        self, queries: np.ndarray, effort: Effort, before: Neighbours | None = None
    ) -> Neighbours:
        """The nearest, with more effort for the queries that need it; `before` is what half of it found."""
        candidates, lowest = self._candidates(queries, effort)
        found = self._top(candidates)
        short = found.row[:, -1] < 0
        if short.any() and effort.factor < math.inf:
            _replace(found, short, self._answer(queries[short], self._further(effort)))
        moved = np.zeros(len(queries), dtype=np.bool_)
        if before is not None and not self._is_exhaustive(effort):
            displaced = np.count_nonzero(before.similarity < found.similarity[:, -1:], axis=1)
            moved = ~short & (displaced > self.width * _MOVED)
        if moved.any():
            twice = self._effort(2 * effort.factor, 2 * effort.width / self.width)
            _replace(found, moved, self._answer(queries[moved], twice, found.of(moved)))
        # The last hit is as near as what was cut off: there may be more like it, with smaller unit ids.
        cut = ~short & ~moved & (candidates.score[:, self.width - 1] <= lowest)
        if cut.any() and effort.width < min(_TIES, self.findable):
            wider = replace(effort, width=min(4 * effort.width, self.findable))
            _replace(found, cut, self._answer(queries[cut], wider))
        return found

    def _effort(self, factor: float, rescore: float) -> Effort:
        """With one candidate more than wanted, which shows whether equals were cut off, or more to rescore."""
        wanted = math.ceil(self.width * rescore) if self._rescore else 0
        return Effort(min(max(self.width + 1, wanted), self.findable), factor)

    def _top(self, candidates: Candidates) -> Neighbours:
        columns = (candidates.similarity, candidates.segment, candidates.row)
        return Neighbours(*(column[:, : self.width] for column in columns))

    def _further(self, effort: Effort) -> Effort:
        exhaustive = self._restricted or effort.factor > _LARGEST_FACTOR
        return replace(effort, factor=math.inf if exhaustive else 2 * effort.factor)

    def _is_exhaustive(self, effort: Effort) -> bool:
        """Whether no more effort finds more."""
        return all(
            self._is_by_row(segment, selection, effort)
            or (
                (not self._rescore or effort.width >= self.findable)
                and raised(segment, self._search, effort.factor)
                == raised(segment, self._search, math.inf)
            )
            for _, segment, selection in self._parts
        )

    def _is_by_row(self, segment: OpenSegment, selection: Selection, effort: Effort) -> bool:
        return self._rescore > 0 and row_by_row(segment, selection, self._search, effort)

    def _candidates(self, queries: np.ndarray, effort: Effort) -> tuple[Candidates, np.ndarray]:
        """All candidates in order, and the lowest score of the index' own, float32 [n]: -inf if nothing was cut off."""
        found: list[Candidates] = []
        near: list[tuple[int, np.ndarray, np.ndarray]] = []
        inside = Inside(queries, self._search)
        there = 0
        for number, segment, selection in self._parts:
            if self._is_by_row(segment, selection, effort):
                rows = nearest_rows(segment, selection, queries, self.width, self.metric)
                found.append(Candidates.of_rows(number, *rows))
            else:
                near.append((number, *inside.ask(segment, selection, effort)))
                there += selection.count
        lowest = np.full(len(queries), -np.inf, dtype=np.float32)
        if near:
            chosen = Candidates.of_indices(near)
            chosen = best(chosen, effort.width) if self._rescore else ranked(chosen, self.segments)
            if effort.width < there:
                last = chosen.score[:, min(effort.width, chosen.width) - 1]
                lowest = last * np.where(last > 0, 1 + _ROUNDING, 1 - _ROUNDING)
            if not self._rescore:
                return chosen, lowest
            found.append(self._rescored(chosen, queries))
        return ranked(joined(found), self.segments), lowest

    def _rescored(self, chosen: Candidates, queries: np.ndarray) -> Candidates:
        stores = [segment.full for segment in self.segments]
        exact = similarities(stores, queries, chosen.segment, chosen.row, self.metric)
        return replace(chosen, similarity=exact)


def _replace(found: Neighbours, where: np.ndarray, better: Neighbours) -> None:
    found.similarity[where] = better.similarity
    found.segment[where] = better.segment
    found.row[where] = better.row


def open_rows(path: Path) -> pa.Table:
    """The mapped rows.arrow of a segment.

    Raises:
        IntegrityError: It is missing, no Arrow file, or has other columns.
    """
    try:
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error
    if not rows.schema.equals(SEGMENT_ROWS):
        raise IntegrityError(f"{path} has other columns than this gristmill reads")
    return rows
