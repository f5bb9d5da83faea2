"""The vectors of a segment's units: tokens.npy, offsets.npy and kinds.npy, memory-mapped.

Vector j of unit i is row ``offsets[i] + j`` of tokens.npy, where it lies as its codec stores it, and of kinds.npy.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from schemas.errors import IntegrityError, VectorError
from schemas.space import TokenVectors
from stages.index.digests import vector_digests
from stages.index.late.pooling import reduced
from stages.index.segments import TOKEN_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stages.index.late.codecs import Codebook
    from stages.index.segments import SegmentPaths

POOL: Final = "pool"
PREFIX: Final = "prefix"
_SEED: Final = 20_260_102
_MOST_KINDS: Final = 256


class Tokens(NamedTuple):
    """The vectors of some units, one unit after the other.

    Attributes:
        vectors: float32 [n, dim].
        kinds: int32 [n], what each is of, see `schemas.space.TokenVectors`.
        offsets: int64 [units + 1]: unit i has rows offsets[i] to offsets[i + 1], at least one.
    """

    vectors: np.ndarray
    kinds: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, units: Sequence[TokenVectors], dim: int) -> Tokens:
        """Those of single units."""
        nothing = TokenVectors(np.zeros((0, dim), np.float32), np.zeros(0, np.int32))
        counts = [len(unit.kinds) for unit in units]
        return cls(
            np.concatenate([nothing.vectors, *(unit.vectors for unit in units)]),
            np.concatenate([nothing.kinds, *(unit.kinds for unit in units)]),
            np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64),
        )

    @property
    def units(self) -> int:
        """How many."""
        return len(self.offsets) - 1

    @property
    def starts(self) -> np.ndarray:
        """Where each unit's begin, int64 [units]."""
        return self.offsets[:-1]

    def unit(self, number: int) -> TokenVectors:
        """Those of one."""
        part = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return TokenVectors(self.vectors[part], self.kinds[part])

    def each(self) -> Iterator[np.ndarray]:
        """The vectors of one unit after the other."""
        return (self.unit(number).vectors for number in range(self.units))

    def take(self, rows: np.ndarray) -> Tokens:
        """Those of some units, in that order."""
        return Tokens.of([self.unit(row) for row in rows.tolist()], self.vectors.shape[1])

    def reduced(self, parameters: Mapping[str, int]) -> Tokens:
        """What an index with these build parameters keeps of each unit, see pooling.py."""
        prefix, pool = parameters.get(PREFIX, 0), parameters.get(POOL, 1)
        if not prefix and pool == 1:
            return self
        units = [reduced(self.unit(n), prefix=prefix, pool=pool) for n in range(self.units)]
        return Tokens.of(units, self.vectors.shape[1])

    def means(self) -> np.ndarray:
        """Of each unit's vectors, of length 1 again: float32 [units, dim]."""
        sums = np.add.reduceat(self.vectors, self.starts) if self.units else self.vectors
        lengths = np.sqrt(np.vecdot(sums, sums))[:, None]
        return np.asarray(sums / np.maximum(lengths, np.finfo(np.float32).tiny))

    def digests(self) -> np.ndarray:
        """uint64 [units], equal where units have equal vectors in equal order, see `vector_digests`."""
        counts = np.diff(self.offsets)
        longest = int(counts.max(initial=0))
        factors = np.random.PCG64(_SEED).random_raw(max(1, longest)) | np.uint64(1)
        place = np.arange(len(self.vectors)) - np.repeat(self.starts, counts)
        summands = (vector_digests(self.vectors) + np.uint64(1)) * factors[place]
        if not self.units:
            return np.asarray(summands)
        return np.asarray(np.add.reduceat(summands, self.starts, dtype=np.uint64))


def checked(tokens: Tokens, dim: int, place: str) -> Tokens:
    """The same, if each unit has vectors and all are finite float32 [n, dim].

    Raises:
        VectorError: Something else; names `place` and the first bad unit.
    """
    vectors, kinds, offsets = tokens
    if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype != np.float32:
        raise VectorError(
            f"{place}: vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dim}]"
        )
    if len(kinds) != len(vectors) or offsets[0] != 0 or offsets[-1] != len(vectors):
        raise VectorError(
            f"{place}: {len(vectors)} vectors, {len(kinds)} kinds, offsets to {offsets[-1]}"
        )
    if (np.diff(offsets) < 1).any():
        raise VectorError(f"{place}: unit {int(np.argmin(np.diff(offsets)))} has no vector")
    if len(kinds) and not 0 <= kinds.min() <= kinds.max() < _MOST_KINDS:
        raise VectorError(f"{place}: kinds are {kinds.min()} to {kinds.max()}, expected 0 to 255")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        unit = int(np.searchsorted(offsets, int(np.argmin(finite)), side="right")) - 1
        raise VectorError(f"{place}: a vector of unit {unit} has NaN or infinity in it")
    return tokens


def store_files(tokens: Tokens, codebook: Codebook) -> dict[str, np.ndarray]:
    """The bytes of the three files, uint8, by name. Equal tokens give equal bytes."""
    arrays = (
        codebook.encode(tokens.vectors),
        tokens.offsets.astype("<i8"),
        tokens.kinds.astype(np.uint8),
    )
    return dict(zip(TOKEN_FILES, map(_npy, arrays), strict=True))


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The vectors of a segment on local disk.

    Attributes:
        codes: [n, bytes], mapped.
        offsets: int64 [units + 1].
        kinds: uint8 [n], mapped.
        codebook: What decodes them.
    """

    codes: np.ndarray
    offsets: np.ndarray
    kinds: np.ndarray
    codebook: Codebook

    @classmethod
    def open(cls, paths: SegmentPaths, units: int, codebook: Codebook) -> TokenStore:
        """Map the files.

        Args:
            paths: Of the segment.
            units: That it has.
            codebook: Of the index.

        Raises:
            IntegrityError: One is missing, no such array, or they do not belong together.
        """
        if paths.tokens is None:
            names = ", ".join(TOKEN_FILES)
            raise IntegrityError(f"{paths.index.parent} has not all of {names}")
        codes, offsets, kinds = map(_mapped, paths.tokens)
        fits = codes.ndim == 2 and codes.shape[1] == codebook.code_bytes
        if not fits or len(offsets) != units + 1 or (np.diff(offsets) < 1).any():
            raise IntegrityError(
                f"{paths.tokens[0]} is {codes.dtype} {list(codes.shape)} with {len(offsets)} offsets, expected"
                f" {codebook.code_bytes} bytes a vector and offsets of {units} units"
            )
        if offsets[0] != 0 or offsets[-1] != len(codes) or len(kinds) != len(codes):
            raise IntegrityError(f"{paths.tokens[1]} does not belong to {paths.tokens[0]}")
        return cls(codes, offsets, kinds, codebook)

    def gathered(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of some units one after the other, and where each one's begin, int64 [units]."""
        firsts, lasts = self.offsets[rows], self.offsets[rows + 1]
        spans = zip(firsts.tolist(), lasts.tolist(), strict=True)
        codes = [self.codes[first:last] for first, last in spans]
        counts = lasts - firsts
        return np.concatenate(codes), np.cumsum(counts) - counts

    def unit(self, number: int) -> TokenVectors:
        """The vectors of one unit as they are compared, and what each is of."""
        part = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return TokenVectors(
            self.codebook.decode(self.codes[part]), self.kinds[part].astype(np.int32)
        )


def _npy(array: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return np.frombuffer(file.getbuffer(), dtype=np.uint8)


def _mapped(path: Path) -> np.ndarray:
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error
    return np.asarray(found)  # still mapped, and faster to slice than a memmap
