"""Kept payloads: the pixels that encoders were given, for encoders that come later (docs/lake.md).

`payloads/<side of a frame>/<first two of the hash>/<pixels_hash>.npy.zst` is a file of numpy's, compressed. Its name is
the digest of its shape and values: what is read is checked by its own name, equal pixels are one file, and whoever
writes it writes the same. Whether a payload is needed the tables say, by the `pixels_hash` of their live units.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from tokenize import TokenError
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from infra.blobs import open_blobs
from schemas.errors import IntegrityError
from schemas.pixels import hash_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore

PAYLOADS: Final = "payloads"
MAX_BYTES: Final = 256 << 20  # unpacked: 1,780 frames of 224 x 224; what has more is not kept
_KEY: Final = re.compile(PAYLOADS + r"/(\d+)/([0-9a-f]{2})/(\2[0-9a-f]{30})\.npy\.zst")
_CODEC: Final = "zstd"
# Of 381 pictures, pages and clips level 3 made 13.6 MB of 98.6, level 1 14.7 MB, level 9 12.9 MB at four times the
# time; differences of neighbours before it, as PNG has them, gain on photos and lose on pages.
_LEVEL: Final = 3
_HEADER_BYTES: Final = 256  # numpy writes 128
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

    def keep(self, pixels: Mapping[str, NDArray[np.uint8]]) -> int:
        """Write what is not there yet; all of it is there when this returns.

        Args:
            pixels: uint8 [n, S, S, 3] by pixels_hash. Those over `MAX_BYTES` are left out.

        Returns:
            Bytes written.
        """
        fitting = [item for item in pixels.items() if item[1].nbytes <= MAX_BYTES]
        with ThreadPoolExecutor(_THREADS) as pool:
            return sum(pool.map(self._put, fitting))

    def read(self, frame_size: int, hashes: Sequence[str]) -> tuple[NDArray[np.uint8], ...]:
        """Pixels by their hashes, in that order.

        Args:
            frame_size: Side S of their frames.
            hashes: `pixels_hash` of units.

        Returns:
            uint8 [n, S, S, 3] each, n at least 1.

        Raises:
            IntegrityError: One is not there, or is not what its name says.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            return tuple(pool.map(lambda name: self._get(key_of(frame_size, name)), hashes))

    def kept(self, frame_size: int) -> set[str]:
        """`pixels_hash` of all that is kept of frames with this side."""
        keys = self._blobs.list(f"{PAYLOADS}/{frame_size}")
        return {match[3] for match in map(_KEY.fullmatch, keys) if match}

    def sizes(self) -> dict[str, int]:
        """Compressed bytes of everything that lies there, by key."""
        return self._blobs.sizes(PAYLOADS)

    def unneeded(self, live: pa.Array | pa.ChunkedArray) -> list[str]:
        """Keys that are no payload of a live unit.

        Args:
            live: `pixels_hash` of all live units.
        """
        keys = self._blobs.list(PAYLOADS)
        names = pa.array([hash_in(key) or None for key in keys], pa.string())
        needed = pc.is_in(names, value_set=pc.unique(live), skip_nulls=True).to_pylist()
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

    def _put(self, item: tuple[str, NDArray[np.uint8]]) -> int:
        name, pixels = item
        data = pack(pixels)
        return len(data) if self._blobs.put_if_absent(key_of(pixels.shape[1], name), data) else 0

    def _get(self, key: str) -> NDArray[np.uint8]:
        size_bytes = self._blobs.size_bytes(key) or 0
        if size_bytes > MAX_BYTES:
            raise IntegrityError(f"{key} has {size_bytes} bytes, a payload at most {MAX_BYTES}")
        pixels = unpack(self._blobs.get(key), key)
        if key != key_of(pixels.shape[1], hash_pixels(pixels)):
            raise IntegrityError(f"{key} has other pixels than its name says")
        return pixels


def key_of(frame_size: int, pixels_hash: str) -> str:
    """Where a payload lies."""
    return f"{PAYLOADS}/{frame_size}/{pixels_hash[:2]}/{pixels_hash}.npy.zst"


def hash_in(key: str) -> str:
    """The `pixels_hash` that the name of a payload has; empty for what is no payload."""
    match = _KEY.fullmatch(key)
    return match[3] if match else ""


def pack(pixels: NDArray[np.uint8]) -> bytes:
    """A payload's bytes. The same pixels give the same ones, with the same version of zstd."""
    file = BytesIO()
    npy.write_array(file, np.ascontiguousarray(pixels), version=(1, 0), allow_pickle=False)
    packed: bytes = pa.Codec(_CODEC, _LEVEL).compress(file.getbuffer(), asbytes=True)
    return packed


def unpack(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels in a payload's bytes, uint8 [n, S, S, 3]; nothing in it is run, and no more than stated is unpacked.

    Args:
        data: What :func:`pack` gave.
        name: For messages.

    Raises:
        IntegrityError: It is no payload, or not a whole one.
    """
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), _CODEC) as file:
            if npy.read_magic(file) != (1, 0):
                raise ValueError("another version of the format")
            shape, in_columns, dtype = npy.read_array_header_1_0(file, _HEADER_BYTES)
            n_bytes = _checked_bytes(shape, dtype) if not in_columns else 0
            values = file.read(n_bytes + 1)
    except _BROKEN as error:
        raise IntegrityError(f"{name} cannot be read: {error}") from error
    if not n_bytes or len(values) != n_bytes:
        raise IntegrityError(f"{name} has not the bytes that its head states")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _checked_bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Bytes of pixels of this shape; 0 if those of encoders have another."""
    if dtype != np.uint8 or len(shape) != 4 or min(shape) < 1:
        return 0
    n, height, width, channels = shape
    n_bytes = n * height * width * channels
    return n_bytes if (height, channels) == (width, 3) and n_bytes <= MAX_BYTES else 0
