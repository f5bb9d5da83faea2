"""Lines that are seen in frame after frame, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Recognition
from schemas.content import ClipContent, Content, ScreenContent, ScreenLine, VideoContent
from schemas.errors import CorruptError
from stages.recognise import registry
from stages.recognise.ocr import OcrLine
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.recognise.screen import read_screens

if TYPE_CHECKING:
    import pytest

STEP_S = 2.0


def seen(*frames: list[str | tuple[str, float]]) -> list[tuple[float, float, str]]:
    """Lines out of frames that follow each other every 2 s; each line is a text, or a text and a score."""
    screens = [ScreenContent(i * STEP_S, (i + 1) * STEP_S, i) for i in range(len(frames))]

    def read(screen: ScreenContent) -> list[OcrLine]:
        pairs = [(x, 0.9) if isinstance(x, str) else x for x in frames[screen.ocr_array]]
        return [OcrLine(text, (0, 0, 1, 1), score) for text, score in pairs]

    return [(line.start_s, line.end_s, line.text) for line in read_screens(screens, read)]


def test_a_line_that_stays_counts_once() -> None:
    found = seen(["Mill Road"], ["Mill Road", "Flour"], ["Flour"], [])
    assert found == [(0, 4, "Mill Road"), (2, 6, "Flour")]


def test_the_reading_with_most_confidence_is_kept() -> None:
    found = seen(
        [("The milIer opens", 0.7)], [("The miller opens", 0.98)], [("the mi11er  opens", 0.6)]
    )
    assert [line[2] for line in found] == ["The miller opens", "the mi11er  opens"]
    assert found[0][:2] == (0, 4)


def test_what_comes_back_is_new() -> None:
    assert seen(["Mill Road"], [], ["Mill Road"]) == [(0, 2, "Mill Road"), (4, 6, "Mill Road")]


def test_numbers_make_lines_different_and_clocks_are_none() -> None:
    found = seen(["Step 1 of 20", "00:01"], ["Step 2 of 20", "00:03"])
    assert [line[2] for line in found] == ["Step 1 of 20", "Step 2 of 20"]


def test_short_lines_must_be_equal() -> None:
    assert [line[2] for line in seen(["ONE"], ["ONF"])] == ["ONE", "ONF"]


def test_twice_in_one_frame_is_once() -> None:
    assert seen(["Sale", "SALE!", "Bread"]) == [(0, 2, "Sale"), (0, 2, "Bread")]


@given(st.lists(st.lists(st.sampled_from(["rye bread", "wheat", "sluice gate", "12"]), max_size=4)))
def test_each_line_is_shown_when_it_was_read(frames: list[list[str]]) -> None:
    found = seen(*frames)
    for i, frame in enumerate(frames):
        shown = {text for start_s, end_s, text in found if start_s <= i * STEP_S < end_s}
        assert shown == set(frame) - {"12"}
    assert [line[0] for line in found] == sorted(line[0] for line in found)


FRAMES = np.zeros((2, 8, 8, 3), np.uint8)


def video(screens: int) -> tuple[Content, tuple[np.ndarray, ...]]:
    """A video of one clip with frames to read, whose brightness is their number."""
    pictures = [np.full((4, 6, 1), i, np.uint8) for i in range(screens)]
    made = VideoContent(
        duration_s=screens * STEP_S,
        width=6,
        height=4,
        fps=1,
        clips=(ClipContent(0, screens * STEP_S, (0, 1), 1),),
        whole=ClipContent(0, screens * STEP_S, (0, 1), 0),
        screens=tuple(ScreenContent(i * STEP_S, (i + 1) * STEP_S, 2 + i) for i in range(screens)),
    )
    return Content("video/mp4", video=made), (FRAMES, FRAMES + 1, *pictures)


class Reads:
    def __init__(self, threads: int) -> None:
        self.threads = threads

    def read(self, image: np.ndarray, *, glance: bool = False) -> tuple[OcrLine, ...]:
        assert glance
        if image.max() == 1:
            raise CorruptError("cannot be read")
        return (OcrLine(f"Frame {image.max()}", (0, 0, 1, 1), 0.9),)


def test_a_video_gets_its_lines_and_loses_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "import_module", lambda _: type("fake", (), {"OcrReader": Reads}))
    content, arrays = video(3)
    assert content.needs_recognition
    read, left = Recogniser(RecogniseOptions()).recognise(content, arrays)
    assert read.video is not None
    assert read.video.screen_lines == (ScreenLine(0, 2, "Frame 0"), ScreenLine(4, 6, "Frame 2"))
    assert not read.needs_recognition
    assert [(lost.stage, lost.code, lost.second) for lost in read.rejects] == [
        ("recognise", "corrupt", 2.0)
    ]
    assert [array.max() for array in left] == [0, 1]


def test_switched_off_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "RECOGNISERS", {})
    read, left = Recogniser(RecogniseOptions(Recognition(ocr=False))).recognise(*video(2))
    assert read.video is not None
    assert (read.video.screens, read.video.screen_lines, len(left)) == ((), (), 2)
