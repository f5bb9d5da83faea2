"""What words and sparse encoders say of a question, and how it counts beside the vectors.

A row's *share* is its score over the most that any row could get for the question: by words the sum of the weights of
all its words, in a sparse space the question's product with itself. So it is 0 to about 1 whatever the question, and
counts in the same standard deviations as vectors do (calibrate.py): a row that has all that was asked stands `WEIGHT`
of them higher. That is a convex combination by theoretical maxima (Bruch et al. 2023, arXiv 2210.11934). Reciprocal
rank fusion (Cormack et al. 2009) forgets how well a row matches, and was worse here: docs/hybrid.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from stages.index.bm25 import LexicalIndex
from stages.lexical.terms import query_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from schemas.filters import Filter
    from schemas.inverted import InvertedIndex
    from schemas.search import Mode
    from schemas.space import SparseEncoder, SparseVector
    from stages.index.segments import Neighbours
    from stages.index.snapshot import OpenSnapshot
    from stages.index.sparse import SparseIndex

WEIGHT: Final = (
    2.0  # standard deviations; the one number that was chosen by measuring: docs/hybrid.md
)
_MODES: Final[dict[Mode, tuple[bool, bool]]] = {  # whether words count, and sparse spaces
    "dense": (False, False),
    "lexical": (True, False),
    "sparse": (False, True),
    "hybrid": (True, True),
}


@dataclass(frozen=True, slots=True)
class Shares:
    """What one inverted index answers.

    Attributes:
        entry: The manifest's.
        positions: Place of each question among the rows of `near`.
        near: The best rows; similarities are shares.
    """

    entry: InvertedIndex
    positions: dict[int, int]
    near: Neighbours

    def of(self, query: int) -> Iterator[tuple[float, tuple[int, int]]]:
        """(share, (segment, row)) of one question's rows, best first."""
        if query not in self.positions:
            return
        i = self.positions[query]
        columns = (self.near.similarity[i], self.near.segment[i], self.near.row[i])
        for share, segment, row in zip(*(c.tolist() for c in columns), strict=True):
            if row >= 0:
                yield share, (segment, row)


class Terms:
    """The inverted indices of a snapshot, asked in words.

    Args:
        snapshot: Opened.
        encoders: Of its sparse spaces, by key.
    """

    def __init__(self, snapshot: OpenSnapshot, encoders: Mapping[str, SparseEncoder]) -> None:
        self._snapshot = snapshot
        self._encoders = encoders

    @property
    def partitions(self) -> set[str]:
        """Partitions with postings of a sparse space that is asked."""
        entries = self._snapshot.manifest.inverted
        return {entry.partition for entry in entries if entry.encoder in self._encoders}

    def ask(
        self,
        queries: Sequence[str],
        asked: Mapping[str, Sequence[int]],
        depth: int,
        mode: Mode,
        where: Filter | None,
    ) -> list[Shares]:
        """What every inverted index that counts in a mode answers.

        Args:
            queries: In words.
            asked: By partition, numbers of the queries that it is asked.
            depth: Rows wanted of each.
            mode: Which of them count.
            where: What rows must be like.
        """
        by_words, by_sparse = _MODES[mode]
        sparse = self._encoded(queries) if by_sparse else {}
        found = []
        for entry in self._snapshot.manifest.inverted:
            numbers = list(asked.get(entry.partition, ()))
            counts = entry.encoder in sparse if entry.encoder else by_words
            if not numbers or not counts:
                continue
            index = self._snapshot.inverted(entry)
            masks = self._masks(entry, where)
            if isinstance(index, LexicalIndex):
                texts = [queries[i] for i in numbers]
                near = _by_words(index, entry, texts, depth, masks)
            else:
                vectors = [sparse[entry.encoder][i] for i in numbers]
                near = _by_vectors(index, vectors, depth, masks)
            found.append(Shares(entry, {i: place for place, i in enumerate(numbers)}, near))
        return found

    def _encoded(self, queries: Sequence[str]) -> dict[str, list[SparseVector]]:
        used = {entry.encoder for entry in self._snapshot.manifest.inverted}
        return {
            key: encoder.encode_queries(queries)
            for key, encoder in self._encoders.items()
            if key in used
        }

    def _masks(self, entry: InvertedIndex, where: Filter | None) -> list[np.ndarray] | None:
        if not where:
            return None
        segments = self._snapshot.segments(entry.parsed_partition, entry.space)
        return [segment.mask(where) for segment in segments]


def _by_words(
    index: LexicalIndex,
    entry: InvertedIndex,
    texts: Sequence[str],
    depth: int,
    masks: list[np.ndarray] | None,
) -> Neighbours:
    words = [query_terms(text, entry.languages) for text in texts]
    most = np.array([index.most(asked) for asked in words])
    return _shares(index.search(words, depth, masks), most)


def _by_vectors(
    index: SparseIndex,
    vectors: Sequence[SparseVector],
    depth: int,
    masks: list[np.ndarray] | None,
) -> Neighbours:
    most = np.array([np.square(vector.weights, dtype=np.float64).sum() for vector in vectors])
    return _shares(index.search(vectors, depth, masks), most)


def _shares(near: Neighbours, most: np.ndarray) -> Neighbours:
    """Scores over the most there could be; what has nothing to ask for finds nothing."""
    divisor = np.where(most > 0, most, 1.0)[:, None].astype(np.float32)
    return type(near)(near.similarity / divisor, near.segment, near.row)


def sparse_encoders(encoders: Mapping[str, object]) -> dict[str, SparseEncoder]:
    """Those of them that give sparse vectors."""
    chosen = {key: cast("SparseEncoder", encoder) for key, encoder in encoders.items()}
    return {k: e for k, e in chosen.items() if e.contract.representation == "sparse"}
