"""Several sound tracks, subtitles, covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schemas.config import Limits, Recognition
from schemas.content import Content, SpokenWords
from schemas.errors import CrashError
from stages.decode import _tracks
from stages.decode._fflog import MediaInfo, Track
from stages.decode._tracks import parse_srt, read_tracks
from stages.decode.options import DecodeOptions
from stages.decode.video import decode_video
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

SMALL = DecodeOptions(frame_size=32, recognition=Recognition(ocr=False))
PICTURE = lavfi("color=s=64x64:d=6:r=10")
SRT = """1
00:00:00,500 --> 00:00:02,000
<i>The miller</i> opens
the sluice.

2
00:00:03,000 --> 00:00:04,250
{\\an8}12 sacks a day.

"""
LINES = (
    SpokenWords(0.5, 2.0, "The miller opens the sluice."),
    SpokenWords(3.0, 4.25, "12 sacks a day."),
)


def subtitled(path: Path, codec: str, *more: str) -> Path:
    srt = path.with_suffix(".srt")
    srt.write_text(SRT)
    return make(path, *PICTURE, "-i", str(srt), "-c:v", "mpeg4", "-c:s", codec, *more)


def decode(path: Path, kind: str) -> tuple[Content, tuple[np.ndarray, ...]]:
    content, arrays = decode_video(path, kind, SMALL)
    assert content.video is not None
    return content, arrays


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("v.mp4", "video/mp4", "mov_text"),
        ("v.mov", "video/quicktime", "mov_text"),
        ("v.mkv", "video/x-matroska", "srt"),
        ("v.mkv", "video/x-matroska", "ass"),
        ("v.mkv", "video/x-matroska", "webvtt"),
    ],
)
def test_subtitles_are_text_with_times(tmp_path: Path, name: str, kind: str, codec: str) -> None:
    path = subtitled(tmp_path / name, codec, "-metadata:s:s:0", "language=eng")
    content, _ = decode(path, kind)
    assert content.video is not None
    (track,) = content.video.subtitles
    assert (track.language, track.lines) == ("eng", LINES)
    assert content.video.duration_s == pytest.approx(6)
    assert not content.rejects


def test_the_default_subtitles_come_first_and_forced_ones_last(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(SRT)
    marks = {"fra": "0", "eng": "default", "deu": "forced"}
    path = make(
        tmp_path / "v.mkv",
        *PICTURE,
        *(word for _ in marks for word in ("-i", str(tmp_path / "a.srt"))),
        *(word for i in range(4) for word in ("-map", str(i))),
        *(w for i, name in enumerate(marks) for w in (f"-metadata:s:s:{i}", f"language={name}")),
        *(w for i, mark in enumerate(marks.values()) for w in (f"-disposition:s:{i}", mark)),
        *("-c:v", "mpeg4", "-c:s", "srt"),
    )
    content, _ = decode(path, "video/x-matroska")
    assert content.video is not None
    assert [track.language for track in content.video.subtitles] == ["eng", "fra", "deu"]


def test_subtitles_longer_than_the_film_are_no_loss(tmp_path: Path) -> None:
    late = "9\n00:00:20,000 --> 00:00:30,000\nThe end.\n\n"
    (tmp_path / "a.srt").write_text(SRT + late)
    path = make(
        tmp_path / "v.mkv", *PICTURE, "-i", str(tmp_path / "a.srt"), "-c:v", "mpeg4", "-c:s", "srt"
    )
    content, _ = decode(path, "video/x-matroska")
    assert content.video is not None
    assert content.video.duration_s == pytest.approx(6)
    assert not content.rejects
    assert not content.notes


@pytest.mark.parametrize(("default", "heard"), [(0, 500), (1, 3000)])
def test_the_default_sound_track_is_heard(tmp_path: Path, default: int, heard: int) -> None:
    path = make(
        tmp_path / "v.mkv",
        *PICTURE,
        *lavfi("sine=500:d=6", "sine=3000:d=6"),
        *["-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "flac"],
        *["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"],
        *["-disposition:a:0", "0", "-disposition:a:1", "0", f"-disposition:a:{default}", "default"],
    )
    content, arrays = decode(path, "video/x-matroska")
    spectrum = np.abs(np.fft.rfft(arrays[-1][:16000]))
    assert int(spectrum.argmax()) == pytest.approx(heard, abs=2)
    names = ["1 (eng)", "2 (fra)"]
    note = f"of 2 sound tracks {names[default]} is heard; not heard: {names[1 - default]}"
    assert content.notes == (note,)


@pytest.mark.parametrize(("name", "kind"), [("v.mp4", "video/mp4"), ("v.mkv", "video/x-matroska")])
def test_a_cover_is_no_film(tmp_path: Path, name: str, kind: str) -> None:
    cover = make(tmp_path / "c.png", *lavfi("color=red:s=300x200"), "-frames:v", "1")
    film = lavfi("color=blue:s=64x64:d=2:r=10")
    if name.endswith("mp4"):
        more = ["-i", str(cover), "-map", "1", "-map", "0", "-c:v", "mpeg4"]
        more += ["-c:v:0", "png", "-disposition:v:0", "attached_pic"]
    else:
        more = ["-attach", str(cover), "-metadata:s:t", "mimetype=image/png", "-c:v", "mpeg4"]
    path = make(tmp_path / name, *film, *more)
    content, arrays = decode(path, kind)
    assert content.video is not None
    assert (content.video.width, content.video.height) == (64, 64)
    frames = arrays[content.video.whole.frames_array]
    assert frames[..., 2].min() > 200
    assert frames[..., 0].max() < 50


def test_subtitles_that_are_pictures_are_named(tmp_path: Path) -> None:
    tracks = (
        Track("subtitle", 0, "hdmv_pgs_subtitle", "eng"),
        Track("subtitle", 1, "dvd_subtitle"),
    )
    found = read_tracks(tmp_path / "v", "video/mp4", MediaInfo(tracks=tracks), SMALL)
    assert found.subtitles == ()
    (note,) = found.notes
    assert note == (
        "subtitles that are no text are not read: 1 (eng), 2 (dvd_subtitle, hdmv_pgs_subtitle)"
    )


def test_that_they_cannot_be_read_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = subtitled(tmp_path / "v.mp4", "mov_text")
    info = MediaInfo(tracks=(Track("subtitle", 0, "mov_text", "eng"),))

    def crash(*_: object) -> None:
        raise CrashError("ffmpeg was ended")

    monkeypatch.setattr(_tracks._ffmpeg, "run", crash)
    found = read_tracks(path, "video/mp4", info, SMALL)
    assert found.subtitles == ()
    assert [(lost.stage, lost.code) for lost in found.rejects] == [("decode", "crash")]


def test_more_sound_than_allowed_in_the_other_track(tmp_path: Path) -> None:
    info = MediaInfo(tracks=(Track("audio", 0, "flac"), Track("audio", 1, "flac", default=True)))
    path = make(
        tmp_path / "v.mkv",
        *lavfi("sine=d=1", "sine=d=9"),
        *["-map", "0", "-map", "1", "-c:a", "flac"],
    )
    short = DecodeOptions(limits=Limits(media_s=3))
    found = read_tracks(path, "video/x-matroska", info, short)
    assert found.samples is None
    assert [lost.code for lost in found.rejects] == ["limit"]


def test_srt_that_is_no_srt() -> None:
    assert parse_srt("") == ()
    assert parse_srt("words\n\nwords") == ()
    assert parse_srt("1\n00:00:02,000 --> 00:00:01,000\nbackwards\n\n") == ()
    twice = SRT + SRT
    assert parse_srt(twice) == LINES


def test_a_line_that_looks_like_a_number_stays() -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n1984\n\n2\n00:00:03,000 --> 00:00:04,000\n2001\n\n"
    assert [line.text for line in parse_srt(text)] == ["1984", "2001"]
