"""Sound to units: audio/segment and audio/recording."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from schemas.derived import RESERVED
from schemas.partition import AUDIO_RECORDING, AUDIO_SEGMENT
from schemas.unit import Locator, Unit
from stages.segment._transcript import attributes, beginning, heard, span_text, spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from schemas.content import Content, SoundContent
    from stages.segment.options import SegmentOptions

_NOT_FACTS: Final = RESERVED | {"title"}  # of the tags of a container: shown as the title, or ours


def segment_sound(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """Cut a recording or the sound track of a video at its pauses.

    Args:
        source_id: Identity of the source.
        content: What was decoded, with words and tags filled in by recognition.
        arrays: Not used; sound units are found by their text.
        options: `segment_s` and `tail_s`.

    Returns:
        One audio/recording unit, whose text is the beginning of the transcript and the tags of the whole, and an
        audio/segment unit for each segment in which words or tags were recognised. A recording in which nothing was
        recognised gives no units at all: there is nothing true to say about it that could be searched for.
    """
    sound = content.sound
    if sound is None:
        return []
    recording = _unit(source_id, content, sound, (0.0, sound.duration_s), parent_id="")
    if recording is None:
        return []
    cutting = options.segmentation
    spans = segment_spans(sound, cutting.segment_s, cutting.tail_s)
    segments = [_unit(source_id, content, sound, span, recording.unit_id) for span in spans]
    return [recording, *(segment for segment in segments if segment is not None)]


def segment_spans(
    sound: SoundContent, segment_s: float, tail_s: float
) -> tuple[tuple[float, float], ...]:
    """Cut in the second half of every `segment_s`: at the longest pause, else between words, else hard.

    A pause is measured and a gap between words is estimated by the speech model, so any pause is better than any gap;
    the gaps are for recordings with music or noise under the voice. No cut goes through a word where there is a choice.

    Args:
        sound: Its `silences`, `words` (in order) and `duration_s` are used.
        segment_s: Longest segment, but for a tail.
        tail_s: An end shorter than this stays with the segment before.

    Returns:
        (start_s, end_s) without gaps from 0 to the end, each at most ``segment_s + tail_s`` long.

    Example:
        >>> quiet = SoundContent(40.0, None, silences=((19.0, 20.0), (22.0, 22.5)))
        >>> segment_spans(quiet, segment_s=30, tail_s=5)
        ((0.0, 19.5), (19.5, 40.0))
    """
    pauses = _by_middle(sound.silences)
    gaps = _by_middle((before.end_s, after.start_s) for before, after in pairwise(sound.words))
    spans = []
    start_s, duration_s = 0.0, sound.duration_s
    while duration_s - start_s > segment_s + tail_s or (
        duration_s - start_s > segment_s and not tail_s
    ):
        after_s, before_s = start_s + segment_s / 2, start_s + segment_s
        found = _longest(pauses, after_s, before_s) or _longest(gaps, after_s, before_s)
        spans.append((start_s, found or before_s))
        start_s = found or before_s
    spans.append((start_s, duration_s))
    return tuple(spans)


def _by_middle(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """(middle, length) in seconds, ascending."""
    return sorted(((start_s + end_s) / 2, end_s - start_s) for start_s, end_s in spans)


def _longest(
    pauses: Sequence[tuple[float, float]], after_s: float, before_s: float
) -> float | None:
    """The middle of the longest pause whose middle is in (after_s, before_s]; the later one of equals."""
    first, last = (
        bisect_right(pauses, time_s, key=lambda pause: pause[0]) for time_s in (after_s, before_s)
    )
    longest = max(pauses[first:last], key=lambda pause: (pause[1], pause[0]), default=None)
    return longest[0] if longest else None


def _unit(
    source_id: str,
    content: Content,
    sound: SoundContent,
    span_s: tuple[float, float],
    parent_id: str,
) -> Unit | None:
    """The recording without a parent, a segment with one; None if nothing was recognised in it."""
    words, tags = spoken(sound, *span_s), heard(sound, *span_s)
    text = span_text(words if parent_id else beginning(words), tags)
    if not text:
        return None
    return Unit(
        source_id=source_id,
        partition=AUDIO_SEGMENT if parent_id else AUDIO_RECORDING,
        locator=Locator(start_s=span_s[0], end_s=span_s[1]),
        text=text,
        context=content.title,
        parent_id=parent_id,
        language=sound.language if words else "",
        attributes=_facts(sound, words, tags),
    )


def _facts(sound: SoundContent, words: str, tags: tuple[tuple[str, float], ...]) -> dict[str, str]:
    named = {name: value for name, value in sound.metadata if name not in _NOT_FACTS}
    return attributes(words, tags) | named
