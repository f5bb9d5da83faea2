from __future__ import annotations

import os
import struct
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Limits, Recognition
from schemas.errors import CorruptError, LimitError, NoContentError, TimeoutExceededError
from stages.decode._clips import clip_borders, pick
from stages.decode._ffmpeg import _DEMUXERS
from stages.decode._sinks import FrameSink
from stages.decode.options import DecodeOptions
from stages.decode.registry import DECODERS
from stages.decode.video import decode_video
from tests.unit.stages.decode.media import clock_video, lavfi, make, shown_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.content import ClipContent, Content, VideoContent

SMALL = DecodeOptions(frame_size=32)
IDENTITY = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def decode(
    path: Path, media_type: str = "video/mp4", options: DecodeOptions = SMALL
) -> tuple[Content, VideoContent, tuple[np.ndarray, ...]]:
    content, arrays = decode_video(path, media_type, options)
    assert content.video is not None
    return content, content.video, arrays


def assert_clock(
    clip: ClipContent, arrays: tuple[np.ndarray, ...], *, within_s: float = 0.08
) -> None:
    shown = [shown_s(frame) for frame in arrays[clip.frames_array]]
    assert shown == pytest.approx(clip.frame_times_s, abs=within_s)


def test_frames_are_of_the_times_they_are_said_to_be(tmp_path: Path) -> None:
    content, video, arrays = decode(clock_video(tmp_path / "v.mkv", 8), "video/x-matroska")
    assert (video.width, video.height, video.fps) == (96, 64, 25.0)
    assert video.duration_s == pytest.approx(8, abs=0.05)
    assert content.sound is None
    assert not content.notes
    assert [(clip.start_s, clip.end_s) for clip in video.clips] == [(0.0, video.duration_s)]
    assert arrays[video.clips[0].frames_array].shape == (16, 32, 32, 3)
    assert arrays[video.whole.frames_array].shape == (32, 32, 32, 3)
    middles = (np.arange(16) + 0.5) * 8 / 16
    assert video.clips[0].frame_times_s == pytest.approx(middles, abs=0.13)
    for clip in (*video.clips, video.whole):
        assert_clock(clip, arrays)


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    uneven = ["-vf", "select=lt(t\\,2)+not(mod(n\\,40))", "-fps_mode", "vfr"]
    path = clock_video(tmp_path / "v.mkv", 8, *uneven)
    _, video, arrays = decode(path, "video/x-matroska")
    assert_clock(video.whole, arrays)
    late = [time_s for time_s in video.whole.frame_times_s if time_s >= 2]
    assert late == pytest.approx([3.2, 4.8], abs=0.01)


def test_a_late_sound_track_keeps_its_times(tmp_path: Path) -> None:
    path = make(
        tmp_path / "v.mkv",
        *lavfi("color=s=64x64:d=4:r=10"),
        *["-itsoffset", "2"],
        *lavfi("sine=d=2:r=16000"),
        *["-c:v", "mpeg4", "-c:a", "pcm_s16le"],
    )
    content, video, arrays = decode(path, "video/x-matroska")
    assert content.sound is not None
    assert content.sound.samples_array is not None
    loud = np.abs(arrays[content.sound.samples_array].astype(int)) > 100
    assert content.sound.duration_s == pytest.approx(4, abs=0.1)
    assert loud.argmax() / 16000 == pytest.approx(2, abs=0.05)
    assert video.duration_s == pytest.approx(4, abs=0.2)


def test_scenes_are_clips_and_never_mix(tmp_path: Path) -> None:
    scenes = [
        f"color={name}:s=64x64:r=10:d={d}" for name, d in (("red", 6), ("blue", 7), ("lime", 2))
    ]
    path = make(
        tmp_path / "v.mp4",
        *lavfi(*scenes),
        *["-filter_complex", "concat=n=3", "-c:v", "mpeg4"],
    )
    _, video, arrays = decode(path)
    assert video.scene_cuts_s == pytest.approx((6.0, 13.0))
    # The last scene is shorter than 5 s and stays with the one before.
    assert [(c.start_s, c.end_s) for c in video.clips] == [(0, 6), (6, pytest.approx(15))]
    colours = [arrays[clip.frames_array].mean(axis=(1, 2)).argmax(axis=1) for clip in video.clips]
    assert set(colours[0]) == {0}
    assert set(colours[1]) == {1, 2}
    assert arrays[video.clips[0].frames_array].shape[0] == 16


@pytest.mark.parametrize(("seconds", "ends"), [(33, [33]), (37, [30, 37])])
def test_long_scenes_are_cut_and_tails_joined(
    tmp_path: Path, seconds: int, ends: list[int]
) -> None:
    graph = f"color=gray:s=32x32:r=4:d={seconds}"
    path = make(tmp_path / "v.mp4", *lavfi(graph), "-c:v", "mpeg4")
    _, video, _ = decode(path)
    assert [clip.end_s for clip in video.clips] == pytest.approx(ends)


def halves(path: Path, size: str = "128x64", sar: str = "1") -> Path:
    """Left half of the picture white, right half black."""
    graph = f"color=black:s={size}:r=5:d=1,drawbox=w=iw/2:c=white:t=fill,setsar={sar}"
    return make(path, *lavfi(graph), "-c:v", "mpeg4", "-q:v", "2")


def test_rotation_is_applied(tmp_path: Path) -> None:
    path = halves(tmp_path / "v.mp4")
    data = path.read_bytes()
    track = data.index(b"tkhd")
    place = data.index(IDENTITY, track)
    quarter = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    path.write_bytes(data[:place] + quarter + data[place + len(quarter) :])
    _, video, arrays = decode(path)
    assert (video.width, video.height) == (64, 128)
    frame = arrays[video.whole.frames_array][0]
    assert frame[:12].mean() > 200
    assert frame[20:].mean() < 50


def test_the_centre_is_cropped_before_scaling(tmp_path: Path) -> None:
    # The outer quarters of a 2:1 picture are red: none of it is left.
    graph = "color=red:s=128x64:r=5:d=1,drawbox=x=32:w=64:c=blue:t=fill"
    path = make(tmp_path / "v.mp4", *lavfi(graph), "-c:v", "mpeg4", "-q:v", "2")
    _, video, arrays = decode(path)
    frame = arrays[video.whole.frames_array][0]
    assert frame[:, 2:-2, 2].min() > 200
    assert frame[:, 2:-2, 0].max() < 50


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    # 64x64 pixels of 2:1 are shown 128 wide: the middle 32 columns are the crop.
    graph = "color=red:s=64x64:r=5:d=1,drawbox=x=16:w=32:c=blue:t=fill,setsar=2"
    path = make(tmp_path / "v.mkv", *lavfi(graph), "-c:v", "mpeg4", "-q:v", "2")
    _, video, arrays = decode(path, "video/x-matroska")
    frame = arrays[video.whole.frames_array][0]
    assert frame[:, 2:-2, 0].max() < 50


def test_the_first_of_two_sound_tracks_is_heard(tmp_path: Path) -> None:
    path = make(
        tmp_path / "v.mp4",
        *lavfi("color=s=64x64:d=2:r=10", "sine=500:d=2", "sine=3000:d=2"),
        *["-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "aac"],
        *["-metadata", "title=Two  tracks"],
    )
    content, _, arrays = decode(path)
    assert content.title == "Two tracks"
    spectrum = np.abs(np.fft.rfft(arrays[-1][:16000]))
    assert int(spectrum.argmax()) == pytest.approx(500, abs=2)


@pytest.mark.parametrize("sound", [True, False])
def test_it_decodes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: bool) -> None:
    more = ["sine=d=2"] if sound else []
    path = make(
        tmp_path / "v.mp4", *lavfi("testsrc=s=64x64:d=2", *more), "-c:v", "mpeg4", "-c:a", "aac"
    )
    commands: list[Any] = []
    popen: Callable[..., Any] = subprocess.Popen

    def count(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", count)
    content, _, _ = decode(path)
    assert (content.sound is not None) == sound
    assert len(commands) == 1


def test_samples_that_nobody_hears_are_not_kept(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mkv", *lavfi("testsrc=s=64x64:d=1", "sine=d=1"), "-c:v", "mpeg4")
    nobody = Recognition(ocr=False, speech=False, sound_tags=False)
    deaf = DecodeOptions(frame_size=32, recognition=nobody)
    content, _, arrays = decode(path, "video/x-matroska", deaf)
    assert content.sound is not None
    assert content.sound.samples_array is None
    assert len(arrays) == 2


def test_same_file_same_bytes(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", *lavfi("testsrc=d=4", "sine=d=4"), "-c:v", "mpeg4")
    first, second = (decode_video(path, "video/mp4", SMALL) for _ in range(2))
    assert first[0] == second[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_a_truncated_file_is_kept_up_to_the_damage(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mkv", 8)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    content, video, arrays = decode(path, "video/x-matroska")
    assert 2 < video.duration_s < 6
    assert_clock(video.whole, arrays)
    assert "of the 8.0 s announced" in content.notes[-1]
    (lost,) = content.rejects
    assert (lost.stage, lost.code) == ("decode", "corrupt")
    assert lost.second == pytest.approx(video.duration_s)


def test_the_cut_tail_of_an_mp4_costs_no_more_than_itself(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mp4", 8, "-movflags", "+faststart", "-g", "5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    content, video, arrays = decode(path)
    assert 4 < video.duration_s < 7.5
    assert_clock(video.whole, arrays, within_s=0.16)
    assert "of the 8.0 s announced" in content.notes[-1]
    (lost,) = content.rejects
    assert lost.second == pytest.approx(video.duration_s)


def test_a_last_slide_stays_as_long_as_announced(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mkv", *lavfi("testsrc=s=64x64:r=1/4:d=16"), "-c:v", "ffv1")
    content, video, arrays = decode(path, "video/x-matroska")
    assert video.duration_s == pytest.approx(16)
    assert video.whole.frame_times_s == (0, 4, 8, 12)
    assert arrays[video.whole.frames_array].shape[0] == 4
    assert not content.rejects


def test_a_change_of_size_in_the_middle_keeps_the_times(tmp_path: Path) -> None:
    parts = [
        clock_video(tmp_path / "a.ts", 3),
        clock_video(tmp_path / "b.ts", 6, "-vf", "trim=start=3,scale=64:48"),
    ]
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _, video, arrays = decode(path, "video/mp2t")
    assert_clock(video.whole, arrays, within_s=0.16)  # the codec blurs the clock


def test_a_container_without_a_picture_is_a_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4", *lavfi("sine=d=1"), "-c:a", "aac")
    content, arrays = decode_video(path, "video/mp4", SMALL)
    assert content.video is None
    assert content.sound is not None
    assert len(arrays) == 1


def test_neither_picture_nor_sound(tmp_path: Path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    path = make(tmp_path / "v.mkv", "-i", str(tmp_path / "s.srt"))
    with pytest.raises(NoContentError, match="no sound track"):
        decode_video(path, "video/x-matroska", SMALL)


@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile '{other}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    ],
)
@pytest.mark.parametrize(
    "media_type", ["video/mp4", "video/webm", "video/mp2t", "video/mpeg", "audio/mpeg", "audio/aac"]
)
def test_a_playlist_that_lies_opens_nothing(tmp_path: Path, media_type: str, script: str) -> None:
    other = tmp_path / "other.wav"
    os.mkfifo(other)  # opening it would hang
    path = tmp_path / "v"
    path.write_text(script.format(other=other))
    with pytest.raises((CorruptError, NoContentError)):
        decode_video(path, media_type, DecodeOptions(limits=Limits(decode_timeout_s=20)))


def running_ffmpegs() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "ffmpeg" in p.name()]


def test_it_ends_at_the_deadline_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mp4", 12)
    with pytest.raises(TimeoutExceededError, match="decode_timeout_s"):
        decode_video(path, "video/mp4", DecodeOptions(limits=Limits(decode_timeout_s=0.01)))
    assert running_ffmpegs() == []


def test_longer_than_allowed(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mp4", 8)
    with pytest.raises(LimitError, match="media_s"):
        decode_video(path, "video/mp4", DecodeOptions(limits=Limits(media_s=3)))
    assert running_ffmpegs() == []


def test_larger_than_allowed(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mp4", 1)
    with pytest.raises(LimitError, match=r"limits\.pixels"):
        decode_video(path, "video/mp4", DecodeOptions(limits=Limits(pixels=96 * 64 - 1)))


def test_frames_up_to_the_limit(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "v.mp4", 2)
    content, _ = decode_video(path, "video/mp4", DecodeOptions(limits=Limits(frames=50)))
    assert content.video is not None
    with pytest.raises(LimitError, match="frames = 49"):
        decode_video(path, "video/mp4", DecodeOptions(limits=Limits(frames=49)))
    assert running_ffmpegs() == []


def test_every_medium_that_is_decoded_has_a_demuxer() -> None:
    through_ffmpeg = {
        kind for kind, entry in DECODERS.items() if entry.split(":")[0].endswith(("audio", "video"))
    }
    assert through_ffmpeg == set(_DEMUXERS)


def collect(times_s: list[float], capacity: int, path: Path) -> tuple[FrameSink, list[float]]:
    """Send one frame for each time through real pipes."""
    sink = FrameSink(path, size=1, step_s=0.125, capacity=capacity, limits=Limits(media_s=1e9))
    for time_s in times_s:
        for reader, data in (
            (sink.times.read, f"frame:0 pts:0 pts_time:{time_s!r}\n".encode()),
            (sink.read, bytes(3)),
        ):
            out, into = os.pipe()
            os.write(into, data)
            reader(out)
            os.close(into)
            os.close(out)
    kept, frames = sink.frames()
    assert len(kept) == len(frames)
    return sink, [float(time_s) for time_s in kept]


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=60),
    st.integers(2, 20),
)
def test_kept_frames_are_bounded_and_evenly_spread(gaps_s: list[float], capacity: int) -> None:
    times_s = [float(time_s) for time_s in np.cumsum(gaps_s)]
    sink, kept = collect(times_s, capacity, Path("v"))
    assert len(kept) <= capacity
    assert sink.last_s == times_s[-1]
    by_step = {int(time_s / sink.step_s): time_s for time_s in reversed(times_s)}
    assert kept == sorted(by_step.values())


@given(
    st.lists(st.floats(0, 400), max_size=30),
    st.floats(0.04, 400),
    st.floats(10, 60),
    st.floats(0, 10),
)
def test_clips_cover_the_video(
    cuts_s: list[float], duration_s: float, clip_s: float, tail_s: float
) -> None:
    clips = clip_borders(cuts_s, duration_s, clip_s, tail_s)
    assert (clips[0][0], clips[-1][1]) == (0, duration_s)
    assert all(a[1] == b[0] for a, b in pairwise(clips))
    lengths = [end_s - start_s for start_s, end_s in clips]
    assert max(lengths) <= clip_s + tail_s + 1e-6
    assert len(clips) == 1 or min(lengths) >= tail_s - 1e-6
    assert min(lengths) > 0


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=50, unique=True),
    st.floats(0, 90),
    st.floats(0.1, 30),
    st.integers(1, 32),
)
def test_picked_frames_are_shown_in_their_span(
    times: list[float], start_s: float, length_s: float, count: int
) -> None:
    times_s = np.array(sorted(times))
    end_s = start_s + length_s
    indices = pick(times_s, (start_s, end_s), count, 0.125)
    assert 1 <= len(indices) <= count
    assert indices == sorted(set(indices))
    inside = [i for i in indices if start_s <= times_s[i] < end_s]
    before = [i for i in indices if times_s[i] < start_s]
    if any(start_s <= t < end_s for t in times_s):
        assert inside or before
    # At most one is from before: the one still shown at the start.
    assert len(before) <= 1
    assert all(i == 0 or times_s[i] < end_s for i in indices)
