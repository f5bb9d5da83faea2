"""What every index family promises. To add one: a file with such a class, a row in registry.py, a contract case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from schemas.space import Metric

SEED: Final = 1234
NO_QUANTISER: Final = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Knob:
    """A search parameter that buys recall with time.

    Attributes:
        name: As in manifests: ``nprobe``, ``ef_search``.
        largest: Beyond it nothing more is found.
    """

    name: str
    largest: int


class IndexFamily(Protocol):
    """One way to store and search vectors. Ids are 0..n-1: id i is row i of ``rows.arrow``.

    Vectors come as float32 [n, d], checked and contiguous, cut to the indexed dims already. Scores are larger for what
    is nearer: the inner product, or minus the squared Euclidean distance. Training and building use the calling thread
    alone; a search uses as many as faiss is set to, and what it finds does not depend on how many.
    """

    @property
    def name(self) -> str:
        """Registry name, as it stands in manifests."""

    @property
    def trains(self) -> bool:
        """Whether all segments of an index share something that is trained on a sample first."""

    @property
    def rescores(self) -> bool:
        """Whether its own scores are too coarse to rank by, so that a segment keeps full vectors to rescore with."""

    @property
    def gpu(self) -> bool:
        """Whether faiss can hold such an index on a GPU."""

    def code_bytes(self, dim: int, parameters: Mapping[str, int]) -> float:
        """Memory of one vector while it is served, links and ids included; without what rescoring maps from disk."""

    def scanned_bytes(
        self, rows: int, dim: int, parameters: Mapping[str, int], search: Mapping[str, int]
    ) -> float:
        """About how many bytes one query over `rows` vectors looks at; the same on every machine."""

    def knobs(self, rows: int, parameters: Mapping[str, int]) -> tuple[Knob, ...]:
        """What can be tuned over an index of `rows` vectors; none if its search is exhaustive."""

    def train(
        self, sample: np.ndarray, metric: Metric, parameters: Mapping[str, int]
    ) -> np.ndarray:
        """The trained, empty index as faiss serialises it, uint8; `NO_QUANTISER` of a family that does not train.

        Equal samples in equal order give equal bytes.

        Raises:
            VectorError: Too few vectors for the parameters.
        """

    def build(
        self,
        vectors: np.ndarray,
        trained: np.ndarray,
        metric: Metric,
        parameters: Mapping[str, int],
    ) -> np.ndarray:
        """index.faiss of one segment, uint8. Equal input gives equal bytes."""

    def open(self, path: Path) -> Any:
        """A handle to the index in a file, memory-mapped where faiss can.

        Raises:
            IntegrityError: The file is missing or no index of this family.
        """

    def size(self, index: Any) -> tuple[int, int]:
        """(vectors, dims) of an opened index."""

    def probe(self, index: Any, queries: np.ndarray, search: Mapping[str, int]) -> Any:
        """What a search of every segment would compute alike (the nearest lists), or None; any of their indexes do."""

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
        """The `k` best ids of each query.

        Args:
            index: From `open`.
            queries: float32 [n, d].
            k: At least 1; may be more than there are vectors.
            search: Values of the knobs; others are ignored.
            selected: uint8 bitmap, bit i % 8 of byte i // 8 set where id i may be found; None for all.
            probe: From `probe`, of the same queries and knobs.

        Returns:
            float32 scores and int64 ids [n, k], best first; -1 with a score of -inf where there were fewer.
        """

    def reconstruct(self, index: Any, start: int, count: int) -> np.ndarray:
        """Vectors as the index holds them, float32 [count, d]; a codec has lost some bits."""

    def list_sizes(self, index: Any) -> np.ndarray | None:
        """Vectors in each inverted list, int64; None without lists."""
