"""A set of vectors on disk with queries and their exact neighbours, and how well and fast a search finds them.

    SET/parts/part-00000.npy    float32 [n, dim], unit length; row numbers run on from part to part
    SET/rows.npy                float32 [q, dim]: held-out vectors of the same kind, as queries
    SET/questions.npy           float32 [q, dim]: questions in words, as queries
    SET/{rows,questions}.npz    their exact neighbours: int64 rows [q, 10], float32 similarities [q, 10], best first

numpy only, so that a peer in an environment of its own measures itself by the very same code.
"""

from __future__ import annotations

import bisect
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    Search = Callable[[np.ndarray], Any]  # queries, float32 [q, dim]

K: Final = 10
KINDS: Final = ("rows", "questions")
TARGET: Final = 0.95
# Two sums of the same products in another order differ by about 1e-7: such ties are no errors.
TIE: Final = 1e-6
_ROUNDS: Final = 3
_SINGLE_QUERIES: Final = 200


@dataclass(frozen=True, slots=True)
class Truth:
    """The exact nearest rows of some queries.

    Attributes:
        rows: int64 [q, K], best first.
        similarities: float32 [q, K], inner products.
    """

    rows: np.ndarray
    similarities: np.ndarray


@dataclass(frozen=True, slots=True)
class Point:
    """What one choice of search parameters gives.

    Attributes:
        search: The choice.
        recall_at_10: By kind of query.
        batch_qps: Queries a second, all held-out rows in one call, on all threads; the best of three calls.
        single_qps: Queries a second, one after the other, on one thread.
    """

    search: dict[str, int] | str
    recall_at_10: dict[str, float]
    batch_qps: float
    single_qps: float


class VectorSet:
    """A set that :func:`write_set` wrote; vectors are mapped, not read."""

    def __init__(self, folder: Path) -> None:
        paths = sorted((folder / "parts").glob("*.npy"))
        self.parts: list[np.ndarray] = [np.load(path, mmap_mode="r") for path in paths]
        self._starts = [0, *np.cumsum([len(part) for part in self.parts]).tolist()]
        self.queries = {kind: np.load(folder / f"{kind}.npy") for kind in KINDS}
        self.truths = {kind: _load_truth(folder / f"{kind}.npz") for kind in KINDS}

    @property
    def count(self) -> int:
        """Number of vectors."""
        return int(self._starts[-1])

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.parts[0].shape[1])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of row numbers of any shape, float32 [..., dim]; zeros for -1."""
        taken = np.zeros((rows.size, self.dim), dtype=np.float32)
        for i, row in enumerate(rows.ravel().tolist()):
            if row >= 0:
                part = bisect.bisect_right(self._starts, row) - 1
                taken[i] = self.parts[part][row - self._starts[part]]
        return taken.reshape(*rows.shape, self.dim)

    def recall(self, kind: str, found: np.ndarray) -> float:
        """Share of the K nearest that were found; a row as similar as the K-th nearest is right whichever it is.

        Args:
            kind: Of the queries.
            found: int64 [q, K] row numbers, -1 for none, no row twice for one query.
        """
        similarities = np.einsum("qd,qkd->qk", self.queries[kind], self.take(found))
        worst = self.truths[kind].similarities[:, -1:]
        return float(((similarities >= worst - TIE) & (found >= 0)).mean())


def write_set(
    folder: Path, blocks: Iterable[np.ndarray], queries: Mapping[str, np.ndarray]
) -> None:
    """Write a set, and the truth by brute force, block by block."""
    (folder / "parts").mkdir(parents=True)

    def written() -> Iterator[np.ndarray]:
        for number, block in enumerate(blocks):
            np.save(folder / "parts" / f"part-{number:05}.npy", block)
            yield block

    for kind, truth in exact_neighbours(written(), queries).items():
        np.save(folder / f"{kind}.npy", queries[kind])
        np.savez(folder / f"{kind}.npz", rows=truth.rows, similarities=truth.similarities)


def exact_neighbours(
    blocks: Iterable[np.ndarray], queries: Mapping[str, np.ndarray]
) -> dict[str, Truth]:
    """The K nearest rows of each query by inner product, over blocks float32 [n, dim] that may be made on the fly."""
    import faiss

    merged = {kind: faiss.ResultHeap(len(q), K, keep_max=True) for kind, q in queries.items()}
    start = 0
    for block in blocks:
        for kind, asked in queries.items():
            near = faiss.knn(asked, block, min(K, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            merged[kind].add_result(near[0], near[1] + start)
        start += len(block)
    for heap in merged.values():
        heap.finalize()
    return {kind: Truth(heap.I, heap.D) for kind, heap in merged.items()}


@dataclass(frozen=True, slots=True)
class Searcher:
    """A search with its parameters set.

    Attributes:
        batch: Answers many queries on all threads.
        single: Answers one query on one thread.
        rows_of: What `batch` gave as int64 row numbers [q, K], -1 for none; not timed.
    """

    batch: Search
    single: Search
    rows_of: Callable[[Any], np.ndarray]


def measure(vectors: VectorSet, search: dict[str, int] | str, searcher: Searcher) -> Point:
    """Recall and speed of one choice of parameters, which `searcher` has set."""
    batch, single = searcher.batch, searcher.single
    recalls = {
        kind: vectors.recall(kind, searcher.rows_of(batch(asked)))
        for kind, asked in vectors.queries.items()
    }
    rows = vectors.queries["rows"]
    best_s = min(_seconds(lambda: batch(rows)) for _ in range(_ROUNDS))
    ones = [rows[i : i + 1] for i in range(min(_SINGLE_QUERIES, len(rows)))]
    single_s = _seconds(lambda: [single(one) for one in ones])
    return Point(search, recalls, len(rows) / best_s, len(ones) / single_s)


def best_points(points: Sequence[Point]) -> dict[str, Any]:
    """The fastest choice whose recall holds, for batches and for single queries, or the one of the highest recall.

    Returns:
        For ``rows`` (held-out rows alone count) and ``lowest`` (the worse kind of query counts) a dict of ``held``,
        ``batch`` and ``single`` (points as dicts).
    """
    return {
        "rows": _best(points, lambda point: point.recall_at_10["rows"]),
        "lowest": _best(points, lambda point: min(point.recall_at_10.values())),
    }


def _best(points: Sequence[Point], recall: Callable[[Point], float]) -> dict[str, Any]:
    good = [point for point in points if recall(point) >= TARGET]
    able = good or [max(points, key=recall)]
    return {
        "held": bool(good),
        "batch": asdict(max(able, key=lambda point: point.batch_qps)),
        "single": asdict(max(able, key=lambda point: point.single_qps)),
    }


def _seconds(work: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def _load_truth(path: Path) -> Truth:
    with np.load(path, allow_pickle=False) as saved:
        return Truth(saved["rows"], saved["similarities"])
