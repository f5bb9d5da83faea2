"""Sound to units: audio/segment and audio/recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import AUDIO_RECORDING, AUDIO_SEGMENT
from schemas.unit import Locator, Unit
from stages.segment._transcript import attributes, beginning, heard, span_text, spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content, SoundContent
    from stages.segment.options import SegmentOptions


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
    spans = segment_spans(sound.silences, sound.duration_s, cutting.segment_s, cutting.tail_s)
    segments = [_unit(source_id, content, sound, span, recording.unit_id) for span in spans]
    return [recording, *(segment for segment in segments if segment is not None)]


def segment_spans(
    silences: Sequence[tuple[float, float]], duration_s: float, segment_s: float, tail_s: float
) -> tuple[tuple[float, float], ...]:
    """Cut at the longest pause in the second half of every `segment_s`, or hard where there is none.

    Args:
        silences: (start_s, end_s) of pauses, ascending.
        duration_s: Length of the recording.
        segment_s: Longest segment, but for a tail.
        tail_s: An end shorter than this stays with the segment before.

    Returns:
        (start_s, end_s) without gaps from 0 to `duration_s`, each at most ``segment_s + tail_s`` long.

    Example:
        >>> segment_spans([(19.0, 20.0), (22.0, 22.5)], 40.0, segment_s=30, tail_s=5)
        ((0.0, 19.5), (19.5, 40.0))
    """
    spans = []
    start_s = 0.0
    while duration_s - start_s > segment_s + tail_s or (
        duration_s - start_s > segment_s and not tail_s
    ):
        end_s = _cut(silences, start_s + segment_s / 2, start_s + segment_s)
        spans.append((start_s, end_s))
        start_s = end_s
    spans.append((start_s, duration_s))
    return tuple(spans)


def _cut(silences: Sequence[tuple[float, float]], after_s: float, before_s: float) -> float:
    pauses = [
        (end_s - start_s, (start_s + end_s) / 2)
        for start_s, end_s in silences
        if after_s < (start_s + end_s) / 2 <= before_s
    ]
    return max(pauses)[1] if pauses else before_s


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
    named = {name: value for name, value in sound.metadata if name != "title"}
    return attributes(words, tags) | named
