"""Samples at the rate of a model: the same sound, nothing added."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content import SAMPLE_RATE_HZ
from stages.embed.resample import resampled


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    at = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.round(16_384 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_a_tone_stays_what_it_is(rate):
    found = resampled(tone(1_000), rate)
    assert (found.dtype, len(found)) == (np.float32, rate)
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(rate) / rate)
    middle = slice(rate // 10, -rate // 10)
    assert np.abs(found[middle] - expected[middle]).max() < 0.01


def test_what_a_lower_rate_cannot_have_is_gone():
    assert np.abs(resampled(tone(7_000), 8_000)[500:-500]).max() < 0.02


@given(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=1, max_size=50))
def test_at_its_own_rate_every_sample_stays(values):
    samples = np.array(values, np.int16)
    assert (resampled(samples, SAMPLE_RATE_HZ) * 32_768).tolist() == values
    assert len(resampled(samples, 48_000)) == 3 * len(values)
