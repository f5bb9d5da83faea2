"""The best rows by scores that postings gave: what scoring by words and by sparse vectors share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.index.merging import Candidates, joined, ranked
from stages.index.segments import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stages.index.segments import OpenSegment

    Scores = Sequence[np.ndarray]  # of one question: of every row of every segment, float64 [rows]


def best_rows(
    questions: Iterable[Scores],
    segments: Sequence[OpenSegment],
    k: int,
    allowed: Sequence[np.ndarray] | None,
) -> Neighbours:
    """The live rows with the highest scores above 0, best first; equal ones in order of unit_id.

    Args:
        questions: The scores of each.
        segments: Whose rows they are of.
        k: How many, at least 1.
        allowed: For each segment the rows that may be found, bool [rows]; None for all.

    Returns:
        Arrays [n_questions, k], -1 where fewer rows have a score.
    """
    masks = allowed if allowed is not None else [None] * len(segments)
    mays = [_findable(segment, mask) for segment, mask in zip(segments, masks, strict=True)]
    best = [_best(scores, segments, mays, k) for scores in questions]
    if not best:
        nothing = np.empty((0, k), dtype=np.int64)
        return Neighbours(nothing.astype(np.float32), nothing, nothing)
    return Neighbours(*(np.concatenate(columns) for columns in zip(*best, strict=True)))


def live_mask(segment: OpenSegment) -> np.ndarray | None:
    """Which rows count, bool [rows]; None for all."""
    return None if segment.deleted is None else ~segment.deleted


def _findable(segment: OpenSegment, mask: np.ndarray | None) -> np.ndarray | None:
    live = live_mask(segment)
    if live is None or mask is None:
        return mask if live is None else live
    both: np.ndarray = live & mask
    return both


def _best(
    scores: Scores, segments: Sequence[OpenSegment], mays: Sequence[np.ndarray | None], k: int
) -> tuple[np.ndarray, ...]:
    found = []
    for number, (score, may) in enumerate(zip(scores, mays, strict=True)):
        near = score.astype(np.float32)  # what hits are told by: what is equal there is equal
        rows = _top(near if may is None else np.where(may, near, 0), k)
        found.append(Candidates.of_rows(number, near[rows][None], rows[None]))
    chosen = ranked(joined(found), segments)
    return tuple(_padded(part, k) for part in (chosen.similarity, chosen.segment, chosen.row))


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the `k` rows with the highest scores above 0, best first, equal ones by number; int64."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > k:
        least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")][:k]


def _padded(values: np.ndarray, k: int) -> np.ndarray:
    wanted = np.full((1, k), -1, dtype=values.dtype)
    kept = values[:, :k]
    wanted[:, : kept.shape[1]] = kept
    return wanted
