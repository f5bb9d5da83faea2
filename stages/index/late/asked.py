"""What recall of late interaction is measured with: queries of several vectors, and their exact answers.

They lie in the same file as those of a dense index: a query's vectors one after the other, filled up with zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from stages.index.late.maxsim import all_maxsims
from stages.index.late.search import packed, unpacked
from stages.index.recall import RecallMeter
from stages.index.segments import RESCORE
from stages.index.truth import (
    DEPTH,
    ROWS,
    TEXT,
    K,
    Nearest,
    Queries,
    Truth,
    merge_nearest,
    row_queries,
    text_queries,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stages.index.late.search import LateIndex
    from stages.index.late.store import Tokens
    from stages.index.segments import Neighbours

SPAN: Final = 8  # vectors of a query made from a unit: questions of people have 6 to 10 words
# Candidates for each hit wanted; each step costs a half more.
DEPTHS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_FIRST_DEPTHS: Final = (8, 12)  # of DEPTHS: 160 and 640 candidates for ten hits
_TEXTS_AT_ONCE: Final = 64  # queries: their products with a block of units are in memory


def span_queries(units: Sequence[np.ndarray], unit_ids: Sequence[str]) -> Queries:
    """Queries made from units: vectors from the middle of each, turned away by noise to a cosine of 0.8."""
    spans = [_middle(unit, SPAN) for unit in units]
    made = row_queries(np.concatenate(spans), [""] * sum(map(len, spans)), normalised=True)
    queries = np.split(made.vectors, np.cumsum([len(span) for span in spans])[:-1])
    return Queries(packed(queries), (ROWS,) * len(units), tuple(unit_ids))


def word_queries(units: Sequence[np.ndarray], general: Sequence[np.ndarray]) -> Queries:
    """Questions about units: vectors of units turned towards those of questions about anything, to a cosine of 0.5."""
    asked = [general[number % len(general)] for number in range(len(units))]
    spans = [_middle(unit, len(words)) for unit, words in zip(units, asked, strict=True)]
    pairs = [(span, words[: len(span)]) for span, words in zip(spans, asked, strict=True)]
    made = text_queries(
        np.concatenate([span for span, _ in pairs]),
        np.concatenate([words for _, words in pairs]),
        normalised=True,
    )
    queries = np.split(made.vectors, np.cumsum([len(span) for span, _ in pairs])[:-1])
    return Queries(packed(queries), (TEXT,) * len(units), ("",) * len(units))


def widened(queries: Queries, width: int) -> Queries:
    """The same with rows of `width` numbers, filled up with zeros; so that they can be joined."""
    filling = np.zeros((len(queries), width - queries.vectors.shape[1]), dtype=np.float32)
    vectors = np.concatenate([queries.vectors, filling], axis=1)
    return Queries(vectors, queries.kinds, queries.origins)


def nearest_units(queries: Queries, rows: pa.Table, tokens: Tokens) -> Nearest:
    """The exact nearest units of one segment by MaxSim over whole vectors, the one it was made from left out.

    Args:
        queries: n of them, see `packed`.
        rows: With unit_id and vector_digest.
        tokens: Of the same units.
    """
    dim = tokens.vectors.shape[1]
    parts = []
    for start in range(0, len(queries), _TEXTS_AT_ONCE):
        some = queries.pick(np.arange(start, min(start + _TEXTS_AT_ONCE, len(queries))))
        lists = unpacked(some.vectors, dim)
        firsts = np.cumsum([0, *(len(query) for query in lists[:-1])])
        scores = all_maxsims(np.concatenate(lists), firsts, tokens.vectors, tokens.starts)
        parts.append(_best_of(some, rows, scores))
    return Nearest(
        *(np.concatenate(columns) for columns in zip(*map(_columns, parts), strict=True))
    )


def _columns(near: Nearest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return near.unit_ids, near.digests, near.scores


def _best_of(queries: Queries, rows: pa.Table, scores: np.ndarray) -> Nearest:
    """Padded to DEPTH, so that parts of any size fit together."""
    depth = min(DEPTH + 1, scores.shape[1])
    chosen = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    flat = pa.array(chosen.ravel(), pa.int64())
    ids = np.array(rows["unit_id"].take(flat).to_pylist(), dtype="U32").reshape(chosen.shape)
    digests = rows["vector_digest"].take(flat).to_numpy().reshape(chosen.shape)
    found = Nearest(ids, digests, np.take_along_axis(scores, chosen, axis=1))
    return _padded(merge_nearest(queries, [found]))


def _padded(near: Nearest) -> Nearest:
    missing = ((0, 0), (0, DEPTH - near.scores.shape[1]))
    return Nearest(
        np.pad(near.unit_ids, missing, constant_values=""),
        np.pad(near.digests, missing),
        np.pad(near.scores, missing, constant_values=-np.inf),
    )


def _middle(unit: np.ndarray, count: int) -> np.ndarray:
    start = max(0, len(unit) - count) // 2
    return unit[start : start + count]


def shared_share(left: Nearest, right: Nearest) -> float:
    """recall@10 of one exact answer against another, 0..1: what is lost by what an index keeps of its units."""
    shares = []
    for i in range(len(left.scores)):
        wanted = {unit for unit in right.unit_ids[i, :K].tolist() if unit}
        if wanted:
            shares.append(len(wanted & set(left.unit_ids[i, :K].tolist())) / len(wanted))
    return float(np.mean(shares)) if shares else 1.0


class LateMeter(RecallMeter):
    """Measures recall@10 of candidates and MaxSim over quantised vectors against MaxSim over whole ones.

    The deepest candidates are ranked once; what fewer of them give follows from that.

    Args:
        truth: Of the live units of these segments.
        index: As opened from the files that get published.
        deepest: The largest value of ``rescore`` that will be asked for.
    """

    def __init__(self, truth: Truth, index: LateIndex, deepest: int) -> None:
        super().__init__(truth, index.segments, "inner_product")
        self._index = index
        self._lists = unpacked(self.queries, len(index.fde.centre))
        self._most = (K + 1) * deepest
        self._deepest: dict[tuple[tuple[str, int], ...], tuple[Neighbours, np.ndarray]] = {}

    def found(self, search: Mapping[str, int]) -> Neighbours:
        """With one more than K, for the unit that a query was made from."""
        near, similarities = self._ranked(search)
        width = (K + 1) * search[RESCORE]
        cut = type(near)(near.similarity[:, :width], near.segment[:, :width], near.row[:, :width])
        return self._index.ranked(cut, similarities[:, :width], K + 1)

    def _ranked(self, search: Mapping[str, int]) -> tuple[Neighbours, np.ndarray]:
        key = tuple(sorted((name, value) for name, value in search.items() if name != RESCORE))
        if key not in self._deepest:
            near = self._index.candidates(self._lists, self._most, search)
            self._deepest[key] = near, self._index.similarities(self._lists, near)
        return self._deepest[key]


def depths(live_rows: int) -> tuple[int, ...]:
    """Values of ``rescore`` that can be told apart over so many units: to the first that takes all of them."""
    enough = next((i for i, depth in enumerate(DEPTHS) if depth * K >= live_rows), len(DEPTHS) - 1)
    return DEPTHS[: enough + 1]


def stages_of(choices: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Values of ``rescore`` to tune with, more and more of them: the deepest costs most, and is seldom needed."""
    ends = [end for end in _FIRST_DEPTHS if end < len(choices)]
    return (tuple(choices[:end]) for end in (*ends, len(choices)))
