"""Sign bits, compared by Hamming distance, exhaustively."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import ConfigError
from stages.index.families import _faiss
from stages.index.families._base import FaissFamily
from stages.index.families.protocol import NO_QUANTISER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from schemas.space import Metric


@dataclass(frozen=True, slots=True)
class Binary(FaissFamily):
    """One bit a dim: whether it is above 0. A score is 1 - 2 * differing bits / dims, a rough cosine.

    faiss has lists of binary vectors too, but they ignore selectors (faiss 1.15.1, measured).

    Attributes:
        name: Registry name.
        trains: Never.
        rescores: Always: there are only dims + 1 different scores.
        gpu: faiss has a GPU index for it.
    """

    name: str = "binary"
    trains: bool = False
    rescores: bool = True
    gpu: bool = True

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """One bit a dim; ids are positions."""
        return dim / 8

    def scanned_bytes(
        self, rows: int, dim: int, parameters: Mapping[str, int], search: Mapping[str, int]
    ) -> float:
        """All of them."""
        return rows * dim / 8

    def train(
        self, sample: np.ndarray, metric: Metric, parameters: Mapping[str, int]
    ) -> np.ndarray:
        """Nothing; only refuses what it cannot do."""
        _check(sample.shape[1], metric)
        return NO_QUANTISER

    def build(
        self,
        vectors: np.ndarray,
        trained: np.ndarray,
        metric: Metric,
        parameters: Mapping[str, int],
    ) -> np.ndarray:
        """The bits.

        Raises:
            ConfigError: The metric is Euclidean, or the dims do not fill whole bytes.
        """
        faiss = _faiss.library()

        _check(vectors.shape[1], metric)
        index = faiss.IndexBinaryFlat(vectors.shape[1])
        index.add(_bits(vectors))
        return np.asarray(faiss.serialize_index_binary(index))

    def open(self, path: Path) -> Any:
        """A mapped index."""
        return _faiss.read(path, self._fits, self.name, binary=True)

    def search(
        self,
        index: Any,
        queries: np.ndarray,
        k: int,
        search: Mapping[str, int],
        *,
        selected: np.ndarray | None = None,
        probe: Any = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exhaustive."""
        faiss = _faiss.library()

        options = faiss.SearchParameters(sel=_faiss.selector(selected))
        hamming, ids = index.search(_bits(queries), k, params=options)
        scores = np.float32(1) - hamming.astype(np.float32) * np.float32(2 / index.d)
        return np.where(ids < 0, np.float32(-np.inf), scores), ids

    def reconstruct(self, index: Any, start: int, count: int) -> np.ndarray:
        """Unit vectors of plus and minus 1 / sqrt(d)."""
        if not count:
            return np.zeros((0, index.d), dtype=np.float32)
        bits = np.unpackbits(index.reconstruct_n(start, count), axis=1)
        signs = bits.astype(np.float32) * np.float32(2) - np.float32(1)
        return np.asarray(signs / np.sqrt(np.float32(index.d)))

    def _fits(self, index: Any) -> bool:
        return isinstance(index, _faiss.library().IndexBinaryFlat)


def _bits(vectors: np.ndarray) -> np.ndarray:
    """uint8 [n, d / 8] of float32 [n, d]."""
    return np.packbits(vectors > 0, axis=1)


def _check(dim: int, metric: Metric) -> None:
    if metric != "inner_product":
        raise ConfigError(
            "binary: bits say nothing of Euclidean distance; take another family for a space of metric l2"
        )
    if dim % 8:
        raise ConfigError(f"binary: {dim} dims do not fill whole bytes; index a multiple of 8")
