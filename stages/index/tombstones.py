"""Tombstones: the row numbers of a segment that count no more, as a roaring bitmap in the portable format.

Format: https://github.com/RoaringBitmap/RoaringFormatSpec. A set is cut by the high 16 bits of its members into
containers: up to 4096 members as a sorted array of uint16, more as 65,536 bits. The third kind, runs, is never
written, so that reading needs numpy alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import IntegrityError

if TYPE_CHECKING:
    from pathlib import Path

_COOKIE: Final = 12346  # SERIAL_COOKIE_NO_RUNCONTAINER
_COOKIE_WITH_RUNS: Final = 12347  # in the low 16 bits
_ARRAY_MEMBERS: Final = 4096
_CONTAINER_VALUES: Final = 1 << 16
_BITMAP_BYTES: Final = _CONTAINER_VALUES // 8
_HEAD_BYTES: Final = 8  # cookie and number of containers, uint32 each
_DESCRIPTION_BYTES: Final = 8  # of a container: key and members - 1 as uint16, offset as uint32


def tombstone_bytes(deleted: np.ndarray) -> np.ndarray:
    """The file of a bool array [rows] that is True where a row was deleted, uint8. Equal sets give equal bytes."""
    from pyroaring import BitMap

    # `optimize` would turn ranges into runs.
    bitmap = BitMap(np.flatnonzero(deleted).astype(np.uint32), optimize=False)
    return np.frombuffer(bitmap.serialize(), dtype=np.uint8)


def read_tombstones(path: Path, rows: int) -> np.ndarray:
    """Which of `rows` rows were deleted, bool [rows].

    Raises:
        IntegrityError: The file is missing, damaged, has runs, or names a row that is not there.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error
    try:
        return parse_tombstones(data, rows)
    except IntegrityError as error:
        raise IntegrityError(f"{path}: {error}") from error


def parse_tombstones(data: bytes, rows: int) -> np.ndarray:
    """The same from the file's bytes.

    Raises:
        IntegrityError: As above.
    """
    keys, members, offsets = _containers(data)
    covered = (int(keys[-1]) + 1) * _CONTAINER_VALUES if len(keys) else 0
    if covered - _CONTAINER_VALUES >= rows and len(keys):
        raise IntegrityError(
            f"it names rows from {covered - _CONTAINER_VALUES} on, there are {rows}"
        )
    deleted = np.zeros(max(rows, covered), dtype=np.bool_)
    for key, count, start in zip(keys.tolist(), members.tolist(), offsets.tolist(), strict=True):
        first = key * _CONTAINER_VALUES
        part = deleted[first : first + _CONTAINER_VALUES]
        if count <= _ARRAY_MEMBERS:
            part[_array(data, start, count)] = True
        else:
            part[:] = _bits(data, start, count)
    if deleted[rows:].any():
        raise IntegrityError(f"it names a row beyond the {rows} there are")
    return deleted[:rows]


def _containers(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys, numbers of members and offsets of the containers, int64, checked against the length of the file."""
    if len(data) < _HEAD_BYTES:
        raise IntegrityError(f"{len(data)} bytes are too few for a roaring bitmap")
    cookie, count = np.frombuffer(data, dtype="<u4", count=2).tolist()
    if cookie & 0xFFFF == _COOKIE_WITH_RUNS:
        raise IntegrityError("a roaring bitmap with run containers; tombstones have none")
    if cookie != _COOKIE:
        raise IntegrityError("no roaring bitmap in the portable format")
    if len(data) < _HEAD_BYTES + count * _DESCRIPTION_BYTES or count > _CONTAINER_VALUES:
        raise IntegrityError(
            f"a roaring bitmap of {count} containers cut short at {len(data)} bytes"
        )
    described = np.frombuffer(data, dtype="<u2", count=2 * count, offset=_HEAD_BYTES)
    keys, members = described.reshape(count, 2).astype(np.int64).T
    members = members + 1
    offsets = np.frombuffer(data, dtype="<u4", count=count, offset=_HEAD_BYTES + 4 * count)
    sizes = np.where(members <= _ARRAY_MEMBERS, 2 * members, _BITMAP_BYTES)
    ends = _HEAD_BYTES + _DESCRIPTION_BYTES * count + np.cumsum(sizes)
    size = int(ends[-1]) if count else _HEAD_BYTES
    if len(data) != size or (np.diff(keys) <= 0).any() or (offsets != ends - sizes).any():
        raise IntegrityError(f"a damaged roaring bitmap: {len(data)} bytes, its head says {size}")
    return keys, members, offsets.astype(np.int64)


def _array(data: bytes, start: int, count: int) -> np.ndarray:
    values = np.frombuffer(data, dtype="<u2", count=count, offset=start)
    if (values[1:] <= values[:-1]).any():
        raise IntegrityError("a damaged roaring bitmap: an array that is not in order")
    return values


def _bits(data: bytes, start: int, count: int) -> np.ndarray:
    packed = np.frombuffer(data, dtype=np.uint8, count=_BITMAP_BYTES, offset=start)
    bits = np.unpackbits(packed, bitorder="little").view(np.bool_)
    if np.count_nonzero(bits) != count:
        raise IntegrityError(f"a damaged roaring bitmap: other bits than the {count} it counts")
    return bits
