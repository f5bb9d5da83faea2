"""The sound of units that are known: the very samples that they were cut by."""

from __future__ import annotations

import wave
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import CorruptError, LimitError, UnsupportedError
from schemas.sound import MAX_SOUND_S, SoundSpan, sound_span
from schemas.unit import Locator
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode, decode_sounds
from stages.decode.sounds import read_sounds
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = DecodeOptions(frame_size=32)
LENGTH_S = 60
SPANS = (SoundSpan(31_234, 40_001), SoundSpan(40_001, 55_000), SoundSpan(33_000, 33_001))
TYPES = {
    "a.wav": "audio/wav",
    "a.flac": "audio/flac",
    "a.mp3": "audio/mpeg",
    "a.m4a": "audio/mp4",
    "a.ogg": "audio/ogg",
    "a.opus": "audio/ogg",
}
LOSSLESS = ("a.wav", "a.flac")

times = st.floats(0, 10_000, allow_nan=False)


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    samples = np.random.default_rng(5).normal(0, 3000, LENGTH_S * SAMPLE_RATE_HZ).astype("<i2")
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def cut(samples: np.ndarray, span: SoundSpan) -> np.ndarray:
    return samples[span.start_ms * 16 : span.end_ms * 16]


@given(st.lists(times, min_size=2, max_size=8).map(sorted))
def test_spans_side_by_side_have_every_sample_once(borders):
    places = [Locator(start_s=a, end_s=b) for a, b in pairwise(borders) if b - a <= MAX_SOUND_S]
    spans = [sound_span(place) for place in places]
    # What a lake gives back of a place gives the same span.
    assert [sound_span(Locator(**place.as_dict())) for place in places] == spans
    for place, span in zip(places, spans, strict=True):
        assert abs(span.start_ms / 1000 - place.start_s) <= 0.001
        assert span.seconds <= MAX_SOUND_S
    for before, after in pairwise(spans):
        assert before.end_ms <= after.start_ms


@given(st.integers(0, 50), st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 60_000))
def test_a_cut_has_16_samples_a_millisecond_as_far_as_there_are_any(begin_s, start, length, there):
    samples = np.arange(there, dtype=np.int64).astype(np.int16)
    span = SoundSpan(1000 * begin_s + start, 1000 * begin_s + start + length)
    found = span.cut(samples, begin_s)
    assert len(found) == max(0, min(16 * (start + length), there) - 16 * start)
    assert found.tolist() == samples[16 * start :][: 16 * length].tolist()
    assert not np.shares_memory(found, samples)


def test_what_is_longer_than_is_embedded_is_refused():
    sound_span(Locator(start_s=1.0, end_s=1.0 + MAX_SOUND_S))
    with pytest.raises(LimitError, match="a segment of 121 s is not embedded as sound"):
        sound_span(Locator(start_s=0.0, end_s=MAX_SOUND_S + 1.0))


@pytest.mark.parametrize("name", TYPES)
def test_they_are_the_samples_that_decoding_gave(noise, tmp_path, name):
    path = make(tmp_path / name, "-i", str(noise), *(["-b:a", "64k"] if name != "a.wav" else []))
    _, (samples,) = decode(path, path.suffix[1:], OPTIONS)
    found = decode_sounds(path, path.suffix[1:], OPTIONS, 30, SPANS)
    for sound, span in zip(found, SPANS, strict=True):
        assert sound.dtype == np.int16
        assert sound.tolist() == cut(samples, span).tolist()


@pytest.mark.parametrize("name", TYPES)
def test_they_are_found_by_seeking_too(noise, tmp_path, name):
    path = make(tmp_path / name, "-i", str(noise), *(["-b:a", "64k"] if name != "a.wav" else []))
    _, (samples,) = decode(path, path.suffix[1:], OPTIONS)
    for sound, span in zip(
        read_sounds(path, TYPES[name], OPTIONS, 30, SPANS[:2]), SPANS[:2], strict=True
    ):
        whole = cut(samples, span)
        assert len(sound) == len(whole)
        if name in LOSSLESS:
            assert sound.tolist() == whole.tolist()
        assert np.corrcoef(sound, whole)[0, 1] > 0.99


@pytest.mark.parametrize("default", [0, 1])
def test_of_a_film_the_track_that_is_heard_at_its_clock(tmp_path, default):
    film = make(
        tmp_path / "v.mkv",
        *lavfi("testsrc=s=64x64:d=6:r=10"),
        *["-itsoffset", "1.5", *lavfi("sine=500:d=4")],
        *["-itsoffset", "0.7", *lavfi("sine=3000:d=4")],
        *["-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "flac"],
        *["-disposition:a:0", "0", "-disposition:a:1", "0", f"-disposition:a:{default}", "default"],
    )
    content, arrays = decode(film, "mkv", OPTIONS)
    assert content.sound is not None
    samples = arrays[content.sound.samples_array]
    spans = (SoundSpan(0, 2_000), SoundSpan(2_000, 5_400))
    for sound, span in zip(decode_sounds(film, "mkv", OPTIONS, 0, spans), spans, strict=True):
        assert sound.any()
        assert sound.tolist() == cut(samples, span).tolist()


def test_what_lies_behind_the_end_is_empty(noise):
    beyond = (SoundSpan(59_500, 61_000), SoundSpan(70_000, 71_000))
    half, none = decode_sounds(noise, "wav", OPTIONS, 0, beyond)
    assert (len(half), len(none)) == (8_000, 0)


def test_what_has_no_sound_is_refused(tmp_path):
    silent = make(tmp_path / "v.mp4", *lavfi("testsrc=s=64x64:d=1:r=10"))
    with pytest.raises(CorruptError):
        decode_sounds(silent, "mp4", OPTIONS, 0, SPANS)
    text = tmp_path / "a.txt"
    text.write_text("no sound")
    with pytest.raises(UnsupportedError, match="not read through ffmpeg"):
        decode_sounds(text, "txt", OPTIONS, 0, SPANS)
