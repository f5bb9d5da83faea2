"""What families have in common. Each says for itself only what it does otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.index.families import _faiss
from stages.index.families.protocol import NO_QUANTISER, Knob

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from schemas.space import Metric
    from stages.index.families._codecs import Codec


class FaissFamily:
    """One faiss index that is searched as a whole, without knobs and without lists; see ``IndexFamily``.

    Attributes:
        name: Registry name.
    """

    __slots__ = ()
    name: str

    def knobs(self, rows: int, parameters: Mapping[str, int]) -> tuple[Knob, ...]:
        """None."""
        return ()

    def open(self, path: Path) -> Any:
        """A mapped index."""
        return _faiss.read(path, self._fits, self.name)

    def size(self, index: Any) -> tuple[int, int]:
        """(vectors, dims)."""
        return index.ntotal, index.d

    def probe(self, index: Any, queries: np.ndarray, search: Mapping[str, int]) -> Any:
        """None: segments share no work."""
        return None

    def reconstruct(self, index: Any, start: int, count: int) -> np.ndarray:
        """Decoded."""
        return _faiss.reconstructed(index, start, count)

    def list_sizes(self, index: Any) -> np.ndarray | None:
        """None: no lists."""
        return None

    def _fits(self, index: Any) -> bool:
        """Whether an index that was read is one of this family."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CodedFamily(FaissFamily):
    """Keeps every number of a vector, as its codec stores it.

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

    def train(
        self, sample: np.ndarray, metric: Metric, parameters: Mapping[str, int]
    ) -> np.ndarray:
        """The ranges of the dims, for ``sq8``."""
        if not self.trains:
            return NO_QUANTISER
        _faiss.enough(sample, 1, "the range of each dim", self.name)
        index = self._empty(sample.shape[1], metric)
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
        """The vectors, one after the other."""
        dim = vectors.shape[1]
        index = _faiss.deserialised(trained, self.name) if self.trains else self._empty(dim, metric)
        with _faiss.one_thread():
            index.add(vectors)
        return _faiss.serialised(index)

    def _empty(self, dim: int, metric: Metric) -> Any:
        """An untrained, empty index."""
        raise NotImplementedError
