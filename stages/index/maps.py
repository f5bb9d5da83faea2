"""Applying the map of a snapshot: queries of a new space to those of an old one. Needs numpy alone."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import IntegrityError, VectorError

if TYPE_CHECKING:
    from pathlib import Path

_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class AffineMap:
    """``x -> x @ matrix + offset``, of length 1 again where `normalised`.

    A rotation, a ridge regression and the sum of both are all of this form, so what is published does not depend on how
    it was fitted.

    Attributes:
        matrix: float32 [dim, dim of the target].
        offset: float32 [dim of the target].
        normalised: Whether vectors of the target have length 1.
    """

    matrix: np.ndarray
    offset: np.ndarray
    normalised: bool = True

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Carry vectors over.

        Args:
            vectors: float32 [n, dim].

        Returns:
            float32 [n, dim of the target].

        Raises:
            VectorError: They have another dim.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.matrix):
            raise VectorError(
                f"the map takes [n, {len(self.matrix)}] vectors, these are {list(vectors.shape)}"
            )
        mapped = vectors.astype(np.float32, copy=False) @ self.matrix + self.offset
        if self.normalised:
            mapped /= np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), _TINY)
        found: np.ndarray = np.ascontiguousarray(mapped, dtype=np.float32)
        return found

    def to_bytes(self) -> bytes:
        """The file: npy, float32 [dim + 1, dim of the target]; the last row is the offset."""
        out = io.BytesIO()
        np.save(out, np.vstack([self.matrix, self.offset]).astype("<f4"), allow_pickle=False)
        return out.getvalue()

    @classmethod
    def read(cls, path: Path, *, normalised: bool) -> AffineMap:
        """What `to_bytes` wrote.

        Raises:
            IntegrityError: The file is missing or is no such array.
        """
        try:
            return cls.from_bytes(path.read_bytes(), normalised=normalised)
        except (OSError, ValueError, EOFError) as error:
            raise IntegrityError(f"cannot read the map {path}: {error}") from error

    @classmethod
    def from_bytes(cls, data: bytes, *, normalised: bool) -> AffineMap:
        """The same of its bytes.

        Raises:
            ValueError, EOFError: They are no such array.
        """
        stored = np.load(io.BytesIO(data), allow_pickle=False)
        if stored.ndim != 2 or stored.dtype != np.float32 or len(stored) < 2:
            raise ValueError(f"{stored.dtype} {list(stored.shape)} is no map")
        return cls(stored[:-1], stored[-1], normalised)
