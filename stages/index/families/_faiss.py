"""What every family does with faiss alike: threads, bytes, files, selectors."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import ConfigError, IntegrityError, VectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from schemas.space import Metric


def library() -> Any:
    """The module, untyped: its own stubs lack or misstate what its Python layer adds."""
    import faiss

    return faiss


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let faiss use so many threads meanwhile."""
    faiss = library()

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Run faiss on the calling thread alone.

    On some data k-means gives other low bits on three threads than on one or two, and HNSW's graph depends on who comes
    first (faiss 1.15.1, measured), so whatever must be reproducible, or is timed, runs in here. Segments are built
    beside each other instead.
    """
    return threads(1)


def metric_code(metric: Metric) -> int:
    """The number that faiss has for a metric."""
    faiss = library()

    return int(faiss.METRIC_INNER_PRODUCT if metric == "inner_product" else faiss.METRIC_L2)


def parameter(parameters: Mapping[str, int], name: str, family_name: str) -> int:
    """A parameter or a knob that a family cannot do without, at least 1.

    Raises:
        ConfigError: It is missing or less than 1.
    """
    value = parameters.get(name, 0)
    if value < 1:
        raise ConfigError(f"{family_name} needs {name}, at least 1; it got {dict(parameters)}")
    return int(value)


def enough(sample: np.ndarray, least: int, what: str, family_name: str) -> None:
    """Refuse to train on too few vectors.

    Raises:
        VectorError: There are fewer than `least`.
    """
    if len(sample) < least:
        raise VectorError(
            f"{family_name}: {len(sample)} training vectors for {what}, which take at least {least};"
            " sample more or ask for less"
        )


def serialised(index: Any) -> np.ndarray:
    """An index as faiss writes it, uint8 [n_bytes]."""
    faiss = library()

    return np.asarray(faiss.serialize_index(index))


def deserialised(trained: np.ndarray, family_name: str) -> Any:
    """The index in what `train` gave.

    Raises:
        IntegrityError: faiss cannot read it.
    """
    faiss = library()

    try:
        return faiss.deserialize_index(np.ascontiguousarray(trained))
    except RuntimeError as error:
        raise IntegrityError(
            f"the trained quantiser of {family_name} ({trained.nbytes} bytes) is no faiss index: {error}"
        ) from error


def read(path: Path, fits: Callable[[Any], bool], family_name: str, *, binary: bool = False) -> Any:
    """An index in a file, memory-mapped: faiss looks over codes and links once, and keeps no copy of them.

    Args:
        path: The file.
        fits: Whether an index is one of the family.
        family_name: For the message.
        binary: Whether it is one of faiss' binary indexes, which have a reader of their own.

    Raises:
        IntegrityError: The file is missing, no faiss index, or of another family.
    """
    faiss = library()

    reader = faiss.read_index_binary if binary else faiss.read_index
    try:
        index = reader(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise IntegrityError(
            f"{path} is not a faiss index of {family_name}: {str(error)[-200:]}"
        ) from error
    if not fits(index):
        raise IntegrityError(
            f"{path} holds a {type(index).__name__}, which is no index of {family_name}"
        )
    return index


def selector(selected: np.ndarray | None) -> Any:
    """The selector that faiss has for a bitmap uint8 [ceil(n / 8)]; None for all."""
    faiss = library()

    return None if selected is None else faiss.IDSelectorBitmap(np.ascontiguousarray(selected))


@cache
def every() -> Any:
    """Search parameters that select every vector, for flat indexes.

    Without a selector a single query is split over threads, and both its low bits and which of several equally near
    rows come last depend on how many there are (faiss 1.15.1, measured; it is no faster either). Never changed, so one
    for all: making it takes as long as a small search.
    """
    faiss = library()

    return faiss.SearchParameters(sel=faiss.IDSelectorAll())


def selected_count(selected: np.ndarray | None, rows: int) -> int:
    """How many of `rows` ids may be found."""
    return rows if selected is None else int(np.bitwise_count(selected).sum())


def is_selected(ids: np.ndarray, selected: np.ndarray | None) -> np.ndarray:
    """Which of some ids are there (not -1) and in a bitmap uint8 [ceil(n / 8)], bool of the shape of `ids`."""
    there = ids >= 0
    if selected is None:
        return np.asarray(there)
    known = np.where(there, ids, 0)
    return np.asarray(there & ((selected[known >> 3] >> (known & 7) & 1) > 0))


def walked(effort: int) -> int:
    """About how many vectors a walk through an HNSW graph compares a query with.

    Counted by faiss' hnsw_stats, 384 dims, efforts 16 to 512: 229 to 2172 of 5,000 vectors, 272 to 1730 of 60,000.
    """
    return 150 + 5 * effort


def ranked(distances: np.ndarray, ids: np.ndarray, metric: int) -> tuple[np.ndarray, np.ndarray]:
    """What faiss found as scores: the larger the nearer, -inf where there is no id."""
    faiss = library()

    scores = distances if metric == faiss.METRIC_INNER_PRODUCT else -distances
    return np.where(ids < 0, np.float32(-np.inf), scores), ids


def reconstructed(index: Any, start: int, count: int) -> np.ndarray:
    """Vectors `start` to `start + count` as an index holds them, float32 [count, d]."""
    if not count:
        return np.zeros((0, index.d), dtype=np.float32)
    return np.asarray(index.reconstruct_n(start, count))
