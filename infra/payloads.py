"""Kept payloads: the pixels and sounds that encoders were given, for encoders that come later (docs/lake.md).

`payloads/<side of a frame>/<first two of the hash>/<pixels_hash>.npy.zst` is a file of numpy's, compressed. Its name is
the digest of its shape and values: what is read is checked by its own name, equal pixels are one file, and whoever
writes it writes the same. Whether a payload is needed the tables say, by the `pixels_hash` of their live units.

`payloads/sound/<first two of the id>/<unit_id>.npy.zst` is the sound of a unit. Its name says which, not what
it is like, so a digest of both follows the values, and what is read is checked by that.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from io import BytesIO
from math import prod
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from infra.blobs import open_blobs
from schemas.errors import IntegrityError
from schemas.ids import digest, digest_buffer
from schemas.pixels import hash_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore

PAYLOADS: Final = "payloads"
MAX_BYTES: Final = 256 << 20  # unpacked: 1,780 frames of 224 x 224; what has more is not kept
_SOUND: Final = "sound"  # in place of the side of a frame
_KEY: Final = re.compile(
    PAYLOADS + rf"/(\d+|{_SOUND})/([0-9a-f]{{2}})/(\2[0-9a-f]{{30}})\.npy\.zst"
)
_CODEC: Final = "zstd"
# Of 381 pictures, pages and clips level 3 made 13.6 MB of 98.6, level 1 14.7 MB, level 9 12.9 MB at four times the
# time; differences of neighbours before it, as PNG has them, gain on photos and lose on pages.
_LEVEL: Final = 3
_HEADER_BYTES: Final = 256  # numpy writes 128
_SAMPLE: Final = np.dtype("<i2")
_SEAL_BYTES: Final = 32
_THREADS: Final = 8  # hides the latency of an object store
_BROKEN: Final = (ValueError, SyntaxError, TokenError, OSError, pa.ArrowException)


class Payloads:
    """The payloads of a lake. Picklable: a worker opens the store for itself.

    Every method raises LakeError when the store cannot be reached.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    @classmethod
    def at(cls, lake_url: str) -> Self:
        """Those of the lake at a URL."""
        return cls(open_blobs(lake_url))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).at, (self._blobs.url,)

    def keep(self, arrays: Mapping[str, NDArray[Any]]) -> int:
        """Write what is not there yet; all of it is there when this returns.

        Args:
            arrays: Pixels, uint8 [n, S, S, 3], by pixels_hash, or sounds, int16 [n], by unit_id. Those over
                `MAX_BYTES` are left out.

        Returns:
            Bytes written.
        """
        fitting = [item for item in arrays.items() if item[1].nbytes <= MAX_BYTES]
        with ThreadPoolExecutor(_THREADS) as pool:
            return sum(pool.map(self._put, fitting))

    def read(self, frame_size: int, names: Sequence[str]) -> tuple[NDArray[Any], ...]:
        """Pixels or sounds by their names, in that order.

        Args:
            frame_size: Side S of their frames; 0 for sounds.
            names: `pixels_hash` of units, or `unit_id`.

        Returns:
            uint8 [n, S, S, 3] each, or int16 [n]; n at least 1.

        Raises:
            IntegrityError: One is not there, or is not what its name says.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return tuple(pool.map(lambda name: self._get(key_of(frame_size, name)), names))

    def kept(self, frame_size: int) -> set[str]:
        """`pixels_hash` of all that is kept of frames with this side; with 0, `unit_id` of all sounds."""
        keys = self._blobs.list(f"{PAYLOADS}/{frame_size or _SOUND}")
        return {match[3] for match in map(_KEY.fullmatch, keys) if match}

    def sizes(self) -> dict[str, int]:
        """Compressed bytes of everything that lies there, by key."""
        return self._blobs.sizes(PAYLOADS)

    def unneeded(self, *live: pa.Array | pa.ChunkedArray) -> list[str]:
        """Keys that are no payload of a live unit.

        Args:
            live: `pixels_hash`, and `unit_id`, of all live units.
        """
        keys = self._blobs.list(PAYLOADS)
        names = pa.array([hash_in(key) or None for key in keys], pa.string())
        masks = (pc.is_in(names, value_set=pc.unique(some), skip_nulls=True) for some in live)
        needed = reduce(pc.or_, masks).to_pylist()
        return [key for key, stays in zip(keys, needed, strict=True) if not stays]

    def delete(self, key: str) -> None:
        """Remove one; nothing happens when it is not there."""
        self._blobs.delete(key)

    def faults(self, progress: Progress) -> dict[str, str]:
        """Read every payload; gives what is wrong with those that are not what their names say, by key."""
        keys = [key for key in self._blobs.list(PAYLOADS) if hash_in(key)]
        found = {}
        for number, key in enumerate(keys):
            progress(PAYLOADS, number, len(keys))
            try:
                self._get(key)
            except IntegrityError as error:
                if self._blobs.exists(key):  # else maintenance took it meanwhile
                    found[key] = error.message.removeprefix(f"{key} ")
        return found

    def _put(self, item: tuple[str, NDArray[Any]]) -> int:
        name, array = item
        key = key_of(array.shape[1] if array.ndim > 1 else 0, name)
        data = pack(array, _seal(name, array) if array.ndim == 1 else "")
        return len(data) if self._blobs.put_if_absent(key, data) else 0

    def _get(self, key: str) -> NDArray[Any]:
        size_bytes = self._blobs.size_bytes(key) or 0
        if size_bytes > MAX_BYTES:
            raise IntegrityError(f"{key} has {size_bytes} bytes, a payload at most {MAX_BYTES}")
        array, seal = _unpack(self._blobs.get(key), key)
        name = hash_in(key)
        side, stated = (array.shape[1], hash_pixels(array)) if array.ndim > 1 else (0, name)
        if key != key_of(side, stated) or (seal and seal != _seal(name, array)):
            raise IntegrityError(f"{key} has other values than its name says")
        return array


def key_of(frame_size: int, name: str) -> str:
    """Where a payload lies: pixels by their hash, a sound (`frame_size` 0) by its unit."""
    return f"{PAYLOADS}/{frame_size or _SOUND}/{name[:2]}/{name}.npy.zst"


def hash_in(key: str) -> str:
    """The `pixels_hash`, or `unit_id`, that the name of a payload has; empty for what is no payload."""
    match = _KEY.fullmatch(key)
    return match[3] if match else ""


def pack(array: NDArray[Any], seal: str = "") -> bytes:
    """A payload's bytes. The same values give the same ones, with the same version of zstd."""
    file = BytesIO()
    npy.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    file.write(seal.encode())
    packed: bytes = pa.Codec(_CODEC, _LEVEL).compress(file.getbuffer(), asbytes=True)
    return packed


def unpack(data: bytes, name: str) -> NDArray[Any]:
    """The values in a payload's bytes: uint8 [n, S, S, 3], or int16 [n]. No more than stated is read, nothing run.

    Args:
        data: What :func:`pack` gave.
        name: For messages.

    Raises:
        IntegrityError: It is no payload, or not a whole one.
    """
    return _unpack(data, name)[0]


def _unpack(data: bytes, name: str) -> tuple[NDArray[Any], str]:
    """The same with the seal of a sound."""
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), _CODEC) as file:
            if npy.read_magic(file) != (1, 0):
                raise ValueError("another version of the format")
            shape, in_columns, dtype = npy.read_array_header_1_0(file, _HEADER_BYTES)
            n_bytes = _checked_bytes(shape, dtype) if not in_columns else 0
            seal_bytes = _SEAL_BYTES if len(shape) == 1 else 0
            values = file.read(n_bytes + seal_bytes + 1)
            seal = values[n_bytes:].decode("ascii")
    except _BROKEN as error:
        raise IntegrityError(f"{name} cannot be read: {error}") from error
    if not n_bytes or len(values) != n_bytes + seal_bytes:
        raise IntegrityError(f"{name} has not the bytes that its head states")
    return np.frombuffer(values, dtype, prod(shape)).reshape(shape), seal


def _seal(unit_id: str, sound: NDArray[np.int16]) -> str:
    return digest("sound", unit_id, digest_buffer(np.ascontiguousarray(sound).data))


def _checked_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of pixels or of a sound of this shape; 0 if those of encoders have another."""
    n_bytes = 0
    if len(shape) == 4 and dtype == np.uint8 and shape[1:] == (shape[1], shape[1], 3):
        n_bytes = prod(shape)
    elif len(shape) == 1 and dtype == _SAMPLE:
        n_bytes = prod(shape) * dtype.itemsize
    return n_bytes if 0 < n_bytes <= MAX_BYTES and min(shape) > 0 else 0
