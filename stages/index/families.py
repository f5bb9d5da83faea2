"""Index families: how vectors are stored and searched. One registry row each.

Every family takes inner product on unit vectors (so a similarity is a cosine) and ids 0..n-1: id i is row i of
``rows.arrow``. To add a family: a class with these members, a row in `FAMILIES`, a case in the contract suite.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEED: Final = 1234
KMEANS_ITERATIONS: Final = 10  # faiss' own default for the quantiser of an IVF index
MIN_TRAIN_ROWS_PER_LIST: Final = (
    30  # lower end of faiss' "30*K to 256*K" (wiki, Guidelines to choose an index)
)


class IndexFamily(Protocol):
    """One way to build and search a faiss index."""

    @property
    def name(self) -> str:
        """Registry name, as it stands in manifests."""

    @property
    def trains(self) -> bool:
        """Whether an index must be trained before vectors are added."""

    def empty(self, dim: int, parameters: Mapping[str, int]) -> Any:
        """A new ``faiss.Index`` for float32 vectors of `dim`, not trained, without vectors."""

    def effort(self, parameters: Mapping[str, int]) -> tuple[str, int] | None:
        """The search parameter that buys recall with time, and its largest value; None if search is exact."""

    def search_parameters(self, search: Mapping[str, int]) -> Any:
        """``faiss.SearchParameters`` for one search, None for faiss' defaults."""


@dataclass(frozen=True, slots=True)
class Flat:
    """Every vector as float32, every vector looked at: exact."""

    name: str = "flat"
    trains: bool = False

    def empty(self, dim: int, parameters: Mapping[str, int]) -> Any:
        """An ``IndexFlatIP``."""
        import faiss

        return faiss.IndexFlatIP(dim)

    def effort(self, parameters: Mapping[str, int]) -> tuple[str, int] | None:
        """None: search is exact."""
        return None

    def search_parameters(self, search: Mapping[str, int]) -> Any:
        """None: there is nothing to choose."""
        return None


@dataclass(frozen=True, slots=True)
class Ivf:
    """Vectors in `nlist` cells of a k-means; a search looks into the `nprobe` nearest cells (Sivic & Zisserman 2003).

    Attributes:
        name: Registry name.
        codec: How a vector is stored in its cell: ``Flat`` is float32, ``SQ8`` one byte a dimension, a quarter of it.
        trains: Always.
    """

    name: str
    codec: Literal["Flat", "SQ8"]
    trains: bool = True

    def empty(self, dim: int, parameters: Mapping[str, int]) -> Any:
        """An IVF index with a flat spherical quantiser and a fixed seed."""
        import faiss

        # The string has no outside part: an int and a literal. The factory also sets spherical k-means for
        # inner product and ties the life of the quantiser to the index, which the constructors do not.
        index: Any = faiss.index_factory(
            dim, f"IVF{int(parameters['nlist'])},{self.codec}", faiss.METRIC_INNER_PRODUCT
        )
        index.cp.seed = SEED
        index.cp.niter = KMEANS_ITERATIONS
        index.cp.min_points_per_centroid = MIN_TRAIN_ROWS_PER_LIST  # only silences faiss' warning
        return index

    def effort(self, parameters: Mapping[str, int]) -> tuple[str, int] | None:
        """`nprobe`, up to every list."""
        return "nprobe", int(parameters["nlist"])

    def search_parameters(self, search: Mapping[str, int]) -> Any:
        """Always with `nprobe`: faiss' own default of 1 loses most neighbours."""
        import faiss

        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = int(search["nprobe"])
        return parameters


FAMILIES: Final[Mapping[str, IndexFamily]] = MappingProxyType(
    {
        "flat": Flat(),
        "ivf_flat": Ivf("ivf_flat", "Flat"),
        "ivf_sq8": Ivf("ivf_sq8", "SQ8"),
    }
)


def family(name: str) -> IndexFamily:
    """The family of a registry name.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in FAMILIES:
        raise ConfigError(f"no index family {name!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """Run faiss on the calling thread alone.

    On some data k-means gives other low bits on three threads than on one or two (faiss 1.15.1, measured), so
    whatever must be reproducible, or is timed, runs in here. Segments are built beside each other instead.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
