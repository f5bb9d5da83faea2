"""Reading segments back and searching over several of them. Needs faiss, numpy and pyarrow, nothing else.

faiss' own IndexShards ignores selectors and has no idea of unit ids (faiss issue 5584), so the fan-out is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.errors import IntegrityError
from schemas.tables import SEGMENT_ROWS
from stages.index.families import family

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_RECONSTRUCT_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A segment on local disk, memory-mapped: what is not searched is not read.

    Attributes:
        index: ``faiss.Index``; id i is row i.
        rows: In the SEGMENT_ROWS schema, sorted by unit_id.
    """

    index: Any
    rows: pa.Table

    @classmethod
    def open(cls, index_path: Path, rows_path: Path) -> OpenSegment:
        """Map both files.

        Raises:
            IntegrityError: A file is missing, unreadable, or the two do not belong together.
        """
        import faiss

        try:
            # This flag maps flat vectors and inverted lists alike; IO_FLAG_MMAP would still copy flat ones.
            index = faiss.read_index(str(index_path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise IntegrityError(f"cannot open {index_path}: {error}") from error
        try:
            with pa.memory_map(str(rows_path)) as source:
                rows = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(f"cannot open {rows_path}: {error}") from error
        if not rows.schema.equals(SEGMENT_ROWS):
            raise IntegrityError(f"{rows_path} has other columns than this gristmill reads")
        if index.ntotal != len(rows):
            raise IntegrityError(
                f"{index_path} has {index.ntotal} vectors, its rows.arrow {len(rows)}"
            )
        return cls(index, rows)

    def unit_ids(self, rows: np.ndarray) -> np.ndarray:
        """The unit ids of row numbers of any shape, as strings."""
        column = self.rows.column("unit_id").take(pa.array(rows.ravel(), pa.int64()))
        names: np.ndarray = column.to_numpy().astype(np.str_)
        return names.reshape(rows.shape)

    def row(self, number: int) -> dict[str, Any]:
        """One row as plain values."""
        row: dict[str, Any] = self.rows.slice(number, 1).to_pylist()[0]
        return row

    def vectors(self) -> np.ndarray:
        """All vectors as the index holds them, float32 [rows, dim] (a family with a codec has lost some bits)."""
        stored = np.empty((self.index.ntotal, self.index.d), dtype=np.float32)
        for start in range(0, len(stored), _RECONSTRUCT_ROWS):
            count = min(_RECONSTRUCT_ROWS, len(stored) - start)
            stored[start : start + count] = self.index.reconstruct_n(start, count)
        return stored


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The best rows over all segments, best first, -1 where there were fewer; all arrays [n_queries, k].

    Attributes:
        similarity: float32 inner products.
        segment: int64 position of the segment.
        row: int64 row in the segment.
    """

    similarity: np.ndarray
    segment: np.ndarray
    row: np.ndarray


def search_segments(
    segments: Sequence[OpenSegment],
    queries: np.ndarray,
    k: int,
    family_name: str,
    search: Mapping[str, int],
) -> Neighbours:
    """The `k` best rows for each query over all segments; equal similarities are ordered by unit_id.

    Args:
        segments: Of one partition in one space.
        queries: float32 [n, dim].
        k: How many.
        family_name: Registry name of the segments' family.
        search: Its search parameters, e.g. ``{"nprobe": 16}``.

    Returns:
        Arrays of width k, or of the number of rows if that is less.
    """
    parameters = family(family_name).search_parameters(search)
    found = [_search(segment, queries, k, parameters) for segment in segments]
    width = min(k, sum(segment.index.ntotal for segment in segments))
    if not width:
        nothing = np.full((len(queries), 0), -1, dtype=np.int64)
        return Neighbours(nothing.astype(np.float32), nothing, nothing)
    similarity = np.concatenate([scores for scores, _, _ in found], axis=1)
    row = np.concatenate([rows for _, rows, _ in found], axis=1)
    names = np.concatenate([ids for _, _, ids in found], axis=1)
    number = np.concatenate(
        [np.full(rows.shape, i) for i, (_, rows, _) in enumerate(found)], axis=1
    )
    order = np.lexsort((names, -similarity), axis=1)[:, :width]
    row, number = (np.take_along_axis(a, order, axis=1) for a in (row, number))
    return Neighbours(
        np.take_along_axis(similarity, order, axis=1), np.where(row < 0, -1, number), row
    )


def _search(
    segment: OpenSegment, queries: np.ndarray, k: int, parameters: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = min(k, segment.index.ntotal)
    if not width:
        empty = np.zeros((len(queries), 0), dtype=np.int64)
        return empty.astype(np.float32), empty, empty.astype(np.str_)
    scores, rows = segment.index.search(queries, width, params=parameters)
    missing = rows < 0  # IVF pads when the cells it looked into hold fewer than k
    return (
        np.where(missing, np.float32(-np.inf), scores),
        rows,
        np.where(missing, "", segment.unit_ids(np.maximum(rows, 0))),
    )
