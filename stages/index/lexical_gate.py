"""The gate of a lexical index: on the bytes that get published, before any pointer moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.engine import Answer
from schemas.files import GateCheck
from schemas.ids import digest_file
from stages.index.inverted import open_lexical
from stages.index.segments import OpenSegment
from stages.lexical.terms import document_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.inverted import InvertedIndex
    from schemas.manifest import IndexManifest
    from stages.index.bm25 import LexicalIndex, LexicalPart
    from stages.index.segments import SegmentPaths

SAMPLE_ROWS: Final = 64
_RAREST: Final = 8  # words of a unit that it is asked for by
_AMONG: Final = 10
_LEAST_FOUND: Final = 0.95
_FOUND: Final = "found_by_own_words"


@dataclass(frozen=True, slots=True)
class LexicalCheckRequest:
    """Check a lexical index that was built.

    Attributes:
        entry: What the manifest will say of it.
        index: The index whose rows it has.
        segments: Where the files of its segments are, in the manifest's order.
        files: Where the postings are, by key.
    """

    entry: InvertedIndex
    index: IndexManifest
    segments: tuple[SegmentPaths, ...]
    files: dict[str, Path]


def answer_check(request: LexicalCheckRequest) -> Answer:
    """Answer(the numbers, ()).

    Raises:
        IntegrityError: A file does not open, or is not of these segments.
    """
    index = request.index
    segments = [
        OpenSegment.open(paths, index.family, index.parameters) for paths in request.segments
    ]
    opened = open_lexical(request.entry, segments, request.files.__getitem__)
    broken = sum(digest_file(request.files[f.key]) != f.sha256 for f in request.entry.files())
    return Answer(check_lexical(opened, index.rows, broken))


def check_lexical(index: LexicalIndex, table_rows: int, broken_files: int) -> tuple[GateCheck, ...]:
    """Every number with its threshold, passed or not.

    Args:
        index: As opened from the files that get published.
        table_rows: Rows of the index beside it that can be found.
        broken_files: Files whose bytes are not what the manifest will say.
    """
    rows = sum(part.segment.live_rows for part in index.parts)
    off = sum(map(_postings_off, index.parts))
    found = [_is_found(index, *place) for place in _sample(index.parts)]
    share = sum(found) / len(found) if found else 1.0
    return (
        _at_most("words_rows_off_table", abs(rows - table_rows)),
        _at_most("postings_off_rows", off),
        _at_most("words_broken_files", broken_files),
        GateCheck(_FOUND, share, _LEAST_FOUND, at_least=True, passed=share >= _LEAST_FOUND),
    )


def found_share(checks: Sequence[GateCheck]) -> float:
    """Of a sample of units, the share that their own rarest words find."""
    return next(check.value for check in checks if check.name == _FOUND)


def _postings_off(part: LexicalPart) -> int:
    """Lists that are not ascending, rows that are not there, and rows whose terms are not as many as their length."""
    rows, weights, starts = part.postings.rows, part.postings.weights, part.postings.starts
    if len(rows) != len(weights) or len(rows) != starts[-1] or (np.diff(starts) < 1).any():
        return max(1, abs(len(rows) - len(weights)))
    falls = np.flatnonzero(np.diff(rows) <= 0) + 1
    wrong = len(np.setdiff1d(falls, starts))
    outside = int(((rows < 0) | (rows >= len(part.lengths))).sum())
    if outside:
        return wrong + outside
    counted = np.bincount(rows, weights=weights, minlength=len(part.lengths))
    return wrong + int((counted != part.lengths).sum())


def _sample(parts: Sequence[LexicalPart]) -> Iterator[tuple[int, int]]:
    """(segment, row) of some units that have words, evenly over the ids, which are digests."""
    live = [
        part.lengths > 0 if part.live is None else part.live & (part.lengths > 0) for part in parts
    ]
    places = [(i, row) for i, mask in enumerate(live) for row in np.flatnonzero(mask).tolist()]
    step = max(1, len(places) // SAMPLE_ROWS)
    yield from places[::step][:SAMPLE_ROWS]


def _is_found(index: LexicalIndex, segment: int, row: int) -> bool:
    """Whether a unit is among the ten that have its rarest words, or as good as the tenth."""
    unit = index.parts[segment].segment.row(row)
    terms = sorted(set(document_terms(f"{unit['context']}\n{unit['text']}", unit["language"])))
    terms.sort(key=lambda term: sum(len(part.postings.find(term)[0]) for part in index.parts))
    scores = index.scores([(term,) for term in terms[:_RAREST]])
    every = np.concatenate(
        [s if p.live is None else s[p.live] for s, p in zip(scores, index.parts, strict=True)]
    )
    tenth = np.partition(every, -_AMONG)[-_AMONG] if len(every) >= _AMONG else 0.0
    return bool(scores[segment][row] > 0 and scores[segment][row] >= tenth)


def _at_most(name: str, value: float) -> GateCheck:
    return GateCheck(name, float(value), 0.0, at_least=False, passed=not value)
