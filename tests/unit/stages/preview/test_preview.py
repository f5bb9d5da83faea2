"""Previews of media made here: each shows what is at the unit's place."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.config import Limits
from schemas.errors import (
    CorruptError,
    CrashError,
    LimitError,
    SourceError,
    TimeoutExceededError,
    UnsupportedError,
)
from schemas.partition import (
    AUDIO_SEGMENT,
    IMAGE_IMAGE,
    IMAGE_REGION,
    PAGE_PAGE,
    PAGE_REGION,
    TEXT_DOCUMENT,
    TEXT_PARAGRAPH,
    VIDEO_CLIP,
    VIDEO_VIDEO,
)
from schemas.unit import Locator
from stages.preview.apart import preview_apart
from stages.preview.frames import told
from stages.preview.options import PreviewOptions
from stages.preview.registry import preview
from tests.unit.stages.decode.media import clock_video, lavfi, make, shown_s

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.partition import Partition
    from stages.preview.registry import Preview

PDF = "application/pdf"


def drawn(path, partition, locator, media_type, **options) -> np.ndarray:
    """Pixels of a preview, uint8 [H, W, 3]."""
    return pixels_of(preview(path, partition, locator, media_type, PreviewOptions(**options)))


def pixels_of(found: Preview) -> np.ndarray:
    image = Image.open(io.BytesIO(found.data))
    assert Image.MIME[image.format] == found.media_type
    assert image.size == (found.width, found.height)
    return np.asarray(image.convert("RGB"))


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    """Two pages of 400 x 600 points; on the second one a red square at (100, 300)-(200, 400)."""
    path = tmp_path / "made.pdf"
    with pymupdf.open() as document:
        document.new_page(width=400, height=600).insert_text((50, 80), "first", fontsize=30)
        page = document.new_page(width=400, height=600)
        page.draw_rect((100, 300, 200, 400), color=(1, 0, 0), fill=(1, 0, 0))
        document.save(path)
    return path


def is_red(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] > 180) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)


def test_a_page_is_the_whole_page(pdf: Path) -> None:
    shown = drawn(pdf, PAGE_PAGE, Locator(page=2), PDF, side_px=600)
    assert shown.shape == (600, 400, 3)
    rows, columns = np.nonzero(is_red(shown))
    assert (rows.min(), rows.max()) == pytest.approx((300, 400), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx((100, 200), abs=2)
    assert not is_red(drawn(pdf, PAGE_PAGE, Locator(page=1), PDF)).any()


@pytest.mark.parametrize("partition", [PAGE_REGION, TEXT_PARAGRAPH])
def test_a_region_is_its_box_and_little_around_it(pdf: Path, partition: Partition) -> None:
    box = (100.0, 300.0, 200.0, 400.0)
    shown = drawn(pdf, partition, Locator(page=2, bbox=box), PDF, side_px=400)
    assert 0.75 < is_red(shown).mean() < 0.9  # 100 x 100 of 112 x 112 points
    assert not is_red(shown[:8]).any()


def test_a_rotated_page_is_shown_as_people_see_it(tmp_path: Path) -> None:
    path = tmp_path / "turned.pdf"
    with pymupdf.open() as document:
        page = document.new_page(width=400, height=600)
        page.draw_rect((0, 0, 100, 100), fill=(1, 0, 0))
        page.set_rotation(90)
        document.save(path)
    whole = drawn(path, PAGE_PAGE, Locator(page=1), PDF, side_px=600)
    assert whole.shape[:2] == (400, 600)
    assert is_red(whole[:90, -90:]).mean() > 0.9
    corner = drawn(path, PAGE_REGION, Locator(page=1, bbox=(500, 0, 600, 100)), PDF)
    assert is_red(corner).mean() > 0.8


def test_a_part_of_a_document_is_shown_by_its_page(pdf: Path) -> None:
    shown = drawn(pdf, TEXT_DOCUMENT, Locator(page=2, part=1), PDF, side_px=600)
    assert shown.shape == (600, 400, 3)


def test_a_box_that_is_not_on_the_page_shows_the_page(pdf: Path) -> None:
    place = Locator(page=1, bbox=(900.0, 900.0, 950.0, 950.0))
    assert drawn(pdf, PAGE_REGION, place, PDF, side_px=600).shape == (600, 400, 3)


def test_a_page_that_is_not_there(pdf: Path) -> None:
    with pytest.raises(CorruptError, match="has 2 pages, and no page 7"):
        drawn(pdf, PAGE_PAGE, Locator(page=7), PDF)


def test_text_has_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("words")
    with pytest.raises(UnsupportedError, match=r"no preview of text/paragraph in text/plain"):
        drawn(path, TEXT_PARAGRAPH, Locator(char_start=0, char_end=5), "text/plain")


def test_a_picture_too_large_on_a_page_is_not_drawn(tmp_path: Path) -> None:
    path = tmp_path / "large.pdf"
    file = io.BytesIO()
    Image.new("L", (300, 300), 128).save(file, "PNG")
    with pymupdf.open() as document:
        document.new_page().insert_image((0, 0, 100, 100), stream=file.getvalue())
        document.save(path)
    with pytest.raises(LimitError, match="300 x 300 pixels"):
        drawn(path, PAGE_PAGE, Locator(page=1), PDF, limits=Limits(pixels=80_000))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """400 x 200 when shown, left half red, right half blue; stored on its side, with an orientation."""
    upright = Image.new("RGB", (400, 200), (200, 0, 0))
    upright.paste((0, 0, 200), (200, 0, 400, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    path = tmp_path / "photo.png"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    return path


def test_a_picture_stands_upright(photo: Path) -> None:
    shown = drawn(photo, IMAGE_IMAGE, Locator(), "image/png", side_px=100)
    assert shown.shape == (50, 100, 3)
    assert shown[25, 20, 0] > 180 > 60 > shown[25, 20, 2]
    assert shown[25, 80, 2] > 180 > 60 > shown[25, 80, 0]


def test_a_region_of_a_picture_is_cut_out_in_its_own_pixels(photo: Path) -> None:
    place = Locator(bbox=(200.0, 0.0, 400.0, 200.0))
    shown = drawn(photo, IMAGE_REGION, place, "image/png", side_px=100)
    assert shown.shape == (100, 100, 3)
    assert (shown[..., 2] > 180).all()


def test_a_picture_of_one_colour_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(path)
    assert (drawn(path, IMAGE_IMAGE, Locator(), "image/png") == 255).all()


def tiles(shown: np.ndarray, count: int, ratio: float) -> list[np.ndarray]:
    """The middles of the tiles of a grid of four columns, away from their labels."""
    width = (shown.shape[1] - 3 * 4) // 4
    height = round(width * ratio)
    places = [divmod(number, 4) for number in range(count)]
    return [
        shown[r * (height + 4) + height // 2 : r * (height + 4) + height - 4,
              c * (width + 4) + width // 2 : c * (width + 4) + width - 4]
        for r, c in places
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "media_type"), [("v.mkv", "video/x-matroska"), ("v.mp4", "video/mp4")]
)
def test_frames_are_of_the_very_times_the_unit_names(
    tmp_path: Path, name: str, media_type: str
) -> None:
    path = clock_video(tmp_path / name, 8)
    times_s = (0.0, 0.36, 1.0, 2.52, 4.0, 5.48, 7.0, 7.88)
    place = Locator(start_s=0.0, end_s=8.0)
    shown = drawn(path, VIDEO_CLIP, place, media_type, frames_s=times_s)
    told_s = [shown_s(tile) for tile in tiles(shown, 8, 64 / 96)]
    assert told_s == pytest.approx(times_s, abs=0.06)


def test_without_times_frames_are_spread_over_the_span(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mkv", 8)
    shown = drawn(path, VIDEO_VIDEO, Locator(start_s=4.0, end_s=8.0), "video/x-matroska")
    told_s = [shown_s(tile) for tile in tiles(shown, 16, 64 / 96)]
    assert told_s == pytest.approx(4.125 + 0.25 * np.arange(16), abs=0.06)


def test_a_frame_beyond_the_end_is_dark_and_the_others_are_shown(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mkv", 2)
    shown = drawn(
        path, VIDEO_CLIP, Locator(start_s=0, end_s=9), "video/x-matroska", frames_s=(1, 1, 1, 9)
    )
    first, *_, last = tiles(shown, 4, 64 / 96)
    assert shown_s(first) == pytest.approx(1, abs=0.1)
    assert (last < 40).all()


def test_a_video_without_one_frame_says_so(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mkv", 1)
    with pytest.raises(SourceError, match="no frame could be decoded"):
        drawn(path, VIDEO_CLIP, Locator(), "video/x-matroska", frames_s=(50.0,))


@cache
def burst() -> bytes:
    """16-bit mono WAV of 4 s at 16 kHz: silence, but for a tone from 2 s to 3 s."""
    t = np.arange(4 * 16000) / 16000
    samples = np.where((t >= 2) & (t < 3), 16000 * np.sin(2 * np.pi * 440 * t), 0).astype("<i2")
    data = samples.tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       16000, 32000, 2, 16, b"data", len(data))  # fmt: skip
    return head + data


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    path.write_bytes(burst())
    return path


def loud(shown: np.ndarray) -> np.ndarray:
    """Columns with a wave a quarter above the middle line."""
    height = shown.shape[0] - 16
    return (shown[height // 4].max(axis=-1) < 200).nonzero()[0] / shown.shape[1]


def test_a_waveform_is_loud_where_the_sound_is(tone: Path) -> None:
    shown = drawn(tone, AUDIO_SEGMENT, Locator(start_s=0.0, end_s=4.0), "audio/wav", side_px=600)
    assert shown.shape == (116, 600, 3)
    at = loud(shown)
    assert (at.min(), at.max()) == pytest.approx((0.5, 0.75), abs=0.01)


def test_a_waveform_of_a_segment_is_of_its_span(tone: Path) -> None:
    at = loud(drawn(tone, AUDIO_SEGMENT, Locator(start_s=2.5, end_s=4.0), "audio/wav"))
    assert (at.min(), at.max()) == pytest.approx((0, 1 / 3), abs=0.01)


def test_the_sound_of_a_video_is_on_its_clock(tmp_path: Path) -> None:
    path = make(
        tmp_path / "v.mkv",
        *lavfi("color=s=64x64:d=4:r=10"),
        *["-itsoffset", "2"],
        *lavfi("sine=d=2:r=16000"),
        *["-c:v", "mpeg4", "-c:a", "pcm_s16le"],
    )
    place = Locator(start_s=0.0, end_s=4.0)
    shown = drawn(path, AUDIO_SEGMENT, place, "video/x-matroska")
    middle = shown[(shown.shape[0] - 16) // 2 - 8]
    at = (middle.max(axis=-1) < 200).nonzero()[0] / shown.shape[1]
    assert at.min() == pytest.approx(0.5, abs=0.02)


def test_a_sound_without_a_span_has_no_waveform(tone: Path) -> None:
    with pytest.raises(UnsupportedError, match="no span of time"):
        drawn(tone, AUDIO_SEGMENT, Locator(), "audio/wav")


def test_apart_gives_the_same_bytes_and_the_same_errors(pdf: Path) -> None:
    options = PreviewOptions(side_px=300)
    here = preview(pdf, PAGE_PAGE, Locator(page=2), PDF, options)
    assert preview_apart(pdf, PAGE_PAGE, Locator(page=2), PDF, options) == here
    with pytest.raises(CorruptError, match="no page 7"):
        preview_apart(pdf, PAGE_PAGE, Locator(page=7), PDF, options)


def test_apart_ends_what_takes_too_long(pdf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.preview.apart._START_S", 0.0)
    with pytest.raises(TimeoutExceededError, match=r"longer than 0.001 s"):
        preview_apart(pdf, PAGE_PAGE, Locator(page=1), PDF, PreviewOptions(timeout_s=0.001))


@pytest.mark.slow
def test_apart_says_when_the_memory_does_not_suffice(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.effect_noise((4000, 4000), 50).convert("RGB").save(path, compress_level=0)
    options = PreviewOptions(Limits(decode_memory_bytes=30 << 20))
    with pytest.raises((LimitError, CrashError)):
        preview_apart(path, IMAGE_IMAGE, Locator(), "image/png", options)


@given(st.floats(0, 100_000))
def test_a_time_is_told_in_tenths_and_never_later(at_s: float) -> None:
    whole, _, tenth = told(at_s).rpartition(".")
    seconds = sum(int(part) * 60**i for i, part in enumerate(reversed(whole.split(":"))))
    assert seconds + int(tenth) / 10 <= at_s + 1e-5 < seconds + int(tenth) / 10 + 0.1001
