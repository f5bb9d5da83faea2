from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.recognise._windows import LONGEST_S, blocks, join, windows
from tests.unit.stages.recognise.voices import HERTZ, noise, tour


@settings(max_examples=20)
@given(st.integers(0, 1_500), st.integers(0, 5))
def test_blocks_are_the_whole_recording(seconds: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-99, 99, seconds * 1600, dtype=np.int16)
    samples = np.repeat(values, 10)
    found = list(blocks(samples))
    assert np.array_equal(np.concatenate([samples[:0], *(block for _, block in found)]), samples)
    assert all(len(block) <= 300 * HERTZ for _, block in found)
    assert all(np.shares_memory(block, samples[start:]) for start, block in found)


def test_blocks_are_cut_where_it_is_quiet() -> None:
    samples = noise(400, 1000)
    quiet = slice(285 * HERTZ, 286 * HERTZ)
    samples[quiet] = 0
    (_, _), (start, _) = blocks(samples)
    assert quiet.start <= start <= quiet.stop


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0.1, LONGEST_S)), max_size=40))
def test_joined_spans_fit_into_a_window_and_none_is_lost(steps: list[tuple[float, float]]) -> None:
    spans, at = [], 0
    for gap_s, length_s in steps:
        start = at + int(gap_s * HERTZ)
        at = start + int(length_s * HERTZ)
        spans.append((start, at))
    groups = join(spans)
    assert [span for group in groups for span in group] == spans
    assert all(group[-1][1] - group[0][0] <= LONGEST_S * HERTZ for group in groups)
    gaps = [b[0] - a[1] for group in groups for a, b in pairwise(group)]
    assert max(gaps, default=0) <= 2 * HERTZ


@pytest.mark.parametrize(
    ("gaps_s", "sizes"), [([0.5, 0.5], [3]), ([2.5, 0.5], [1, 2]), ([0.5, 9.0, 9.0], [2, 1, 1])]
)
def test_a_long_silence_parts_windows(gaps_s: list[float], sizes: list[int]) -> None:
    spans = [(0, HERTZ)]
    for gap_s in gaps_s:
        start = spans[-1][1] + int(gap_s * HERTZ)
        spans.append((start, start + HERTZ))
    assert [len(group) for group in join(spans)] == sizes


def test_windows_hold_the_speech_and_little_else() -> None:
    spoken = tour()
    samples = np.concatenate([noise(20, 30), spoken, noise(20, 30)])
    found = windows(samples, 5 * HERTZ)
    assert sum(window.length_s for window in found) == pytest.approx(len(spoken) / HERTZ, abs=2)
    assert found[0].start_s == pytest.approx(25, abs=1)
    for window in found:
        first = round((window.start_s - 5) * HERTZ)
        same = samples[first : first + len(window.audio)] / np.float32(32768)
        assert np.array_equal(window.audio, same.astype(np.float32))
        assert 0 < window.spoken_s <= window.length_s + 0.01


def test_no_speech_no_window() -> None:
    assert windows(np.zeros(0, np.int16)) == []
    assert windows(noise(15, 500)) == []
