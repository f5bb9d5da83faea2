"""Inverted lists: vectors in cells of a k-means; a search looks into the nearest cells (Sivic & Zisserman 2003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from stages.index.families import _faiss
from stages.index.families._base import FaissFamily
from stages.index.families._coarse import (
    coarse_bytes,
    list_of_each,
    nearest_lists,
    scanned_quantiser,
    trained_quantiser,
)
from stages.index.families._codecs import CODE_BYTES, Codec, codec_of, quantiser_type, widen
from stages.index.families.protocol import Knob

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.space import Metric

MIN_TRAIN_ROWS_PER_LIST: Final = (
    30  # lower end of faiss' "30*K to 256*K" (wiki, Guidelines to choose an index)
)
_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Probe:
    """Where to look, the same for all segments of one quantiser.

    Attributes:
        queries: float32 [n, d], rotated if the family does.
        lists: int64 [n, nprobe], nearest first; -1 for none.
        distances: float32 [n, nprobe], as faiss gives them.
    """

    queries: np.ndarray
    lists: np.ndarray
    distances: np.ndarray


class ListCodec(Protocol):
    """How a vector is stored in its list."""

    @property
    def least_rows(self) -> int:
        """Training vectors its codes take at least."""

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Bytes of one code, without its id."""

    def rotation(self, sample: np.ndarray, parameters: Mapping[str, int]) -> Any:
        """A trained orthogonal ``faiss.LinearTransform`` [d, d] to put before the lists, or None."""

    def rotates(self) -> bool:
        """Whether there is one."""

    def empty(self, quantiser: Any, metric: Metric, parameters: Mapping[str, int]) -> Any:
        """A ``faiss.IndexIVF`` over a trained quantiser; its codes are not trained."""

    def fits(self, ivf: Any) -> bool:
        """Whether an IVF index holds such codes."""

    def reconstruct(self, ivf: Any, start: int, count: int) -> np.ndarray:
        """Decoded vectors, float32 [count, d]; still rotated."""


@dataclass(frozen=True, slots=True)
class Ivf(FaissFamily):
    """``nlist`` lists, of which a search looks into ``nprobe``.

    Attributes:
        name: Registry name.
        codec: How a vector is stored in its list.
        gpu: Whether faiss can hold such an index on a GPU.
        rescores: Whether the codes are too coarse to rank by.
        trains: Always.
    """

    name: str
    codec: ListCodec
    gpu: bool = False
    rescores: bool = False
    trains: bool = True

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Code and id."""
        return self.codec.code_bytes(dim, parameters) + _ID_BYTES

    def scanned_bytes(
        self, rows: int, dim: int, parameters: Mapping[str, int], search: Mapping[str, int]
    ) -> float:
        """The rotation, the centroids and the codes in the lists looked into, as if these were of average length."""
        nlist, nprobe = self._nlist(parameters), self._nprobe(search, self._nlist(parameters))
        rotation = 4.0 * dim * dim if self.codec.rotates() else 0.0
        codes = rows * nprobe / nlist * self.codec.code_bytes(dim, parameters)
        return rotation + coarse_bytes(nlist, dim, nprobe) + codes

    def knobs(self, rows: int, parameters: Mapping[str, int]) -> tuple[Knob, ...]:
        """``nprobe``, up to every list."""
        return (Knob("nprobe", self._nlist(parameters)),)

    def train(
        self, sample: np.ndarray, metric: Metric, parameters: Mapping[str, int]
    ) -> np.ndarray:
        """Rotation if any, centroids and codes."""
        faiss = _faiss.library()

        nlist = self._nlist(parameters)
        _faiss.enough(sample, nlist, f"{nlist} lists", self.name)
        _faiss.enough(sample, self.codec.least_rows, "its codes", self.name)
        with _faiss.one_thread():
            rotation = self.codec.rotation(sample, parameters)
            rotated = rotation.apply(sample) if rotation else sample
            quantiser = trained_quantiser(rotated, nlist, metric)
            ivf = self.codec.empty(quantiser, metric, parameters)
            ivf.train(rotated)
        return _faiss.serialised(faiss.IndexPreTransform(rotation, ivf) if rotation else ivf)

    def build(
        self,
        vectors: np.ndarray,
        trained: np.ndarray,
        metric: Metric,
        parameters: Mapping[str, int],
    ) -> np.ndarray:
        """The vectors, each encoded into the list of its nearest centroid."""
        index = _faiss.deserialised(trained, self.name)
        if len(vectors):  # RaBitQ refuses to add none
            with _faiss.one_thread():
                _add(index, vectors)
        return _faiss.serialised(index)

    def probe(self, index: Any, queries: np.ndarray, search: Mapping[str, int]) -> Probe:
        """The nearest lists."""
        ivf = _lists(index)
        rotated = _rotated(index, queries)
        distances, lists = nearest_lists(ivf, rotated, self._nprobe(search, ivf.nlist))
        return Probe(rotated, lists, distances)

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
        """Scan the lists of the probe; faiss honours the selector there for every codec."""
        faiss = _faiss.library()

        ivf = _lists(index)
        found: Probe = probe if probe is not None else self.probe(index, queries, search)
        rows, nprobe = found.lists.shape
        distances = np.empty((rows, k), dtype=np.float32)
        ids = np.empty((rows, k), dtype=np.int64)
        options = faiss.SearchParametersIVF(nprobe=nprobe, sel=_faiss.selector(selected))
        # The call behind faiss' own Python wrapper, which takes no parameters and so no selector.
        ivf.search_preassigned_c(
            rows,
            faiss.swig_ptr(found.queries),
            k,
            faiss.swig_ptr(found.lists),
            faiss.swig_ptr(found.distances),
            faiss.swig_ptr(distances),
            faiss.swig_ptr(ids),
            False,  # ids, not pairs of list and offset
            options,
        )
        return _faiss.ranked(distances, ids, ivf.metric_type)

    def reconstruct(self, index: Any, start: int, count: int) -> np.ndarray:
        """Decoded, and rotated back."""
        decoded = self.codec.reconstruct(_lists(index), start, count)
        if not self.codec.rotates() or not count:
            return decoded
        return np.asarray(_rotation(index).reverse_transform(decoded))

    def list_sizes(self, index: Any) -> np.ndarray | None:
        """Of every list."""
        ivf = _lists(index)
        return np.array([ivf.invlists.list_size(i) for i in range(ivf.nlist)], dtype=np.int64)

    def _nlist(self, parameters: Mapping[str, int]) -> int:
        return _faiss.parameter(parameters, "nlist", self.name)

    def _nprobe(self, search: Mapping[str, int], nlist: int) -> int:
        return min(_faiss.parameter(search, "nprobe", self.name), nlist)

    def _fits(self, index: Any) -> bool:
        faiss = _faiss.library()

        ivf = _lists(index)
        rotates = isinstance(index, faiss.IndexPreTransform)
        return rotates == self.codec.rotates() and self.codec.fits(ivf)


@dataclass(frozen=True, slots=True)
class WholeVectors:
    """Every number of a vector is kept.

    Attributes:
        codec: How a number is stored.
        least_rows: Of training vectors.
    """

    codec: Codec
    least_rows: int = 1

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Of `dim` numbers."""
        return float(dim * CODE_BYTES[self.codec])

    def rotation(self, sample: np.ndarray, parameters: Mapping[str, int]) -> Any:
        """None."""
        return None

    def rotates(self) -> bool:
        """No."""
        return False

    def empty(self, quantiser: Any, metric: Metric, parameters: Mapping[str, int]) -> Any:
        """Lists of floats, or of scalar-quantised residuals."""
        faiss = _faiss.library()

        lists = (quantiser, quantiser.d, quantiser.ntotal)
        code = _faiss.metric_code(metric)
        if self.codec == "float32":
            return faiss.IndexIVFFlat(*lists, code)
        index = faiss.IndexIVFScalarQuantizer(*lists, quantiser_type(self.codec), code)
        widen(index.sq)
        return index

    def fits(self, ivf: Any) -> bool:
        """By type."""
        faiss = _faiss.library()

        return isinstance(ivf, faiss.IndexIVF) and codec_of(ivf) == self.codec

    def reconstruct(self, ivf: Any, start: int, count: int) -> np.ndarray:
        """As faiss decodes them."""
        return _faiss.reconstructed(ivf, start, count)


def _lists(index: Any) -> Any:
    """The IVF index itself, behind the rotation if there is one."""
    faiss = _faiss.library()

    if isinstance(index, faiss.IndexPreTransform):
        return faiss.downcast_index(index.index)
    return index


def _add(index: Any, vectors: np.ndarray) -> None:
    faiss = _faiss.library()

    ivf = _lists(index)
    if isinstance(
        ivf, faiss.IndexIVFFastScan
    ):  # packs its codes in blocks, and takes no lists that others found
        with scanned_quantiser(ivf):
            index.add(vectors)
        return
    lists = list_of_each(ivf, vectors)
    ivf.add_core(len(vectors), faiss.swig_ptr(vectors), None, faiss.swig_ptr(lists))


def _rotation(index: Any) -> Any:
    faiss = _faiss.library()

    return faiss.downcast_VectorTransform(index.chain.at(0))


def _rotated(index: Any, queries: np.ndarray) -> np.ndarray:
    """Queries as the lists expect them, float32 [n, d].

    One by one: a product of many rows has other low bits than of one, and a query's hits must not depend on the others.
    """
    faiss = _faiss.library()

    if not (len(queries) and isinstance(index, faiss.IndexPreTransform)):
        return np.ascontiguousarray(queries)
    rotation = _rotation(index)
    return np.concatenate([rotation.apply(queries[i : i + 1]) for i in range(len(queries))])
