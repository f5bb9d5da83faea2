"""Which rows of published segments still hold, and which live units are new: what an increment starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.lake.hexkeys import HexKeys
from infra.lake.live_keys import LiveKeys
from infra.spill import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Live rows compared at once: each time, pages all over the segments are touched.
_COMPARED_ROWS: Final = 1 << 16
_COMPARED_BYTES: Final = 128 << 20


@dataclass(frozen=True, slots=True)
class Matched:
    """What of published segments still holds.

    Attributes:
        kept: For each segment which rows are live and equal in every column that units have, bool [its rows].
        live: Every live unit.
        fresh: Those that no kept row stands for: new or changed ones.
    """

    kept: tuple[np.ndarray, ...]
    live: LiveKeys
    fresh: LiveKeys


def match(base: Sequence[pa.Table], live: Iterable[pa.RecordBatch]) -> Matched:
    """Compare the rows of segments with the live units.

    Of several equal rows of one unit the first segment's is kept; of several live rows of one unit the first counts.
    Memory is about 80 bytes for each row, and some batches; segments that are mapped stay on disk.

    Args:
        base: rows.arrow of each segment, see `schemas.tables.SEGMENT_ROWS`, in any order of rows.
        live: Live units with the columns of `infra.spill.ROWS`.

    Raises:
        IntegrityError: An id is not made of 32 hex digits.
    """
    published = _Published(base)
    held = [np.zeros(0, np.int64)]

    def compared() -> Iterator[pa.RecordBatch]:
        for rows in _gathered(live):
            held.append(published.find(rows))
            yield rows

    units = LiveKeys.read(compared())
    row_of = np.concatenate(held)[units.rows]
    kept = np.zeros(published.rows, dtype=bool)
    kept[row_of[row_of >= 0]] = True
    ends = np.cumsum([table.num_rows for table in base])
    return Matched(tuple(np.split(kept, ends)[:-1]), units, units.take(row_of < 0))


class _Published:
    """The rows of all segments, found by unit_id."""

    def __init__(self, base: Sequence[pa.Table]) -> None:
        # Batch by batch: to take rows of a column in several chunks, Arrow would first copy all of it into one.
        self._pieces = [piece for table in base for piece in table.select(ROWS.names).to_batches()]
        self._starts = np.cumsum([0, *(piece.num_rows for piece in self._pieces)])
        ids = HexKeys.joined([HexKeys.of(piece.column("unit_id")) for piece in self._pieces])
        self._rows = ids.order()
        self._ids = ids.take(self._rows)

    @property
    def rows(self) -> int:
        """Of all segments together."""
        return int(self._starts[-1])

    def find(self, live: pa.RecordBatch) -> np.ndarray:
        """The first row that is equal to each live one, int64 [n]; -1 where none is."""
        left, right = self._ids.find(HexKeys.of(live.column("unit_id")))
        found = np.full(live.num_rows, -1, np.int64)
        while len(open_ := np.flatnonzero((left < right) & (found < 0))):
            rows = self._rows[left[open_]]
            order = np.argsort(rows, kind="stable")
            open_, rows = open_[order], rows[order]
            equal = self._equal(rows, live.take(pa.array(open_)))
            found[open_[equal]] = rows[equal]
            left[open_] += 1
        return found

    def _equal(self, rows: np.ndarray, theirs: pa.RecordBatch) -> np.ndarray:
        """Which rows, by their number over all segments, which ascends, are equal to others; bool [n]."""
        cuts = np.searchsorted(rows, self._starts)
        equal = np.zeros(len(rows), dtype=bool)
        for number in np.flatnonzero(cuts[1:] > cuts[:-1]):
            first, last = int(cuts[number]), int(cuts[number + 1])
            ours = self._pieces[number].take(pa.array(rows[first:last] - self._starts[number]))
            equal[first:last] = _equal_rows(ours, theirs.slice(first, last - first))
        return equal


def _equal_rows(ours: pa.RecordBatch, theirs: pa.RecordBatch) -> np.ndarray:
    """Where all columns of `ROWS` agree, bool [n]."""
    equal = np.ones(ours.num_rows, dtype=bool)
    for name in ROWS.names:
        one, other = ours.column(name), theirs.column(name)
        compare = _equal_lists if pa.types.is_list(one.type) else _equal_values
        equal &= compare(one, other)
    return equal


def _equal_values(one: pa.Array, other: pa.Array) -> np.ndarray:
    equal = pc.fill_null(pc.equal(one, other), fill_value=False)
    return np.asarray(equal.to_numpy(zero_copy_only=False))


def _equal_lists(one: pa.ListArray, other: pa.ListArray) -> np.ndarray:
    """Arrow compares no lists: first their lengths, then the values of those that are equally long."""
    lengths = pc.list_value_length(one)
    equal = _equal_values(lengths, pc.list_value_length(other))
    alike = pa.array(equal)
    values = _equal_values(one.filter(alike).flatten(), other.filter(alike).flatten())
    row_of = np.repeat(np.flatnonzero(equal), lengths.filter(alike).to_numpy())
    equal[row_of[~values]] = False
    return equal


def _gathered(live: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in bigger batches."""
    waiting: list[pa.RecordBatch] = []
    for batch in live:
        waiting.append(batch)
        rows, size_bytes = (
            sum(n) for n in zip(*((b.num_rows, b.nbytes) for b in waiting), strict=True)
        )
        if rows >= _COMPARED_ROWS or size_bytes >= _COMPARED_BYTES:
            yield _one_batch(pa.Table.from_batches(waiting))
            waiting = []
    if waiting:
        yield _one_batch(pa.Table.from_batches(waiting))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    (batch,) = table.combine_chunks().to_batches()
    return batch
