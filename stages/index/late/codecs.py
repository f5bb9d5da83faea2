"""How the vectors of units are stored: a byte a dim, or a centroid and a product-quantised residual.

Both hold vectors of length 1 and give back vectors of length 1, so that no scale is stored.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import numpy as np

from schemas.errors import ConfigError, IntegrityError, VectorError
from stages.index.families import library, one_thread
from stages.index.full import decode as from_int8

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PARTS: Final = "token_parts"
CENTROIDS: Final = "token_centroids"
_INT8_LARGEST: Final = 127
_NORM_ERROR: Final = 1e-2  # lengths are not stored, so they must have been 1
_BITS: Final = 8
_NUMBER_BYTES: Final = 2  # of a centroid
_LEAST_NORM: Final = 1e-12
_ITERATIONS: Final = 10
_RESIDUALS_A_CENTROID: Final = 64  # 256 centroids for each part: more made no difference
_SEED: Final = 1234


@dataclass(frozen=True)
class Codebook:
    """What all segments of an index share, learned from a sample of its vectors.

    Attributes:
        centre: float32 [dim], their mean: encodings look at vectors from there.
        centroids: float32 [centroids, dim]; none for ``int8``.
        parts: float32 [parts, 256, dim / parts], of residuals; none for ``int8``.
    """

    centre: np.ndarray
    centroids: np.ndarray
    parts: np.ndarray

    @classmethod
    def trained(cls, sample: np.ndarray, parameters: Mapping[str, int]) -> Codebook:
        """From vectors float32 [n, dim]; equal samples give equal codebooks.

        Raises:
            VectorError: Fewer vectors than centroids, or than the 256 of each part.
            ConfigError: The parts do not divide the dims.
        """
        dim = sample.shape[1]
        centre = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        parts, count = parameters.get(PARTS, 0), parameters.get(CENTROIDS, 0)
        if not parts:
            nothing = np.zeros((0, dim), dtype=np.float32)
            return cls(centre, nothing, nothing.reshape(0, 1 << _BITS, dim))
        if dim % parts:
            raise ConfigError(f"{PARTS} = {parts} does not divide {dim} dims")
        least = max(count, 1 << _BITS)
        if len(sample) < least:
            raise VectorError(
                f"{len(sample)} vectors to learn codes from, which take at least {least}: store them as int8"
            )
        with one_thread():
            centroids = _centroids(sample, count)
            residuals = sample - centroids[_nearest(sample, centroids)]
            return cls(centre, centroids, _learned(residuals, parts))

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return len(self.centre)

    @property
    def code_bytes(self) -> int:
        """Of one vector."""
        return len(self.parts) + _NUMBER_BYTES if len(self.parts) else self.dim

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes of vectors float32 [n, dim]: int8 [n, dim], or uint8 [n, 2 + parts] with the centroid's number first.

        Raises:
            VectorError: A vector has not length 1.
        """
        lengths = np.linalg.norm(vectors, axis=1)
        if (np.abs(lengths - 1) > _NORM_ERROR).any():
            raise VectorError(
                "late interaction takes vectors of length 1: normalise in the encoder"
            )
        if not len(self.parts):
            largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), _LEAST_NORM)
            rounded: np.ndarray = np.rint(vectors * (_INT8_LARGEST / largest))
            return rounded.astype(np.int8)
        with one_thread():
            numbers = _nearest(vectors, self.centroids)
            residuals = np.ascontiguousarray(vectors - self.centroids[numbers])
            codes = self._quantiser.compute_codes(residuals)
        leading = numbers.astype("<u2").view(np.uint8).reshape(len(vectors), _NUMBER_BYTES)
        return np.concatenate([leading, codes], axis=1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors of length 1 again, float32 [n, dim]."""
        if not len(self.parts):
            return from_int8(codes)
        numbers = np.ascontiguousarray(codes[:, :_NUMBER_BYTES]).view("<u2")[:, 0]
        vectors: np.ndarray = self._quantiser.decode(np.ascontiguousarray(codes[:, _NUMBER_BYTES:]))
        vectors += self.centroids[numbers]
        lengths = np.sqrt(np.vecdot(vectors, vectors))[:, None]
        vectors /= np.maximum(lengths, np.float32(_LEAST_NORM))
        return vectors

    def to_bytes(self) -> bytes:
        """An npz of the three arrays; equal ones give equal bytes."""
        file = io.BytesIO()
        np.savez(file, centre=self.centre, centroids=self.centroids, parts=self.parts)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Codebook:
        """What `to_bytes` wrote.

        Raises:
            IntegrityError: It is no such file.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls(arrays["centre"], arrays["centroids"], arrays["parts"])
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise IntegrityError(f"not a codebook of late interaction: {error}") from error

    @classmethod
    def read(cls, path: Path) -> Codebook:
        """The same from a file.

        Raises:
            IntegrityError: It is missing or no such file.
        """
        try:
            return cls.from_bytes(path.read_bytes())
        except (OSError, IntegrityError) as error:
            raise IntegrityError(f"cannot read {path}: {error}") from error

    @cached_property
    def _quantiser(self) -> Any:
        faiss = library()

        quantiser = faiss.ProductQuantizer(self.dim, len(self.parts), _BITS)
        for number, part in enumerate(np.ascontiguousarray(self.parts)):
            quantiser.set_params(faiss.swig_ptr(part), number)
        return quantiser


def _centroids(sample: np.ndarray, count: int) -> np.ndarray:
    """By spherical k-means, float32 [count, dim]."""
    faiss = library()

    clustering = faiss.Clustering(sample.shape[1], count)
    clustering.seed, clustering.niter, clustering.spherical = _SEED, _ITERATIONS, True
    clustering.max_points_per_centroid = len(sample)  # never subsamples
    clustering.min_points_per_centroid = 1  # only silences a warning
    index = faiss.IndexFlatIP(sample.shape[1])
    clustering.train(np.ascontiguousarray(sample), index)
    return np.asarray(index.reconstruct_n(0, count))


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Number of the centroid with the best inner product, int64 [n]."""
    faiss = library()

    _, numbers = faiss.knn(vectors, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)
    return np.asarray(numbers[:, 0])


def _learned(residuals: np.ndarray, parts: int) -> np.ndarray:
    """float32 [parts, 256, dim / parts]."""
    faiss = library()

    quantiser = faiss.ProductQuantizer(residuals.shape[1], parts, _BITS)
    quantiser.cp.niter = _ITERATIONS
    quantiser.cp.max_points_per_centroid = _RESIDUALS_A_CENTROID
    quantiser.cp.min_points_per_centroid = 1  # only silences a warning
    quantiser.train(np.ascontiguousarray(residuals))
    # By decoding, not from its vector of centroids: where pymupdf is loaded too, SWIG takes that for its own.
    each = np.arange(1 << _BITS, dtype=np.uint8)[:, None].repeat(parts, axis=1)
    learned = quantiser.decode(each).reshape(len(each), parts, -1)
    return np.ascontiguousarray(learned.transpose(1, 0, 2))
