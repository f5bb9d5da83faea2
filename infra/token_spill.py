"""Vectors of units that have many each, in one file on scratch disk, so that any units' can be read together."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from infra.local_blobs import out_of_space
from schemas.errors import IntegrityError, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from schemas.space import Marked


class TokenSpill:
    """Units are known by a number 0..units-1, whichever way they come.

    Args:
        folder: Empty, on scratch disk.
        units: How many there may be; some may have nothing.
    """

    def __init__(self, folder: Path, units: int) -> None:
        self._values, self._kinds = folder / "tokens", folder / "kinds"
        self._starts = np.zeros(units, np.int64)
        self._counts = np.zeros(units, np.int64)
        self._dim = 0

    @property
    def dim(self) -> int:
        """Of a vector; 0 before there is one."""
        return self._dim

    @property
    def counts(self) -> np.ndarray:
        """Vectors of each unit, int64 [units]."""
        return self._counts

    def pour(self, blocks: Iterable[tuple[np.ndarray, list[Marked]]]) -> None:
        """Take vectors in: (numbers of units, what each became), each unit at most once.

        Raises:
            IntegrityError: Vectors differ in dim.
            LakeError: The disk is full.
        """
        total = 0
        with self._values.open("ab") as values, self._kinds.open("ab") as kinds:
            for units, block in blocks:
                for unit, found in zip(units.tolist(), block, strict=True):
                    self._check(found)
                    _write(values, np.ascontiguousarray(found.values, np.float32))
                    _write(kinds, np.ascontiguousarray(found.marks, np.int32))
                    self._starts[unit], self._counts[unit] = total, len(found.marks)
                    total += len(found.marks)

    def read(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Vectors of some units, one unit after the other.

        Returns:
            vectors float32 [n, dim], kinds int32 [n], offsets int64 [units + 1].
        """
        counts = self._counts[units]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        vectors = np.empty((int(offsets[-1]), self._dim), np.float32)
        kinds = np.empty(len(vectors), np.int32)
        if not len(vectors):
            return vectors, kinds, offsets
        stored = np.memmap(self._values, np.float32, "r").reshape(-1, self._dim)
        marks = np.memmap(self._kinds, np.int32, "r")
        for place in np.argsort(self._starts[units], kind="stable").tolist():  # as they lie on disk
            start, count = int(self._starts[units[place]]), int(counts[place])
            own = slice(int(offsets[place]), int(offsets[place + 1]))
            vectors[own] = stored[start : start + count]
            kinds[own] = marks[start : start + count]
        return vectors, kinds, offsets

    def _check(self, found: Marked) -> None:
        dim = found.values.shape[1]
        self._dim = self._dim or dim
        if dim != self._dim:
            raise IntegrityError(f"vectors of {dim} and of {self._dim} dims in one space")


def _write(file: BinaryIO, array: np.ndarray) -> None:
    try:
        file.write(array.data)
    except OSError as error:
        if out_of_space(error):
            raise LakeError(
                f"putting vectors in order needs more space than there is in {file.name}: free some, or set TMPDIR to"
                " a folder on a bigger disk, and run it again"
            ) from error
        raise LakeError(f"cannot write {file.name}: {error}") from error
