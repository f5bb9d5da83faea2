"""A navigable graph over all vectors (Malkov and Yashunin 2016, arXiv 1603.09320)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.index.families import _faiss
from stages.index.families._base import CodedFamily
from stages.index.families._codecs import CODE_BYTES, codec_of, quantiser_type, widen
from stages.index.families.flat import exhaustive
from stages.index.families.protocol import Knob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.space import Metric

LINKS: Final = 32  # neighbours of a vector above the ground level; twice as many on it
EF_CONSTRUCTION: Final = 80  # twice faiss' default
LARGEST_EF_SEARCH: Final = 2048
# Levels, offsets, and the links of the one vector in LINKS that is on a higher level.
_OTHER_BYTES: Final = 4 + 8 + 4 * LINKS / (LINKS - 1)
# A walk jumps through memory: 0.5 us for a vector of 384 dims, where a scan takes 0.1 us.
_WALK_DEARER: Final = 5
# A walk goes this much further than it takes to pass enough selected vectors if they lie evenly.
_SLACK: Final = 1.5


class Hnsw(CodedFamily):
    """A graph of `LINKS` neighbours a vector, built with `EF_CONSTRUCTION`, walked with ``ef_search``.

    Building is sequential, so that equal input gives an equal graph; segments are built beside each other.
    """

    __slots__ = ()

    @property
    def gpu(self) -> bool:
        """No: faiss cannot search this graph on a GPU."""
        return False

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Codes and links."""
        return dim * CODE_BYTES[self.codec] + 4.0 * 2 * LINKS + _OTHER_BYTES

    def scanned_bytes(
        self, rows: int, dim: int, parameters: Mapping[str, int], search: Mapping[str, int]
    ) -> float:
        """The vectors a walk compares with, and the links it reads; at most all of them."""
        ef_search = _faiss.parameter(search, "ef_search", self.name)
        compared = min(rows, _faiss.walked(ef_search))
        links = min(rows, ef_search) * 4.0 * 2 * LINKS
        return compared * float(dim * CODE_BYTES[self.codec]) + links

    def knobs(self, rows: int, parameters: Mapping[str, int]) -> tuple[Knob, ...]:
        """``ef_search``: how many of the nearest so far a walk keeps."""
        return (Knob("ef_search", max(1, min(rows, LARGEST_EF_SEARCH))),)

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
        """Walk the graph; where that is dearer than looking at every selected vector, do that.

        A walk keeps what it passes near the query, selected or not, and the selected ones are picked out of that. With
        faiss' own selector it would fill up with whatever it passed on its way when all near the query is not selected.
        Where it passed too few, a longer walk follows: a selection never costs a hit.
        """
        ef_search = _faiss.parameter(search, "ef_search", self.name)
        count = _faiss.selected_count(selected, index.ntotal)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        todo = np.arange(len(queries))
        reach = 1.0 if selected is None else _SLACK * index.ntotal / max(1, count)
        while len(todo):
            effort = math.ceil(max(k, ef_search) * reach)
            if _faiss.walked(effort) * _WALK_DEARER >= count:
                storage = _faiss.library().downcast_index(index.storage)
                scores[todo], ids[todo] = exhaustive(storage, queries[todo], k, selected)
                break
            near, found = _walk(index, queries[todo], math.ceil(k * reach), effort)
            wanted = _faiss.is_selected(found, selected)
            first = np.argsort(~wanted, axis=1, kind="stable")[:, :k]
            enough = np.count_nonzero(wanted, axis=1) >= k
            done, first = todo[enough], first[enough]
            scores[done] = np.take_along_axis(near[enough], first, axis=1)
            ids[done] = np.take_along_axis(found[enough], first, axis=1)
            todo, reach = todo[~enough], 2 * reach
        return scores, ids

    def _empty(self, dim: int, metric: Metric) -> Any:
        faiss = _faiss.library()

        code = _faiss.metric_code(metric)
        if self.codec == "float32":
            index = faiss.IndexHNSWFlat(dim, LINKS, code)
        else:
            index = faiss.IndexHNSWSQ(dim, quantiser_type(self.codec), LINKS, code)
            widen(faiss.downcast_index(index.storage).sq)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        return index

    def _fits(self, index: Any) -> bool:
        faiss = _faiss.library()

        graph = isinstance(index, faiss.IndexHNSW)
        return graph and codec_of(faiss.downcast_index(index.storage)) == self.codec


def _walk(index: Any, queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
    faiss = _faiss.library()

    options = faiss.SearchParametersHNSW(efSearch=effort)
    distances, ids = index.search(queries, k, params=options)
    return _faiss.ranked(distances, ids, index.metric_type)
