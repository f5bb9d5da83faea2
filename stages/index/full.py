"""full.npy of a segment: every vector at full length, to rank by where the index's own scores are too coarse.

It stays on disk, memory-mapped; a search reads the rows of its candidates only. int8 is for vectors of length 1:
a row is round(x / max|x| * 127), read back as q / ||q||, so that no scale is stored.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import ConfigError, IntegrityError, VectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.space import Metric

_DTYPES: Final[dict[int, type[np.generic]]] = {32: np.float32, 16: np.float16, 8: np.int8}
_INT8_LARGEST: Final = 127
_NORM_ERROR: Final = 1e-2  # int8 forgets lengths, so they must have been 1
_BLOCK_VALUES: Final = 1 << 22  # 16 MiB of float32 at a time
# float16 to float32 by its bits: shifted into place, the exponent is 127 - 15 too small. Exact for all but infinity and
# NaN, which are not stored, and three times as fast as numpy's own cast.
_HALF_SCALE: Final = np.float32(2.0 ** (127 - 15))


def full_bytes(vectors: np.ndarray, bits: int = 16) -> np.ndarray:
    """The file of vectors float32 [n, dim], uint8. Equal vectors give equal bytes.

    Args:
        vectors: Checked, finite.
        bits: Of one value: 32, 16 or 8.

    Raises:
        ConfigError: Another number of bits.
        VectorError: 16 bits cannot hold a value (beyond 65504), or 8 bits are asked for vectors not of length 1.
    """
    if bits not in _DTYPES:
        raise ConfigError(f"rescore_bits is {bits}; there are {', '.join(map(str, _DTYPES))}")
    dtype = np.dtype(_DTYPES[bits])
    head = io.BytesIO()
    described = {"descr": dtype.str, "fortran_order": False, "shape": vectors.shape}
    np.lib.format.write_array_header_1_0(head, described)
    before = len(head.getvalue())
    data = np.empty(before + vectors.size * dtype.itemsize, dtype=np.uint8)
    data[:before] = np.frombuffer(head.getvalue(), dtype=np.uint8)
    stored = data[before:].view(dtype).reshape(vectors.shape)
    step = max(1, _BLOCK_VALUES // vectors.shape[1])
    for start in range(0, len(vectors), step):
        stored[start : start + step] = _encoded(vectors[start : start + step], bits)
    return data


def open_full(path: Path, rows: int) -> np.ndarray:
    """The file, memory-mapped: float32, float16 or int8 [rows, dim].

    Raises:
        IntegrityError: It is missing, no such array, or has another number of rows.
    """
    try:
        full: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error
    if full.ndim != 2 or full.dtype not in _DTYPES.values() or len(full) != rows:
        raise IntegrityError(
            f"{path} is {full.dtype} {list(full.shape)}, expected {rows} rows of vectors"
        )
    return full


def decode(stored: np.ndarray) -> np.ndarray:
    """Vectors as they are compared, float32, of stored ones [..., dim]."""
    if stored.dtype == np.float16:
        return _from_half(stored)
    values: np.ndarray = stored.astype(np.float32)
    if stored.dtype == np.int8:
        lengths = np.sqrt(np.vecdot(values, values))[..., None]
        values /= np.maximum(lengths, 1)  # a row of zeros stays one
    return values


def similarities(
    stores: Sequence[np.ndarray | None],
    queries: np.ndarray,
    segment: np.ndarray,
    row: np.ndarray,
    metric: Metric,
) -> np.ndarray:
    """Exact similarities of some rows to each query: the inner product, or minus the squared distance.

    Each is computed by itself, so equal vectors are equally similar, whatever they are asked beside.

    Args:
        stores: Of every segment, from `open_full`, all alike; None where no row is of it.
        queries: float32 [n, dim].
        segment: int64 [n, width].
        row: int64 [n, width], -1 for none.
        metric: What is near.

    Returns:
        float32 [n, width], -inf where there is no row.
    """
    found = np.empty(row.shape, dtype=np.float32)
    dtype = next(store.dtype for store in stores if store is not None)
    dim = queries.shape[1]
    step = max(1, _BLOCK_VALUES // (row.shape[1] * dim))
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        stored = np.zeros((*row[part].shape, dim), dtype=dtype)
        for number, store in enumerate(stores):
            own = (segment[part] == number) & (row[part] >= 0)
            if store is not None and own.any():
                stored[own] = np.asarray(store)[row[part][own]]
        found[part] = compare(queries[part, None, :], decode(stored), metric)
    found[row < 0] = -np.inf
    return found


def compare(queries: np.ndarray, vectors: np.ndarray, metric: Metric) -> np.ndarray:
    """Similarities of float32 [..., dim] to [..., dim], pair by pair; a pair gives the same bits in any company."""
    if metric == "inner_product":
        return np.asarray(np.vecdot(queries, vectors))
    difference = queries - vectors
    return -np.asarray(np.vecdot(difference, difference))


def blocks(rows: np.ndarray, dim: int) -> Iterator[np.ndarray]:
    """Row numbers in pieces whose vectors fit a block of memory."""
    step = max(1, _BLOCK_VALUES // dim)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _encoded(vectors: np.ndarray, bits: int) -> np.ndarray:
    if bits == 32:
        return vectors
    if bits == 16:
        with np.errstate(over="ignore"):
            half: np.ndarray = vectors.astype(np.float16)
        if not np.isfinite(half).all():
            raise VectorError("a value does not fit into 16 bits: set rescore_bits = 32")
        return half
    lengths = np.linalg.norm(vectors, axis=1)
    if (np.abs(lengths - 1) > _NORM_ERROR).any():
        raise VectorError("8 bits hold vectors of length 1 only: set rescore_bits = 16 or 32")
    scaled = vectors * (_INT8_LARGEST / np.abs(vectors).max(axis=1, keepdims=True))
    rounded: np.ndarray = np.rint(scaled)
    return rounded.astype(np.int8)


def _from_half(stored: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(stored).view(np.uint16).astype(np.uint32)
    sign = (bits & 0x8000) << 16
    bits &= 0x7FFF
    bits <<= 13
    values = bits.view(np.float32)
    values *= _HALF_SCALE
    bits |= sign
    return values
