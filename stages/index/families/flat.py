"""Exhaustive search: every vector is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.index.families import _faiss
from stages.index.families._codecs import CODE_BYTES, Codec, codec_of, empty_flat
from stages.index.families.protocol import NO_QUANTISER, Knob

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from schemas.space import Metric


@dataclass(frozen=True, slots=True)
class Flat:
    """Vectors in a row, searched exhaustively: exact but for what the codec loses.

    Attributes:
        name: Registry name.
        codec: How a number is stored.
    """

    name: str
    codec: Codec

    @property
    def trains(self) -> bool:
        """Only ``sq8`` does: it needs the range of every dim."""
        return self.codec == "sq8"

    @property
    def rescores(self) -> bool:
        """No: codes of a byte a number rank well enough."""
        return False

    @property
    def gpu(self) -> bool:
        """float32 only: faiss has no scalar quantiser without lists on a GPU."""
        return self.codec == "float32"

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """The codes alone; ids are positions."""
        return float(dim * CODE_BYTES[self.codec])

    def scanned_bytes(
        self, rows: int, dim: int, parameters: Mapping[str, int], search: Mapping[str, int]
    ) -> float:
        """All of them."""
        return rows * self.code_bytes(dim, parameters)

    def knobs(self, rows: int, parameters: Mapping[str, int]) -> tuple[Knob, ...]:
        """None."""
        return ()

    def train(
        self, sample: np.ndarray, metric: Metric, parameters: Mapping[str, int]
    ) -> np.ndarray:
        """The ranges of the dims, for ``sq8``."""
        if not self.trains:
            return NO_QUANTISER
        _faiss.enough(sample, 1, "the range of each dim", self.name)
        index = empty_flat(self.codec, sample.shape[1], metric)
        with _faiss.one_thread():
            index.train(sample)
        return _faiss.serialised(index)

    def build(
        self,
        vectors: np.ndarray,
        trained: np.ndarray,
        metric: Metric,
        parameters: Mapping[str, int],
    ) -> np.ndarray:
        """The vectors, encoded."""
        if self.trains:
            index = _faiss.deserialised(trained, self.name)
        else:
            index = empty_flat(self.codec, vectors.shape[1], metric)
        with _faiss.one_thread():
            index.add(vectors)
        return _faiss.serialised(index)

    def open(self, path: Path) -> Any:
        """A mapped index."""
        return _faiss.read(path, self._fits, self.name)

    def size(self, index: Any) -> tuple[int, int]:
        """(vectors, dims)."""
        return index.ntotal, index.d

    def probe(self, index: Any, queries: np.ndarray, search: Mapping[str, int]) -> Any:
        """None: segments share no work."""
        return None

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
        return exhaustive(index, queries, k, selected)

    def reconstruct(self, index: Any, start: int, count: int) -> np.ndarray:
        """Decoded."""
        return _faiss.reconstructed(index, start, count)

    def list_sizes(self, index: Any) -> np.ndarray | None:
        """None: no lists."""
        return None

    def _fits(self, index: Any) -> bool:
        faiss = _faiss.library()

        kinds = faiss.IndexFlat | faiss.IndexScalarQuantizer
        return isinstance(index, kinds) and codec_of(index) == self.codec


def exhaustive(
    index: Any, queries: np.ndarray, k: int, selected: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Search a flat index or a scalar quantiser: scores float32, ids int64 [n, k], see ``IndexFamily.search``."""
    faiss = _faiss.library()

    options = _faiss.every()
    if selected is not None:
        options = faiss.SearchParameters(sel=_faiss.selector(selected))
    distances, ids = index.search(queries, k, params=options)
    return _faiss.ranked(distances, ids, index.metric_type)
