"""Exhaustive search: every vector is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.index.families import _faiss
from stages.index.families._base import CodedFamily
from stages.index.families._codecs import CODE_BYTES, codec_of, empty_flat

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from schemas.space import Metric


class Flat(CodedFamily):
    """Vectors in a row, searched exhaustively: exact but for what the codec loses."""

    __slots__ = ()

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

    def _empty(self, dim: int, metric: Metric) -> Any:
        return empty_flat(self.codec, dim, metric)

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
