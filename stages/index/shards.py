"""Which rows go into which segment, in which order, and which of them are sampled.

Ids are digests of content, so their hex digits are already evenly spread: no further hashing is needed, and no
choice here depends on the order in which rows arrive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

_PREFIX_HEX: Final = 8
_PREFIX_VALUES: Final = 16**_PREFIX_HEX
_TAIL_HEX: Final = 16


def shard_of(unit_id: str, shards: int) -> int:
    """The segment of a unit, 0..shards-1, from the leading hex digits of its id.

    Ranges of ids, so doubling `shards` halves each segment and mixes none of them.

    Raises:
        IntegrityError: The id does not begin with 8 hex digits.
    """
    return _number(unit_id, unit_id[:_PREFIX_HEX]) * shards // _PREFIX_VALUES


def split(unit_ids: Sequence[str], shards: int) -> list[np.ndarray]:
    """Row numbers of each segment, int64, in order of unit_id; a segment may be empty.

    Example:
        >>> [part.tolist() for part in split(["f" * 32, "0" * 32, "e" * 32], 2)]
        [[1], [2, 0]]
    """
    order = sorted(range(len(unit_ids)), key=unit_ids.__getitem__)
    parts: list[list[int]] = [[] for _ in range(shards)]
    for row in order:
        parts[shard_of(unit_ids[row], shards)].append(row)
    return [np.asarray(part, dtype=np.int64) for part in parts]


def training_rows(unit_ids: Sequence[str], count: int) -> np.ndarray:
    """Row numbers of the training sample, int64 [min(count, n)], in a fixed order.

    The `count` smallest by the last 16 hex digits of the id: uniform over segments, which the first digits decide.
    """
    return _by_tail(unit_ids)[:count]


def query_rows(unit_ids: Sequence[str], count: int) -> np.ndarray:
    """Row numbers to ask with when recall is measured, int64 [min(count, n)], in a fixed order.

    From the other end than `training_rows`: as long as there are rows enough, nothing was trained on them.
    """
    return _by_tail(unit_ids)[::-1][:count]


def take_rows(rows: pa.Table, vectors: np.ndarray, part: np.ndarray) -> tuple[pa.Table, np.ndarray]:
    """The rows and the vectors (float32 [len(part), dim]) of one segment."""
    return rows.take(part), np.ascontiguousarray(vectors[part])


def _by_tail(unit_ids: Sequence[str]) -> np.ndarray:
    tails = [(_number(unit_id, unit_id[-_TAIL_HEX:]), unit_id) for unit_id in unit_ids]
    order = sorted(range(len(unit_ids)), key=tails.__getitem__)
    return np.asarray(order, dtype=np.int64)


def _number(unit_id: str, digits: str) -> int:
    try:
        return int(digits, 16)
    except ValueError as error:
        raise IntegrityError(
            f"unit_id {unit_id!r} is not made of hex digits: was the table written by gristmill?"
        ) from error
