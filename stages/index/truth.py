"""Queries with their exact nearest rows: what recall is measured against, when an index is built and ever after.

A file of the snapshot, so that whoever has the snapshot can measure again. When rows come and go it is brought up to
date from what changed alone: the nearest of all are among the nearest of the old and the nearest of the new.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import IntegrityError
from stages.index.exact import exact_top_k

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.space import Metric

K: Final = 10
# Neighbours kept for each query: so many can be deleted, less K, before it has to be answered anew.
DEPTH: Final = 32
# Rows of a partition are what its k-means was fitted to; what people ask with lies beside them: other rows, and
# questions in words, which are farther away and all to one side. Both cosines are those at which recall behaves as with
# rows of documents that were left out and with questions of people: docs/decisions/0023-what-recall-is-measured-with.md
ROW_COSINE: Final = 0.8
TEXT_COSINE: Final = 0.5
SCORE_TOLERANCE: Final = 1e-6  # a few units in the last place of a float32 cosine
_SEED: Final = 1234
_TINY: Final = 1e-12
_CHUNK_ROWS: Final = 1 << 16
ROWS: Final = "rows"  # kinds of queries: made from held-out rows,
TEXT: Final = "text"  # questions in words,
ASKED: Final = "asked"  # those of the configuration;
GENERAL: Final = "general"  # about anything, for the router: with no answer in the corpus, no answer can be missed


@dataclass(frozen=True, slots=True)
class Queries:
    """What an index is asked when its recall is measured.

    Attributes:
        vectors: float32 [n, dim].
        kinds: Of each, `ROWS`, `TEXT`, `ASKED` or `GENERAL`.
        origins: unit_id of the row it was made from, which is no answer to it; empty for a question in words.
    """

    vectors: np.ndarray
    kinds: tuple[str, ...]
    origins: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def of_kind(self, kind: str) -> np.ndarray:
        """Bool [n]."""
        return np.array([k == kind for k in self.kinds], dtype=bool)

    def pick(self, keep: np.ndarray) -> Queries:
        """Those at these positions."""
        return Queries(
            self.vectors[keep],
            tuple(self.kinds[i] for i in keep),
            tuple(self.origins[i] for i in keep),
        )


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each query the exact nearest rows of some segments, best first, padded with empty ids; arrays [n, depth].

    Attributes:
        unit_ids: str.
        digests: uint64, of their vectors.
        scores: float32, -inf where there is no row.
    """

    unit_ids: np.ndarray
    digests: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class Truth:
    """Queries and what exact search over all live rows of an index says about them."""

    queries: Queries
    nearest: Nearest

    def pick(self, keep: np.ndarray) -> Truth:
        """The queries at these positions with their answers."""
        near = self.nearest
        picked = Nearest(near.unit_ids[keep], near.digests[keep], near.scores[keep])
        return Truth(self.queries.pick(keep), picked)

    def best_of(self, kind: str) -> np.ndarray:
        """float32: score of the best row for each query of a kind."""
        scores = self.nearest.scores
        best: np.ndarray = scores[self.queries.of_kind(kind), 0] if scores.shape[1] else np.zeros(0)
        return best


@dataclass(frozen=True, slots=True)
class NearestRequest:
    """Answer queries exactly out of a segment that is there already.

    Its vectors, float32 [rows, dim], travel beside it.

    Attributes:
        queries: What to answer.
        rows: Of the segment.
        metric: What is near.
    """

    queries: Queries
    rows: pa.Table
    metric: Metric


def row_queries(rows: np.ndarray, unit_ids: Sequence[str], *, normalised: bool) -> Queries:
    """Queries made from rows, float32 [n, dim]: turned away by seeded noise to a cosine of 0.8, lengths kept.

    The noise of a row depends on its place in `rows`, so those must come in an order of their own.
    """
    noise = np.random.default_rng(_SEED).standard_normal(rows.shape).astype(np.float32)
    vectors = _turned(rows, noise, ROW_COSINE, normalised=normalised)
    return Queries(vectors, (ROWS,) * len(rows), tuple(unit_ids))


def text_queries(rows: np.ndarray, general: np.ndarray, *, normalised: bool) -> Queries:
    """Questions about rows: rows turned towards questions about anything, to a cosine of 0.5, lengths kept.

    For spaces of text. Where rows are something else, questions in words lie apart from all rows, and those about
    anything are as near as any.

    Args:
        rows: float32 [n, dim].
        general: float32 [m, dim], questions about anything, taken in turn.
        normalised: Whether vectors of the space have length 1.
    """
    towards = general[np.arange(len(rows)) % len(general)]
    vectors = _turned(rows, towards, TEXT_COSINE, normalised=normalised)
    return Queries(vectors, (TEXT,) * len(rows), ("",) * len(rows))


def _turned(
    rows: np.ndarray, towards: np.ndarray, cosine: float, *, normalised: bool
) -> np.ndarray:
    """Each row turned towards another vector until its cosine to what it was is `cosine`."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY)
    units = rows / lengths
    aside = towards - (towards * units).sum(axis=1, keepdims=True) * units  # at right angles
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), _TINY)
    turned = cosine * units + np.sqrt(1 - cosine**2) * aside
    return np.ascontiguousarray(turned if normalised else turned * lengths, dtype=np.float32)


def join_queries(parts: Sequence[Queries]) -> Queries:
    """One after the other."""
    return Queries(
        np.concatenate([part.vectors for part in parts]),
        tuple(kind for part in parts for kind in part.kinds),
        tuple(origin for part in parts for origin in part.origins),
    )


def nearest_of(queries: Queries, rows: pa.Table, vectors: np.ndarray, metric: Metric) -> Nearest:
    """The exact nearest rows of one segment to each query, the row it was made from left out.

    Args:
        queries: n of them.
        rows: With unit_id and vector_digest.
        vectors: float32 [rows, dim].
        metric: What is near.
    """
    depth = min(DEPTH + 1, len(vectors))
    chunks = (vectors[i : i + _CHUNK_ROWS] for i in range(0, len(vectors), _CHUNK_ROWS))
    found = exact_top_k(queries.vectors, chunks, depth, metric)
    scores, positions = found.scores, found.positions
    flat = pa.array(positions.ravel(), pa.int64())
    unit_ids = _strings(rows["unit_id"].take(flat)).reshape(positions.shape)
    digests = rows["vector_digest"].take(flat).to_numpy().reshape(positions.shape)
    return _best(queries, [Nearest(unit_ids, digests, scores)])


def merge_nearest(queries: Queries, parts: Sequence[Nearest]) -> Nearest:
    """The nearest over several parts; a row that stands in two of them counts once."""
    return _best(queries, parts)


def without_rows(truth: Truth, gone: pa.Array) -> Truth:
    """The same without rows that are gone (strings), and without queries that were made from them."""
    if not len(gone):
        return truth
    near = truth.nearest
    is_gone = _is_in(near.unit_ids, gone)
    left = Nearest(
        np.where(is_gone, "", near.unit_ids),
        np.where(is_gone, np.uint64(0), near.digests),
        np.where(is_gone, np.float32(-np.inf), near.scores),
    )
    origins = _is_in(np.array(truth.queries.origins, dtype=np.str_), gone)
    kept = Truth(truth.queries, _sorted(left))
    return kept.pick(np.flatnonzero(~origins)) if origins.any() else kept


def still_exact(left: Truth, rows: int) -> np.ndarray:
    """Bool [n]: whether each query has K of its nearest left, or all there are.

    Args:
        left: After `without_rows`.
        rows: That are left of those it was taken over.
    """
    exact: np.ndarray = _counts(left.nearest) >= np.minimum(K, _others(left.queries, rows))
    return exact


def with_rows(left: Truth, rows: int, new: Sequence[Nearest]) -> Truth:
    """The truth over what is left and what is new; rows of `left` may stand in `new` again.

    What is farther than the last neighbour that is left is cut off: a row between the two may have been the next one.

    Args:
        left: After `without_rows`.
        rows: That are left of those it was taken over.
        new: The nearest of further rows.
    """
    merged = merge_nearest(left.queries, [left.nearest, *new])
    counts = _counts(left.nearest)
    last = left.nearest.scores[np.arange(len(counts)), np.maximum(counts, 1) - 1]
    known = np.where(counts >= _others(left.queries, rows), np.float32(-np.inf), last)
    cut = merged.scores < known[:, None]
    kept = replace(merged, scores=np.where(cut, np.float32(-np.inf), merged.scores))
    return Truth(left.queries, _sorted(kept))


def _counts(near: Nearest) -> np.ndarray:
    counts: np.ndarray = (near.scores > -np.inf).sum(axis=1)
    return counts


def _others(queries: Queries, rows: int) -> np.ndarray:
    """Rows that can be an answer to each query."""
    return np.array([rows - bool(origin) for origin in queries.origins], dtype=np.int64)


def truth_bytes(truth: Truth) -> bytes:
    """The file: an uncompressed Arrow IPC file, a row for each query."""
    near = truth.nearest
    dim = truth.queries.vectors.shape[1]
    flat = pa.array(truth.queries.vectors.ravel(), pa.float32())
    there = near.scores > -np.inf
    table = pa.table(
        {
            "query": pa.FixedSizeListArray.from_arrays(flat, dim),
            "kind": pa.array(truth.queries.kinds, pa.string()),
            "origin": pa.array(truth.queries.origins, pa.string()),
            "unit_ids": _lists(near.unit_ids, there, pa.string()),
            "vector_digests": _lists(near.digests, there, pa.uint64()),
            "scores": _lists(near.scores, there, pa.float32()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)
    return bytes(sink.getvalue())


def read_truth(path: Path) -> Truth:
    """What `truth_bytes` wrote.

    Raises:
        IntegrityError: The file is missing or is no such file.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        query = columns["query"]
        vectors = query.values.to_numpy().reshape(len(query), query.type.list_size)
        width = max((len(ids) for ids in columns["unit_ids"]), default=0)
        nearest = Nearest(
            _padded(columns["unit_ids"], width, "", np.dtype("U32")),
            _padded(columns["vector_digests"], width, 0, np.dtype(np.uint64)),
            _padded(columns["scores"], width, -np.inf, np.dtype(np.float32)),
        )
    except (OSError, KeyError, AttributeError, pa.ArrowInvalid) as error:
        raise IntegrityError(f"cannot read the queries in {path}: {error}") from error
    kinds, origins = columns["kind"].to_pylist(), columns["origin"].to_pylist()
    return Truth(Queries(np.array(vectors), tuple(kinds), tuple(origins)), nearest)


def _best(queries: Queries, parts: Sequence[Nearest]) -> Nearest:
    unit_ids = np.concatenate([part.unit_ids for part in parts], axis=1)
    digests = np.concatenate([part.digests for part in parts], axis=1)
    scores = np.concatenate([part.scores for part in parts], axis=1)
    own = unit_ids == np.array(queries.origins, dtype=np.str_).reshape(-1, 1)
    scores = np.where(own | (unit_ids == ""), np.float32(-np.inf), scores)
    found = _sorted(Nearest(unit_ids, digests, scores))
    again = np.zeros(found.scores.shape, dtype=bool)
    # Sorted by score and id, the two copies of a row are neighbours.
    again[:, 1:] = (found.unit_ids[:, 1:] == found.unit_ids[:, :-1]) & (found.unit_ids[:, 1:] != "")
    if again.any():
        found = _sorted(replace(found, scores=np.where(again, np.float32(-np.inf), found.scores)))
    return Nearest(found.unit_ids[:, :DEPTH], found.digests[:, :DEPTH], found.scores[:, :DEPTH])


def _sorted(near: Nearest) -> Nearest:
    order = np.lexsort((near.unit_ids, -near.scores), axis=1)
    unit_ids, digests, scores = (
        np.take_along_axis(array, order, axis=1)
        for array in (near.unit_ids, near.digests, near.scores)
    )
    nothing = scores == -np.inf
    return Nearest(
        np.where(nothing, "", unit_ids), np.where(nothing, np.uint64(0), digests), scores
    )


def _is_in(values: np.ndarray, wanted: pa.Array) -> np.ndarray:
    mask = pc.is_in(pa.array(values.ravel().tolist(), pa.string()), value_set=wanted)
    found: np.ndarray = mask.to_numpy(zero_copy_only=False)
    return found.reshape(values.shape)


def _strings(column: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = np.array(column.to_pylist(), dtype="U32")
    return found


def _lists(values: np.ndarray, there: np.ndarray, kind: pa.DataType) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    flat = values[there]
    items: Any = flat.tolist() if kind == pa.string() else flat
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(items, kind))


def _padded(lists: pa.ListArray, width: int, fill: Any, dtype: np.dtype[Any]) -> np.ndarray:
    found = np.full((len(lists), width), fill, dtype=dtype)
    lengths = np.diff(lists.offsets.to_numpy())
    there = np.arange(width) < lengths[:, None]
    found[there] = np.array(lists.flatten().to_pylist(), dtype=dtype)
    return found
