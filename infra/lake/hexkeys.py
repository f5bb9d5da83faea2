"""Ids as numbers: 32 hex digits are two uint64, so ten million of them are 160 MB and sort in a second.

Lower-case hex digits compare as their numbers do, so the order is that of the strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import IntegrityError
from schemas.ids import ID_HEX_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

_BIG_ENDIAN: Final = np.dtype(">u8")


@dataclass(frozen=True, slots=True)
class HexKeys:
    """Ids of 32 hex digits.

    Attributes:
        high: The first 16 digits of each, uint64 [n].
        low: The last 16, uint64 [n].
    """

    high: np.ndarray
    low: np.ndarray

    def __len__(self) -> int:
        """How many there are."""
        return len(self.high)

    @classmethod
    def of(cls, ids: pa.Array | pa.ChunkedArray) -> HexKeys:
        """The numbers of ids, string [n].

        Raises:
            IntegrityError: One is not made of 32 lower-case hex digits; names it.
        """
        array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        text = _joined(array)
        try:
            digits = bytes.fromhex(text)
        except ValueError as error:
            raise _no_id(array) from error
        if digits.hex() != text:  # fromhex skips spaces and takes capitals
            raise _no_id(array)
        numbers = np.frombuffer(digits, _BIG_ENDIAN).reshape(-1, 2).astype(np.uint64)
        return cls(np.ascontiguousarray(numbers[:, 0]), np.ascontiguousarray(numbers[:, 1]))

    @classmethod
    def joined(cls, parts: Sequence[HexKeys]) -> HexKeys:
        """All of several, one after the other."""
        none = np.zeros(0, np.uint64)
        return cls(
            np.concatenate([none, *(part.high for part in parts)]),
            np.concatenate([none, *(part.low for part in parts)]),
        )

    def strings(self) -> pa.Array:
        """The ids as they were, string [n]."""
        numbers = np.empty((len(self), 2), _BIG_ENDIAN)
        numbers[:, 0], numbers[:, 1] = self.high, self.low
        text = numbers.tobytes().hex().encode()
        offsets = np.arange(0, len(text) + 1, ID_HEX_CHARS, dtype=np.int32)
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(offsets), pa.py_buffer(text))

    def take(self, rows: np.ndarray) -> HexKeys:
        """Those at these places (int64), or where this mask is set (bool [n])."""
        return HexKeys(self.high[rows], self.low[rows])

    def equal(self, other: HexKeys) -> np.ndarray:
        """Where two equally long ones agree, bool [n]."""
        same: np.ndarray = (self.high == other.high) & (self.low == other.low)
        return same

    def order(self) -> np.ndarray:
        """Places that put them in ascending order, int64 [n]; equal ones stay in the order they have.

        Sorted by the first half alone, which numpy does fastest; runs that share it are then put right.
        """
        order = np.argsort(self.high)
        high = self.high[order]
        follows = np.flatnonzero(high[1:] == high[:-1])
        if len(follows):
            tied = np.union1d(follows, follows + 1)
            places = np.sort(order[tied])
            order[tied] = places[np.lexsort((self.low[places], self.high[places]))]
        return order

    def firsts(self) -> np.ndarray:
        """Of ascending ones: which differ from the one before, bool [n]."""
        first = np.ones(len(self), dtype=bool)
        first[1:] = (self.high[1:] != self.high[:-1]) | (self.low[1:] != self.low[:-1])
        return first

    def first_by_tail(self, count: int) -> np.ndarray:
        """Places of the training sample, as `stages.index.shards.training_rows` chooses and orders it, int64.

        The smallest by the last 16 digits (then by the first): uniform over shards, which the first digits decide.
        """
        count = min(count, len(self))
        if not count:
            return np.zeros(0, np.int64)
        least = np.flatnonzero(self.low <= np.partition(self.low, count - 1)[count - 1])
        return least[np.lexsort((self.high[least], self.low[least]))][:count]

    def last_by_tail(self, count: int) -> np.ndarray:
        """Places of rows to ask with, as `stages.index.shards.query_rows` chooses and orders them, int64."""
        return HexKeys(~self.high, ~self.low).first_by_tail(count)

    def find(self, wanted: HexKeys) -> tuple[np.ndarray, np.ndarray]:
        """Where ids stand among these, which ascend.

        Returns:
            left, right: int64 [len(wanted)]; id i stands at ``left[i]`` to ``right[i] - 1``, so nowhere if equal.
        """
        start = np.searchsorted(self.high, wanted.high, side="left")
        stop = np.searchsorted(self.high, wanted.high, side="right")
        # Few ids share their first half, so this is one comparison; where many do, it is a search by halves.
        left = _bisect(self.low, wanted.low, start, stop, right=False)
        return left, _bisect(self.low, wanted.low, left, stop, right=True)

    def holds(self, wanted: HexKeys) -> np.ndarray:
        """Which ids are among these, which ascend; bool [len(wanted)]."""
        left, right = self.find(wanted)
        found: np.ndarray = left < right
        return found


def expand(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every place of ranges, one after the other.

    Args:
        left: First place of each range, int64 [n].
        right: The place after its last, int64 [n].

    Returns:
        ranges: Which range each place is of, int64 [m]; ascending.
        places: int64 [m].

    Example:
        >>> expand(np.array([5, 0, 7]), np.array([7, 0, 8]))
        (array([0, 0, 2]), array([5, 6, 7]))
    """
    counts = right - left
    ranges = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return ranges, np.arange(len(ranges)) - before[ranges] + left[ranges]


def _bisect(
    values: np.ndarray, wanted: np.ndarray, low: np.ndarray, high: np.ndarray, *, right: bool
) -> np.ndarray:
    """As bisect, of each wanted value in its own range ``low[i]:high[i]`` of `values`."""
    low, high = low.copy(), high.copy()
    while len(rows := np.flatnonzero(low < high)):
        middle = (low[rows] + high[rows]) // 2
        found, value = values[middle], wanted[rows]
        beyond = found <= value if right else found < value
        low[rows] = np.where(beyond, middle + 1, low[rows])
        high[rows] = np.where(beyond, high[rows], middle)
    return low


def _joined(array: pa.Array) -> str:
    """All ids as one text.

    Raises:
        IntegrityError: One is null or has another length.
    """
    lengths = pc.binary_length(array)
    if array.null_count or not pc.all(pc.equal(lengths, ID_HEX_CHARS), min_count=0).as_py():
        raise _no_id(array)
    if not len(array):
        return ""
    _, offsets, text = array.buffers()
    first = int(np.frombuffer(offsets, np.int32, 1, array.offset * 4)[0])
    return str(memoryview(text)[first : first + len(array) * ID_HEX_CHARS], "latin-1")


def _no_id(array: pa.Array) -> IntegrityError:
    good = pc.match_substring_regex(array, rf"\A[0-9a-f]{{{ID_HEX_CHARS}}}\z")
    bad = array.filter(pc.invert(pc.fill_null(good, fill_value=False)))[0].as_py()
    return IntegrityError(
        f"the id {bad!r} is not made of {ID_HEX_CHARS} hex digits: was the table written by gristmill?"
    )
