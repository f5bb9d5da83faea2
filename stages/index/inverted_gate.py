"""The gate of an inverted index: on the bytes that get published, before any pointer moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.engine import Answer
from schemas.files import GateCheck
from schemas.ids import digest_file
from stages.index.bm25 import LexicalIndex
from stages.index.inverted import open_inverted
from stages.index.listed import live_mask
from stages.index.segments import OpenSegment
from stages.lexical.terms import document_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.inverted import InvertedIndex
    from schemas.manifest import IndexManifest
    from schemas.space import SparseVector
    from stages.index.bm25 import LexicalPart
    from stages.index.segments import SegmentPaths
    from stages.index.sparse import SparseIndex, SparsePart

    Sample = tuple[tuple[int, int, SparseVector], ...]  # (segment, row, what its encoder said)

FOUND: Final = "found_by_own_terms"
SAMPLE_ROWS: Final = 64
_RAREST: Final = 8  # words of a unit that it is asked for by
_AMONG: Final = 10
_LEAST_FOUND: Final = 0.95
_RELATIVE_ERROR: Final = 1e-4  # of a sum of products in float32


@dataclass(frozen=True, slots=True)
class InvertedCheck:
    """Check an inverted index that was built.

    Attributes:
        entry: What the manifest will say of it.
        index: The index whose rows it has.
        segments: Where the files of its segments are, in the manifest's order.
        files: Where the postings are, by key.
        sample: Of a sparse space.
    """

    entry: InvertedIndex
    index: IndexManifest
    segments: tuple[SegmentPaths, ...]
    files: dict[str, Path]
    sample: Sample = ()


def answer_check(request: InvertedCheck) -> Answer:
    """Answer(the numbers, ()).

    Raises:
        IntegrityError: A file does not open, or is not of these segments.
    """
    index = request.index
    segments = [
        OpenSegment.open(paths, index.family, index.parameters) for paths in request.segments
    ]
    opened = open_inverted(request.entry, segments, request.files.__getitem__)
    broken = sum(digest_file(request.files[f.key]) != f.sha256 for f in request.entry.files())
    return Answer(check_inverted(opened, request.entry, broken, request.sample))


def check_inverted(
    index: LexicalIndex | SparseIndex, entry: InvertedIndex, broken_files: int, sample: Sample = ()
) -> tuple[GateCheck, ...]:
    """Every number with its threshold, passed or not.

    Args:
        index: As opened from the files that get published.
        entry: What the manifest says of it.
        broken_files: Files whose bytes are not what the manifest will say.
        sample: Of a sparse space; of a lexical index units are chosen here.
    """
    if isinstance(index, LexicalIndex):
        off = sum(map(_lengths_off, index.parts))
        found = [] if off else [_is_found(index, *place) for place in _chosen(index.parts)]
    else:
        off = sum(map(_weights_off, index.parts))
        found = [] if off else [_is_itself(index, *unit) for unit in sample]
    parts = index.parts
    rows = sum(part.segment.live_rows for part in parts)
    said = sum(ref.postings for ref in entry.segments)
    share = sum(found) / len(found) if found else 1.0
    return (
        _at_most("postings_rows_off_table", abs(rows - entry.rows)),
        _at_most("postings_off", off + abs(said - sum(len(p.postings.rows) for p in parts))),
        _at_most("postings_broken_files", broken_files),
        GateCheck(FOUND, share, _LEAST_FOUND, at_least=True, passed=share >= _LEAST_FOUND),
    )


def _lists_off(part: LexicalPart | SparsePart) -> int:
    """Lists that are empty, not ascending, or name a row that is not there."""
    rows, starts = part.postings.rows, part.postings.starts
    falls = np.flatnonzero(np.diff(rows) <= 0) + 1
    outside = (rows < 0) | (rows >= len(part.segment.rows))
    return int((np.diff(starts) < 1).sum()) + len(np.setdiff1d(falls, starts)) + int(outside.sum())


def _lengths_off(part: LexicalPart) -> int:
    """The same, or rows that have not as many terms as their length."""
    off = _lists_off(part)
    if off:
        return off
    weights = part.postings.weights
    counted = np.bincount(part.postings.rows, weights=weights, minlength=len(part.lengths))
    return int((counted != part.lengths).sum())


def _weights_off(part: SparsePart) -> int:
    """The same, or weights that are not above 0."""
    weights = part.postings.weights
    return _lists_off(part) + int((~(np.isfinite(weights) & (weights > 0))).sum())


def _chosen(parts: Sequence[LexicalPart]) -> Iterator[tuple[int, int]]:
    """(segment, row) of some live units that have words, evenly over the ids, which are digests."""
    places = [
        (number, row)
        for number, part in enumerate(parts)
        for live in [live_mask(part.segment)]
        for row in np.flatnonzero(part.lengths if live is None else part.lengths * live).tolist()
    ]
    step = max(1, len(places) // SAMPLE_ROWS)
    yield from places[::step][:SAMPLE_ROWS]


def _is_found(index: LexicalIndex, segment: int, row: int) -> bool:
    """Whether a unit is among the ten that have its rarest words, or as good as the tenth."""
    unit = index.parts[segment].segment.row(row)
    terms = sorted(set(document_terms(f"{unit['context']}\n{unit['text']}", unit["language"])))
    terms.sort(key=lambda term: sum(len(part.postings.find(term)[0]) for part in index.parts))
    scores = index.scores([(term,) for term in terms[:_RAREST]])
    masks = [live_mask(part.segment) for part in index.parts]
    live = [s if mask is None else s[mask] for s, mask in zip(scores, masks, strict=True)]
    every = np.concatenate(live)
    tenth = np.partition(every, -_AMONG)[-_AMONG] if len(every) >= _AMONG else 0.0
    return bool(scores[segment][row] > 0 and scores[segment][row] >= tenth)


def _is_itself(index: SparseIndex, segment: int, row: int, vector: SparseVector) -> bool:
    """Whether a unit's product with its own vector is the square of its length."""
    wanted = float(np.square(vector.weights, dtype=np.float64).sum())
    return bool(abs(index.scores(vector)[segment][row] - wanted) <= _RELATIVE_ERROR * wanted)


def _at_most(name: str, value: float) -> GateCheck:
    return GateCheck(name, float(value), 0.0, at_least=False, passed=not value)
