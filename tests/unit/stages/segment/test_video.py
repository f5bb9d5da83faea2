from __future__ import annotations

from dataclasses import replace

import numpy as np

from schemas.content import (
    ClipContent,
    Content,
    ScreenLine,
    SoundContent,
    SoundTags,
    SpokenWords,
    SubtitleTrack,
    VideoContent,
)
from schemas.partition import VIDEO_CLIP, VIDEO_VIDEO
from stages.segment.options import SegmentOptions
from stages.segment.video import segment_video

SOURCE = "0" * 32
ARRAYS = tuple(np.full((2, 8, 8, 3), value, np.uint8) for value in (1, 2, 3))
VIDEO = VideoContent(
    duration_s=20.0,
    width=640,
    height=480,
    fps=25.0,
    clips=(ClipContent(0, 12, (3.0, 9.0), 0), ClipContent(12, 20, (14.0, 18.0), 1)),
    whole=ClipContent(0, 20, (5.0, 15.0), 2),
)
SOUND = SoundContent(
    duration_s=20.0,
    samples_array=None,
    words=(SpokenWords(1, 3, "Hello."), SpokenWords(13, 15, "Goodbye.")),
    tags=(SoundTags(10, 20, (("Engine", 0.6),)),),
    language="en",
)


def test_a_clip_has_its_frames_and_what_is_heard_in_it() -> None:
    content = Content("video/mp4", title="Trip", video=VIDEO, sound=SOUND)
    whole, first, second = segment_video(SOURCE, content, ARRAYS, SegmentOptions())
    assert (whole.partition, first.partition, second.partition) == (
        VIDEO_VIDEO,
        VIDEO_CLIP,
        VIDEO_CLIP,
    )
    assert first.parent_id == second.parent_id == whole.unit_id
    assert whole.parent_id == ""
    assert [unit.text for unit in (whole, first, second)] == [
        "Hello. Goodbye.\nSounds: engine",
        "Hello.\nSounds: engine",
        "Goodbye.\nSounds: engine",
    ]
    assert [unit.pixels_array for unit in (whole, first, second)] == [2, 0, 1]
    assert len({unit.pixels_hash for unit in (whole, first, second)}) == 3
    assert second.locator.as_dict() == {"start_s": 12, "end_s": 20}
    assert second.context == "Trip"
    assert second.language == "en"
    assert second.attributes == {
        "frames_s": "14.000 18.000",
        "size": "640x480",
        "speech": "yes",
        "tags": "Engine 0.60",
    }


def test_a_silent_video_has_pixels_only() -> None:
    found = segment_video(SOURCE, Content("video/mp4", video=VIDEO), ARRAYS, SegmentOptions())
    assert [unit.embedded_text for unit in found] == ["", "", ""]
    assert all(unit.pixels_hash for unit in found)
    assert {unit.language for unit in found} == {""}


def test_no_video_no_units() -> None:
    assert segment_video(SOURCE, Content("audio/wav"), (), SegmentOptions()) == []


def written(*lines: ScreenLine, subtitles: tuple[SubtitleTrack, ...] = ()) -> VideoContent:
    return replace(VIDEO, screen_lines=lines, subtitles=subtitles)


def test_what_is_on_the_screen_follows_what_is_said() -> None:
    lines = (ScreenLine(0, 14, "Mill Road"), ScreenLine(2, 4, "OPEN"), ScreenLine(8, 10, "Open"))
    content = Content("video/mp4", video=written(*lines), sound=SOUND)
    whole, first, second = segment_video(SOURCE, content, ARRAYS, SegmentOptions())
    assert whole.text == "Hello. Goodbye.\nSounds: engine\nOn screen: Mill Road; OPEN"
    assert first.text == "Hello.\nSounds: engine\nOn screen: Mill Road; OPEN"
    assert second.text == "Goodbye.\nSounds: engine\nOn screen: Mill Road"
    assert first.attributes["screen"] == "Mill Road | OPEN"


def test_captions_of_what_is_said_are_not_said_again() -> None:
    lines = (ScreenLine(1, 3, "HELLO"), ScreenLine(13, 15, "Fin"))
    content = Content("video/mp4", video=written(*lines), sound=SOUND)
    _, first, second = segment_video(SOURCE, content, ARRAYS, SegmentOptions())
    assert first.text == "Hello.\nSounds: engine"
    assert "screen" not in first.attributes
    assert second.text == "Goodbye.\nSounds: engine\nOn screen: Fin"


def test_subtitles_are_in_the_clip_that_has_the_middle_of_their_time() -> None:
    track = SubtitleTrack("deu", (SpokenWords(1, 3, "Hallo."), SpokenWords(11, 14, "Lebt wohl.")))
    other = SubtitleTrack("", (SpokenWords(1, 3, "Salut."),))
    content = Content("video/mp4", video=written(subtitles=(track, other)))
    texts = [unit.text for unit in segment_video(SOURCE, content, ARRAYS, SegmentOptions())]
    assert texts == [
        "Subtitles (deu): Hallo. Lebt wohl.",
        "Subtitles (deu): Hallo.",
        "Subtitles (deu): Lebt wohl.",
    ]


def test_a_wall_of_text_is_cut() -> None:
    line = ScreenLine(0, 20, " ".join(f"word{i}" for i in range(300)))
    content = Content("video/mp4", video=written(line))
    whole, *_ = segment_video(SOURCE, content, ARRAYS, SegmentOptions())
    assert whole.text.endswith("word199 ...")
    assert whole.attributes["screen"].endswith("word299")
