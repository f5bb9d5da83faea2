"""Where a video is cut into clips, and which frames stand for a clip."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def clip_borders(
    cuts_s: Sequence[float], duration_s: float, clip_s: float, tail_s: float
) -> tuple[tuple[float, float], ...]:
    """Cut at scene borders, so that a clip shows one scene where it can.

    A clip of one scene is found more easily than one of many, so every scene border is a clip border, except:
    scenes shorter than `tail_s` are joined with the following ones until they are that long, and what is short at
    the end is joined to what is before; then what is longer than ``clip_s + tail_s`` is cut every `clip_s`, and a
    tail shorter than `tail_s` stays with its neighbour.

    Args:
        cuts_s: Times at which a new scene begins.
        duration_s: End of the video, above 0.
        clip_s: Length of a clip inside a long scene.
        tail_s: Shortest clip (unless the whole video is shorter).

    Returns:
        (start_s, end_s) in order, without gaps, from 0 to `duration_s`; none longer than ``clip_s + tail_s``.

    Example:
        >>> clip_borders([12.0, 14.0], 74.0, clip_s=30, tail_s=5)
        ((0.0, 12.0), (12.0, 42.0), (42.0, 74.0))
    """
    borders = [0.0]
    for cut_s in sorted(cuts_s):
        before_s, after_s = cut_s - borders[-1], duration_s - cut_s
        if min(before_s, after_s) > 0 and min(before_s, after_s) >= tail_s:
            borders.append(float(cut_s))
    borders.append(float(duration_s))
    clips: list[tuple[float, float]] = []
    for start_s, end_s in pairwise(borders):
        clips.extend(_split(start_s, end_s, clip_s, tail_s))
    return tuple(clips)


def _split(start_s: float, end_s: float, clip_s: float, tail_s: float) -> list[tuple[float, float]]:
    count = 1
    while end_s - (start_s + count * clip_s) >= tail_s and start_s + count * clip_s < end_s:
        count += 1
    edges = [start_s + i * clip_s for i in range(count)] + [end_s]
    return list(pairwise(edges))


def pick(
    times_s: NDArray[np.float64], span_s: tuple[float, float], count: int, step_s: float
) -> list[int]:
    """Indices of the frames shown at `count` evenly spaced times of a span.

    The times are the mid-points of `count` equal parts. The frame shown at a time is the last one that began before
    it; a frame from before the span is taken only if it is still shown inside it.

    Args:
        times_s: Start times of the frames, ascending, at least one.
        span_s: Start and end of the span.
        count: Number of times.
        step_s: Two frames that follow each other closer than this stand for a running picture.

    Returns:
        Ascending indices, each once: fewer than `count` where there are fewer different frames, at least one.
    """
    start_s, end_s = span_s
    first = int(np.searchsorted(times_s, start_s, side="left"))
    last = int(np.searchsorted(times_s, end_s, side="left")) - 1
    # At a scene border the frame on it may not have been kept, then the next one follows within a step.
    if first > last or times_s[first] > start_s + step_s:
        first = max(0, first - 1)
    middles = start_s + (np.arange(count) + 0.5) * (end_s - start_s) / count
    shown = np.searchsorted(times_s, middles, side="right") - 1
    return [int(i) for i in np.unique(np.clip(shown, first, max(first, last)))]
