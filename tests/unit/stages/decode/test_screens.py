"""Frames to be read: which are kept, how large, and in how much memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from schemas.config import Limits, Recognition
from schemas.errors import CorruptError
from stages.decode._screens import ScreenSink
from stages.decode.options import DecodeOptions
from stages.decode.video import decode_video
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from schemas.content import Content, VideoContent
    from stages.decode._sinks import LineSink

SILENT = DecodeOptions(frame_size=32, recognition=Recognition(speech=False, sound_tags=False))


def decode(path: Path, kind: str = "video/mp4") -> tuple[Content, VideoContent, list[np.ndarray]]:
    content, arrays = decode_video(path, kind, SILENT)
    assert content.video is not None
    return content, content.video, [arrays[s.ocr_array] for s in content.video.screens]


def slide(path: Path, text: str, size: tuple[int, int] = (640, 360)) -> Path:
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    pen.text((40, 140), text, fill="black", font=ImageFont.load_default(36))
    pen.rectangle((0, 0, size[0] - 1, size[1] - 1), outline="blue", width=3)
    image.save(path)
    return path


def show(path: Path, slides: list[tuple[Path, float]], *more: str) -> Path:
    """Each picture for so many seconds."""
    inputs = [
        word
        for picture, seconds in slides
        for word in ("-loop", "1", "-r", "10", "-t", str(seconds), "-i", str(picture))
    ]
    graph = ["-filter_complex", f"concat=n={len(slides)}"]
    return make(path, *inputs, *graph, "-c:v", "mpeg4", "-q:v", "2", *more)


def test_a_slide_is_kept_once_at_its_own_size(tmp_path: Path) -> None:
    first = slide(tmp_path / "a.png", "The sluice")
    second = slide(tmp_path / "b.png", "The wheel")
    _, video, pictures = decode(show(tmp_path / "v.mp4", [(first, 8), (second, 6)]))
    assert [(s.start_s, s.end_s) for s in video.screens] == [(0, 8), (8, pytest.approx(14))]
    assert [picture.shape for picture in pictures] == [(368, 648, 1)] * 2
    grey = np.asarray(Image.open(second).convert("L"), dtype=int)
    assert np.abs(pictures[1][:360, :640, 0] - grey).mean() < 6


def test_large_pictures_are_scaled_down_upright_and_with_square_pixels(tmp_path: Path) -> None:
    graph = "testsrc=s=1600x600:r=1:d=1,setsar=2"  # is shown 3200 wide
    path = make(tmp_path / "v.mkv", *lavfi(graph), "-c:v", "ffv1")
    _, _, (picture,) = decode(path, "video/x-matroska")
    assert picture.shape == (248, 1280, 1)
    portrait = make(tmp_path / "w.mkv", *lavfi("testsrc=s=720x1440:r=1:d=1"), "-c:v", "ffv1")
    _, _, (picture,) = decode(portrait, "video/x-matroska")
    assert picture.shape == (1280, 648, 1)


def test_a_picture_of_one_colour_has_nothing_to_read(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", *lavfi("color=gray:s=64x64:r=5:d=5"), "-c:v", "mpeg4")
    content, video, _ = decode(path)
    assert video.screens == ()
    assert not content.needs_recognition


def test_none_are_made_if_nobody_reads(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", *lavfi("testsrc=s=64x64:d=1"), "-c:v", "mpeg4")
    blind = DecodeOptions(frame_size=32, recognition=Recognition(ocr=False))
    content, arrays = decode_video(path, "video/mp4", blind)
    assert content.video is not None
    assert content.video.screens == ()
    assert len(arrays) == 2


def test_a_change_of_size_in_the_middle(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{i}.ts", *lavfi(graph), "-c:v", "mpeg2video", "-q:v", "2")
        for i, graph in enumerate(
            ["testsrc=s=320x240:r=25:d=4", "testsrc=s=160x120:r=25:d=4,setpts=PTS+4/TB"]
        )
    ]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _, video, pictures = decode(path, "video/mp2t")
    assert {picture.shape for picture in pictures} == {(248, 328, 1)}
    assert [screen.start_s for screen in video.screens if screen.start_s > 3]


@pytest.mark.slow
def test_what_is_on_the_screen_is_read_once(tmp_path: Path) -> None:
    first = slide(tmp_path / "a.png", "The miller opens the sluice")
    second = slide(tmp_path / "b.png", "The wheel begins to turn")
    path = show(tmp_path / "v.mp4", [(first, 6), (second, 6)], "-b:v", "300k")
    content, arrays = decode_video(path, "video/mp4", SILENT)
    reading = RecogniseOptions(Recognition(speech=False, sound_tags=False))
    read, left = Recogniser(reading).recognise(content, arrays)
    assert read.video is not None
    assert [(line.start_s, line.end_s, line.text) for line in read.video.screen_lines] == [
        (0, 6, "The miller opens the sluice"),
        (6, pytest.approx(12), "The wheel begins to turn"),
    ]
    assert len(left) == 1 + len(read.video.clips)


def give(sink: ScreenSink | LineSink, data: bytes) -> None:
    out, into = os.pipe()
    os.write(into, data)
    os.close(into)
    os.set_blocking(out, False)
    while sink.read(out):
        pass
    os.close(out)


def fill(sink: ScreenSink, times_s: list[float], *, changing: bool) -> None:
    header = b"YUV4MPEG2 W40 H40 F1:2 Ip A1:1 Cmono XCOLORRANGE=FULL\n"
    give(sink, header[:20])  # it may come in pieces
    give(sink, header[20:])
    for i, time_s in enumerate(times_s):
        frame = np.full((40, 40), 100 + (i % 2 * 100 if changing else 0), np.uint8)
        frame[:20, :20] = 30
        give(sink.times, f"frame:0 pts:0 pts_time:{time_s!r}\n".encode())
        data = b"FRAME\n" + frame.tobytes()
        for start in range(0, len(data), 1 << 10):
            give(sink, data[start : start + (1 << 10)])


def test_a_picture_without_a_size_is_an_error() -> None:
    with pytest.raises(CorruptError, match="did not tell the size"):
        give(ScreenSink(Path("v"), Limits(), 1 << 20), b"\0" * 2000)


@given(st.lists(st.floats(2, 9), min_size=1, max_size=12), st.integers(1, 6), st.booleans())
@settings(max_examples=15, deadline=None)
def test_kept_pictures_are_bounded_and_in_order(
    gaps_s: list[float], room: int, changing: bool
) -> None:
    times_s = [float(time_s) for time_s in np.cumsum(gaps_s)]
    one = 48 * 48  # with its margin
    sink = ScreenSink(Path("v"), Limits(), room * one)
    fill(sink, times_s, changing=changing)
    found = sink.screens(times_s[-1] + 1)
    assert 1 <= len(found) <= (room if changing else 1)
    assert found[0][0] == times_s[0]
    starts = [start_s for start_s, _, _ in found]
    assert starts == sorted(set(starts))
    assert all(start_s < end_s for start_s, end_s, _ in found)
    assert all(picture.shape == (48, 48) for _, _, picture in found)
    if not changing:
        assert found[0][1] == times_s[-1] + 1
