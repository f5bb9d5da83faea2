"""Video to units: video/clip and video/video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import VIDEO_CLIP, VIDEO_VIDEO
from schemas.unit import Locator, Unit
from stages.segment._pixels import hash_pixels
from stages.segment._transcript import attributes, beginning, heard, span_text, spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import ClipContent, Content
    from schemas.partition import Partition
    from stages.segment.options import SegmentOptions


def segment_video(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """A unit for every clip, and one for the whole video.

    Args:
        source_id: Identity of the source.
        content: What was decoded, with words and tags of its sound track filled in by recognition.
        arrays: Frames of the clips and of the whole, uint8 [n, S, S, 3].
        options: Not used: the clips were cut while decoding.

    Returns:
        The video, then its clips. A unit always has pixels; its text is what is said in its time and a line of
        sound tags, and may be empty. The text of the whole is the beginning of the transcript.
    """
    video = content.video
    if video is None:
        return []
    whole = _unit(source_id, content, arrays, video.whole, VIDEO_VIDEO)
    clips = [
        _unit(source_id, content, arrays, clip, VIDEO_CLIP, whole.unit_id) for clip in video.clips
    ]
    return [whole, *clips]


def _unit(
    source_id: str,
    content: Content,
    arrays: Sequence[np.ndarray],
    clip: ClipContent,
    partition: Partition,
    parent_id: str = "",
) -> Unit:
    sound, span_s = content.sound, (clip.start_s, clip.end_s)
    words = spoken(sound, *span_s) if sound else ""
    tags = heard(sound, *span_s) if sound else ()
    text = span_text(words if parent_id else beginning(words), tags)
    return Unit(
        source_id=source_id,
        partition=partition,
        locator=Locator(start_s=span_s[0], end_s=span_s[1]),
        text=text,
        context=content.title,
        pixels_hash=hash_pixels(arrays[clip.frames_array]),
        pixels_array=clip.frames_array,
        parent_id=parent_id,
        language=sound.language if sound and words else "",
        attributes=_facts(content, clip) | attributes(words, tags),
    )


def _facts(content: Content, clip: ClipContent) -> dict[str, str]:
    facts = {"frames_s": " ".join(f"{time_s:.3f}" for time_s in clip.frame_times_s)}
    if content.video is not None:
        facts["size"] = f"{content.video.width}x{content.video.height}"
    return facts
