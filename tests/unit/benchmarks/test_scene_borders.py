"""The measurement of cuts, on a folder with one composed video."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scene_borders import matched, measure
from schemas.errors import ConfigError
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nearest_are_matched_each_once() -> None:
    assert matched([1.0, 2.0, 9.0], [1.9, 2.1, 5.0]) == [(2.0, 1.9)]
    assert matched([1.0, 1.4], [1.3]) == [(1.4, 1.3)]
    assert matched([], [1.0]) == matched([1.0], []) == []


times = st.lists(st.integers(0, 100).map(lambda tenths: tenths / 10), max_size=12, unique=True)


@given(times, times)
def test_pairs_are_near_and_use_each_time_once(known: list[float], found: list[float]) -> None:
    pairs = matched(known, found)
    assert all(abs(a - b) <= 0.5 for a, b in pairs)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


def test_a_composed_video(tmp_path: Path) -> None:
    colours = [f"color={name}:s=64x64:r=10:d=6" for name in ("red", "blue", "lime", "lime")]
    make(tmp_path / "v.mp4", *lavfi(*colours), "-filter_complex", "concat=n=4", "-c:v", "mpeg4")
    scenes = [{"t": [start, start + 6]} for start in (0, 6.1, 12, 18)]
    lines = [{"path": "v.mp4", "scenes": scenes}, {"path": "other.png"}]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    figures = measure(tmp_path).figures()
    assert (figures["cuts"], figures["found"], figures["precision"]) == (3, 2, 1.0)
    assert figures["recall"] == pytest.approx(0.667)
    assert figures["largest_error_s"] == pytest.approx(0.1)
    assert figures["missed"] == ["v.mp4 18.00"]
    assert figures["right_clip_borders"] == 1.0


def test_a_folder_without_any(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.png"}\n')
    with pytest.raises(ConfigError, match="no composed video"):
        measure(tmp_path)
