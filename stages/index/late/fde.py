"""Fixed-dimensional encodings: one vector for many, whose inner products stand for sums of best cosines.

MUVERA, Dhulipala et al. 2024, arXiv 2405.19504. A repetition cuts space into 2**bits partitions by the signs of `bits`
random projections (SimHash). The vectors of a query are added up within each partition, those of a document averaged;
a partition in which a document has none takes its vector with the fewest other signs. So the inner product of both
takes for each query vector a document vector near to it. Each partition is projected to `block` dims, by random signs.
The authors' last projection, of all partitions together, is left out: it cost more candidates than the bytes it saved
(docs/late-interaction.md). With no bits, one repetition and no projection, what is left is the mean of the vectors.

Signs come from the raw bits of PCG64 and sums are rounded once from float64: equal vectors give equal bytes whatever
they are encoded beside, and another language can make the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PLANES, _BLOCKS = range(2)  # streams of random bits
PREFIX: Final = "fde_"


@dataclass(frozen=True)
class Fde:
    """One way to encode.

    Attributes:
        centre: float32 [dim], taken from every vector before its signs are, see docs/late-interaction.md.
        repetitions: Independent partitions of space.
        bits: Projections in each; 2**bits partitions.
        block: Dims that each partition is projected to; those of a vector for no projection.
        seed: Of all random signs.
    """

    centre: np.ndarray
    repetitions: int
    bits: int
    block: int
    seed: int

    @classmethod
    def of(cls, parameters: Mapping[str, int], centre: np.ndarray) -> Fde:
        """From the build parameters of an index (``fde_bits`` ...)."""
        names = ("repetitions", "bits", "block", "seed")
        return cls(centre, **{name: parameters[PREFIX + name] for name in names})

    @property
    def dims(self) -> int:
        """Of an encoding."""
        return self.repetitions * self._partitions * self.block

    def queries(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Encode float32 [tokens, dim] each: float32 [texts, dims]."""
        return self._encoded(texts, mean=False)

    def documents(self, units: Sequence[np.ndarray]) -> np.ndarray:
        """Encode float32 [tokens, dim] each, at least one token: float32 [units, dims]."""
        return self._encoded(units, mean=True)

    def _encoded(self, parts: Sequence[np.ndarray], *, mean: bool) -> np.ndarray:
        encoded = np.empty((len(parts), self.dims), dtype=np.float32)
        for row, vectors in enumerate(parts):
            encoded[row] = self._blocks(vectors.astype(np.float64), mean=mean).ravel()
        return encoded

    def _blocks(self, vectors: np.ndarray, *, mean: bool) -> np.ndarray:
        """float64 [repetitions * partitions, block]."""
        own = self._partitions_of(vectors)
        projected = (vectors @ self._projections).reshape(len(vectors), self.repetitions, -1)
        flat = own + np.arange(self.repetitions) * self._partitions
        order = np.argsort(flat.ravel(), kind="stable")
        there, starts = np.unique(flat.ravel()[order], return_index=True)
        sums = np.add.reduceat(projected.reshape(-1, self.block)[order], starts)
        if mean:
            sums /= np.diff(starts, append=flat.size)[:, None]
        blocks = np.zeros((self.repetitions * self._partitions, self.block))
        blocks[there] = sums
        if mean:
            empty = np.ones(len(blocks), dtype=np.bool_)
            empty[there] = False
            numbers = np.flatnonzero(empty)
            repetition, partition = np.divmod(numbers, self._partitions)
            others = np.bitwise_count(own[:, repetition] ^ partition).argmin(axis=0)
            blocks[numbers] = projected[others, repetition]
        return blocks

    def _partitions_of(self, vectors: np.ndarray) -> np.ndarray:
        """Of each vector in each repetition, int64 [tokens, repetitions]."""
        signs = (vectors - self.centre) @ self._planes > 0
        weights = 1 << np.arange(self.bits)
        return np.asarray(signs.reshape(len(vectors), self.repetitions, self.bits) @ weights)

    @property
    def _partitions(self) -> int:
        return 1 << self.bits

    @cached_property
    def _planes(self) -> np.ndarray:
        return self._signs(_PLANES, (len(self.centre), self.repetitions * self.bits))

    @cached_property
    def _projections(self) -> np.ndarray:
        if self.block == len(self.centre):
            once = np.eye(self.block) / np.sqrt(self.repetitions)
            return np.tile(once, (1, self.repetitions))
        shape = (len(self.centre), self.repetitions * self.block)
        return np.asarray(self._signs(_BLOCKS, shape) / np.sqrt(self.block * self.repetitions))

    def _signs(self, stream: int, shape: tuple[int, ...]) -> np.ndarray:
        """Of 1 and -1, float64."""
        count = int(np.prod(shape))
        octets = self._raw(stream, -(-count // 64)).astype("<u8").view(np.uint8)
        bits = np.unpackbits(octets, count=count, bitorder="little")
        return np.asarray(bits.reshape(shape) * 2.0 - 1.0)

    def _raw(self, stream: int, count: int) -> np.ndarray:
        raw: np.ndarray = np.random.PCG64([self.seed, stream]).random_raw(count)
        return raw
