"""Lexical indices of given texts, over segments as they are built."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.inverted import InvertedIndex, PostingsRef
from stages.index.bm25 import K1, B, LexicalIndex
from stages.index.inverted import open_inverted
from stages.index.lexical import LEXICAL_FORMAT, LexicalRequest, build_lexical
from stages.index.segments import OpenSegment
from tests import indexes

DIM = 8
KIND = indexes.IndexKind("text/paragraph", "toy", "flat", {}, DIM)


@dataclass(frozen=True)
class Texts:
    """Rows by number."""

    texts: Sequence[str]
    language: str = ""

    def unit_id(self, number: int) -> str:
        return indexes.unit_id(number)


class Asked:
    """A lexical index that answers with ids."""

    def __init__(
        self,
        texts: Texts,
        segments: Sequence[OpenSegment],
        index: LexicalIndex,
        entry: InvertedIndex,
    ) -> None:
        self.texts = texts
        self.entry = entry
        self.segments = segments
        self.index = index
        self.number = {texts.unit_id(i): i for i in range(len(texts.texts))}

    def scores(self, words: Sequence[tuple[str, ...]]) -> dict[int, float]:
        """Of the live rows, by their number."""
        return {
            self.number[name]: score
            for segment, scores in zip(self.segments, self.index.scores(words), strict=True)
            for i, (name, score) in enumerate(
                zip(segment.rows["unit_id"].to_pylist(), scores.tolist(), strict=True)
            )
            if segment.deleted is None or not segment.deleted[i]
        }

    def search(
        self,
        words: Sequence[tuple[str, ...]],
        k: int,
        may_be_found: Callable[[str], bool] | None = None,
    ) -> list[tuple[str, float]]:
        """(unit_id, score), best first."""
        masks = None
        if may_be_found is not None:
            names = [segment.rows["unit_id"].to_pylist() for segment in self.segments]
            masks = [np.array([may_be_found(name) for name in part], dtype=bool) for part in names]
        found = self.index.search([words], k, masks)
        columns = (found.similarity[0], found.segment[0], found.row[0])
        return [
            (self.segments[segment].row(row)["unit_id"], score)
            for score, segment, row in zip(*(c.tolist() for c in columns), strict=True)
            if row >= 0
        ]


def lexical(folder: Path, texts: Texts, *, parts: int = 1, deleted: Collection[int] = ()) -> Asked:
    """Build segments of all texts, delete some rows, and open their words."""
    numbers = range(len(texts.texts))
    table, order = indexes.rows_table(
        numbers, text=list(texts.texts), language=[texts.language] * len(numbers)
    )
    vectors = np.random.default_rng(1).standard_normal((len(numbers), DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    gone = [place for place, number in enumerate(order.tolist()) if number in deleted]
    shards = min(parts, len(numbers))
    built = indexes.build(folder, KIND, table, vectors, shards=shards, deleted=gone, count=1)
    segments = [OpenSegment.open(part.paths, "flat", {}) for part in built.parts]
    entry = entry_of(folder, built.parts)
    index = open_inverted(entry, segments, lambda key: folder / key)
    return Asked(texts, segments, index, entry)


def entry_of(
    folder: Path,
    parts: Sequence[indexes.SegmentToCheck],
    partition: str = "text/paragraph",
    space: str = "toy",
) -> InvertedIndex:
    """Write the postings of segments."""
    refs = []
    for part in parts:
        answer = build_lexical(LexicalRequest(part.paths.rows))
        files = tuple(
            indexes.put(folder, data.tobytes(), suffix)
            for data, suffix in zip(answer.arrays, ("arrow", "npy"), strict=True)
        )
        made = answer.value
        refs.append(
            PostingsRef(
                part.ref.digest, "", made.rows, made.terms, made.postings, files, made.languages
            )
        )
    rows = sum(part.ref.live_rows for part in parts)
    parameters = {"k1": K1, "b": B}
    return InvertedIndex(partition, space, "", parameters, rows, tuple(refs), (), LEXICAL_FORMAT)
