from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schemas.config import Limits, Recognition
from schemas.errors import (
    CorruptError,
    LimitError,
    MissingExtraError,
    NoContentError,
    UnsupportedError,
)
from stages.decode import _ffmpeg
from stages.decode.audio import decode_audio
from stages.decode.options import DecodeOptions
from stages.decode.sniff import sniff
from tests.unit.stages.decode import rare_sounds
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import SoundContent

OPTIONS = DecodeOptions()
# One second of tone, one of nothing, one of tone.
BEEPS = "aevalsrc=0.5*sin(2*PI*1000*t)*(lt(t\\,1)+gt(t\\,2)):d=3:s=44100:c=stereo"


def decode(path: Path, media_type: str) -> tuple[SoundContent, np.ndarray]:
    content, arrays = decode_audio(path, media_type, OPTIONS)
    assert content.sound is not None
    assert content.sound.samples_array == 0
    (samples,) = arrays
    return content.sound, samples


@pytest.mark.parametrize(
    ("suffix", "media_type"),
    [
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("aiff", "audio/aiff"),
        ("au", "audio/basic"),
        ("caf", "audio/x-caf"),
        ("ogg", "audio/ogg"),
        ("m4a", "audio/mp4"),
        ("aac", "audio/aac"),
        ("ac3", "audio/ac3"),
        ("mka", "audio/x-matroska"),
        ("wma", "audio/x-ms-wma"),
        ("tta", "audio/x-tta"),
        ("wv", "audio/x-wavpack"),
        ("w64", "audio/x-w64"),
        ("voc", "audio/x-voc"),
        ("sox", "audio/x-sox"),
        ("dts", "audio/vnd.dts"),
        ("mlp", "audio/vnd.dolby.mlp"),
        ("thd", "audio/x-truehd"),
        ("mp2", "audio/mpeg"),
        ("opus", "audio/ogg"),
    ],
)
def test_any_container_gives_16_khz_mono(tmp_path: Path, suffix: str, media_type: str) -> None:
    codec = ["-c:a", "flac"] if suffix == "ogg" else []
    path = make(tmp_path / f"a.{suffix}", *lavfi(BEEPS), *codec, "-strict", "-2")
    assert sniff(path, "") == media_type
    sound, samples = decode(path, media_type)
    assert samples.dtype == np.int16
    assert sound.duration_s == len(samples) / 16000 == pytest.approx(3, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[2000:10000]))
    assert int(spectrum.argmax()) * 2 == pytest.approx(1000, abs=4)
    (silence,) = [(a, b) for a, b in sound.silences if b < 2.9]
    assert silence == pytest.approx((1, 2), abs=0.15)


def test_formats_that_ffmpeg_only_reads(tmp_path: Path) -> None:
    for made, media_type in (
        (rare_sounds.nist, "audio/x-nist"),
        (rare_sounds.amiga, "audio/x-8svx"),
    ):
        path = tmp_path / media_type[6:]
        made(path)
        assert sniff(path, "") == media_type
        sound, samples = decode(path, media_type)
        assert sound.duration_s == pytest.approx(2, abs=0.01)
        spectrum = np.abs(np.fft.rfft(samples[2000:10000].astype(float)))
        assert int(spectrum.argmax()) * 2 == 1000


@pytest.mark.parametrize("name", ["amr", "ape", "dff", "dsf", "musepack", "tak"])
def test_formats_of_which_only_silence_is_made(tmp_path: Path, name: str) -> None:
    path = tmp_path / "sound"
    getattr(rare_sounds, name)(path)
    sound, samples = decode(path, sniff(path, ""))
    assert sound.duration_s == pytest.approx(1, abs=0.2)
    assert (
        np.abs(samples[2000:-2000]).max() < 400
    )  # of 32,767; a decoder of speech makes a little noise


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 96000, 192000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1"])
def test_channels_and_sample_rates(tmp_path: Path, rate: int, layout: str) -> None:
    tone = f"sine=f=1000:r={rate}:d=1,volume=18dB,aformat=channel_layouts={layout}"
    path = make(tmp_path / "a.wav", *lavfi(tone))
    sound, samples = decode(path, "audio/wav")
    assert sound.duration_s == pytest.approx(1, abs=0.01)
    spectrum = np.abs(np.fft.rfft(samples[4000:12000].astype(float)))
    assert int(spectrum.argmax()) * 2 == pytest.approx(1000, abs=4)
    assert np.abs(samples).max() > 3000


def test_one_channel_of_many_is_heard(tmp_path: Path) -> None:
    left = "sine=f=500:d=1,volume=18dB,pan=stereo|c0=c0|c1=0*c0"
    _, samples = decode(make(tmp_path / "a.wav", *lavfi(left)), "audio/wav")
    assert np.abs(samples).max() > 1000


def test_silence_is_one_pause(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *lavfi("anullsrc=d=2"), "-t", "2")
    sound, samples = decode(path, "audio/wav")
    assert not samples.any()
    assert sound.silences == ((0.0, 2.0),)


def test_tags_and_cover(tmp_path: Path) -> None:
    cover = make(tmp_path / "c.png", *lavfi("color=s=32x32"), "-frames:v", "1")
    path = make(
        tmp_path / "a.flac",
        *["-i", str(cover)],
        *lavfi("sine=d=1"),
        *["-map", "1", "-map", "0", "-c:v", "copy", "-disposition:v", "attached_pic"],
        *["-metadata:s:v", "comment=Cover (front)"],
        *["-metadata", "title=A  song\nof mills", "-metadata", "artist=Ü", "-metadata", "x=y"],
    )
    content, arrays = decode_audio(path, "audio/flac", OPTIONS)
    assert content.title == "A song"
    assert content.video is None
    assert content.sound is not None
    assert content.sound.metadata == (("artist", "Ü"), ("title", "A song"))
    assert len(arrays) == 1


def test_a_film_in_a_sound_container_is_a_video(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", *lavfi("testsrc=s=64x64:d=1", "sine=d=1"), "-c:v", "mpeg4")
    content, _ = decode_audio(path, "audio/mp4", OPTIONS)
    assert content.video is not None
    assert content.sound is not None


def test_a_truncated_recording_is_kept_up_to_the_damage(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac", *lavfi("anoisesrc=d=8:r=16000"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    content, (samples,) = decode_audio(path, "audio/flac", OPTIONS)
    assert len(samples) / 16000 == pytest.approx(4, abs=0.6)
    assert "of the 8.0 s announced" in content.notes[-1]
    assert content.rejects[0].code == "corrupt"


def test_notes_do_not_depend_on_the_place_of_the_file(tmp_path: Path) -> None:
    path = make(tmp_path / "a.m4a", *lavfi("anoisesrc=d=2:r=16000:seed=1"), "-c:a", "aac")
    data = bytearray(path.read_bytes())
    data[3000:9000] = np.random.default_rng(0).bytes(6000)
    notes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        copy = tmp_path / name / "a.m4a"
        copy.write_bytes(data)
        notes.append(decode_audio(copy, "audio/mp4", OPTIONS)[0].notes)
    assert notes[0] == notes[1]
    assert notes[0][0].startswith("ffmpeg reported: ")


def test_no_samples_without_a_listener(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *lavfi("sine=d=1"))
    deaf = DecodeOptions(recognition=Recognition(speech=False, sound_tags=False))
    content, arrays = decode_audio(path, "audio/wav", deaf)
    assert content.sound is not None
    assert content.sound.samples_array is None
    assert arrays == ()


def test_no_sound_track(tmp_path: Path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    path = make(tmp_path / "a.mkv", "-i", str(tmp_path / "s.srt"))
    with pytest.raises(NoContentError, match="no sound track"):
        decode_audio(path, "audio/x-matroska", OPTIONS)


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVE", b"\xff" * 5000, b"fLaC" + bytes(100)])
def test_nothing_in_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    for media_type in ("audio/wav", "audio/flac", "audio/mp4"):
        with pytest.raises((CorruptError, NoContentError)):
            decode_audio(path, media_type, OPTIONS)


def test_longer_than_allowed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", *lavfi("sine=d=3"))
    with pytest.raises(LimitError, match="media_s") as caught:
        decode_audio(path, "audio/wav", DecodeOptions(limits=Limits(media_s=2)))
    assert caught.value.second == 2


def test_a_name_is_never_an_option_or_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("-i.wav", "http:x.wav", "a%d'b\".wav"):
        source = make(tmp_path / "plain.wav", *lavfi("sine=d=1"))
        path = source.rename(tmp_path / name)
        monkeypatch.chdir(tmp_path)
        sound, _ = decode(type(path)(name), "audio/wav")
        assert sound.duration_s == 1


def test_not_for_ffmpeg(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text")
    with pytest.raises(UnsupportedError, match="text/plain"):
        decode_audio(tmp_path / "a", "text/plain", OPTIONS)


def test_the_package_is_the_second_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ffmpeg.shutil, "which", lambda _: None)
    found = _ffmpeg.find_ffmpeg.__wrapped__()
    assert "imageio_ffmpeg" in found

    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(_ffmpeg.imageio_ffmpeg, "get_ffmpeg_exe", none)
    with pytest.raises(MissingExtraError, match="apt install ffmpeg"):
        _ffmpeg.find_ffmpeg.__wrapped__()
