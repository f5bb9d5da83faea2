"""Video to units: video/clip and video/video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import VIDEO_CLIP, VIDEO_VIDEO
from schemas.unit import Locator, Unit
from stages.recognise.screen import letters
from stages.segment._transcript import attributes, beginning, heard, span_text, spoken
from stages.segment.hashes import with_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import ClipContent, Content, VideoContent
    from schemas.partition import Partition
    from stages.segment.options import SegmentOptions


def segment_video(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """A unit for every clip, and one for the whole video.

    Args:
        source_id: Identity of the source.
        content: What was decoded, with words and tags of its sound track and the writing in it filled in by
            recognition.
        arrays: Frames of the clips and of the whole, uint8 [n, S, S, 3].
        options: Not used: the clips were cut while decoding.

    Returns:
        The video, then its clips. A unit always has pixels; its text is what is said in its time, a line of sound
        tags, a line of what is written on the screen and is not said, and a line of subtitles that are not what is
        said; it may be empty. Each of them is cut at 200 words; so the text of the whole is the beginning.
    """
    video = with_hashes(content, arrays).video
    if video is None:
        return []
    whole = _unit(source_id, content, video.whole, VIDEO_VIDEO)
    clips = [_unit(source_id, content, clip, VIDEO_CLIP, whole.unit_id) for clip in video.clips]
    return [whole, *clips]


def _unit(
    source_id: str,
    content: Content,
    clip: ClipContent,
    partition: Partition,
    parent_id: str = "",
) -> Unit:
    sound, span_s = content.sound, (clip.start_s, clip.end_s)
    words = spoken(sound, *span_s) if sound else ""
    tags = heard(sound, *span_s) if sound else ()
    text = span_text(words if parent_id else beginning(words), tags)
    facts = _facts(content, clip) | attributes(words, tags)
    if content.video is not None:
        lines = _written(content.video, span_s, words)
        subtitles = _subtitles(content.video, span_s)
        text = "\n".join(filter(None, (text, _line("On screen", "; ".join(lines)), subtitles)))
        facts |= {"screen": " | ".join(lines)} if lines else {}
    return Unit(
        source_id=source_id,
        partition=partition,
        locator=Locator(start_s=span_s[0], end_s=span_s[1]),
        text=text,
        context=content.title,
        pixels_hash=clip.pixels_hash,
        pixels_array=clip.frames_array,
        parent_id=parent_id,
        language=sound.language if sound and words else "",
        attributes=facts,
    )


def _facts(content: Content, clip: ClipContent) -> dict[str, str]:
    facts = {"frames_s": " ".join(f"{time_s:.3f}" for time_s in clip.frame_times_s)}
    if content.video is not None:
        facts["size"] = f"{content.video.width}x{content.video.height}"
    return facts


def _written(video: VideoContent, span_s: tuple[float, float], words: str) -> list[str]:
    """Lines on the screen in a span, each once, without captions of what is said."""
    said = letters(words)
    found: dict[str, str] = {}
    for line in video.screen_lines:
        if line.start_s < span_s[1] and line.end_s > span_s[0]:
            key = letters(line.text)
            if key not in said:
                found.setdefault(key, line.text)
    return list(found.values())


def _subtitles(video: VideoContent, span_s: tuple[float, float]) -> str:
    """The line of the first subtitle track: what is shown by the middle of its time in the span."""
    if not video.subtitles:
        return ""
    track = video.subtitles[0]
    shown = [
        line.text
        for line in track.lines
        if span_s[0] <= (line.start_s + line.end_s) / 2 < span_s[1]
    ]
    name = f"Subtitles ({track.language})" if track.language else "Subtitles"
    return _line(name, " ".join(shown))


def _line(name: str, text: str) -> str:
    return f"{name}: {beginning(text)}" if text else ""
