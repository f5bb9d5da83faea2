"""Cuts: from scores, and in videos whose cuts are known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Recognition
from stages.decode._scenes import ScoreSink, find_cuts
from stages.decode.options import DecodeOptions
from stages.decode.video import decode_video
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

BARE = DecodeOptions(frame_size=32, recognition=Recognition(ocr=False))


def cuts(*scored: tuple[float, float]) -> tuple[float, ...]:
    times_s, scores = np.array(scored, dtype=float).reshape(-1, 2).T
    return find_cuts(times_s, scores)


def test_a_large_change_is_a_cut_and_a_small_one_is_not() -> None:
    assert cuts((1.0, 30.0), (5.0, 2.0)) == (1.0,)
    assert cuts() == ()


def test_a_medium_change_is_a_cut_where_nothing_else_moves() -> None:
    assert cuts((1.0, 5.0), (9.0, 5.0)) == (1.0, 9.0)
    camera = [(i / 25, 4.0 + i % 3) for i in range(100)]
    assert cuts(*camera) == ()


scores = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=60, unique_by=lambda pair: pair[0]
)


@given(scores)
def test_cuts_are_frames_in_order_each_once(pairs: list[tuple[float, float]]) -> None:
    pairs.sort()
    found = cuts(*pairs)
    assert list(found) == sorted(set(found))
    assert set(found) <= {time_s for time_s, score in pairs if score > 2}
    assert set(found) >= {time_s for time_s, score in pairs if score >= 10}


def test_scores_come_through_a_pipe_in_pieces() -> None:
    text = b"".join(
        f"frame:{i}    pts:{i}      pts_time:{time_s}\nlavfi.scd.score={score}\n".encode()
        for i, (time_s, score) in enumerate([(8.0, 44.5), (2.5, 31.0), (2.54, 1.5)])
    )
    sink = ScoreSink()
    for piece in (text[:31], text[31:60], text[60:], b""):
        out, into = os.pipe()
        os.write(into, piece)
        os.close(into)
        assert sink.read(out) == bool(piece)
        os.close(out)
    assert sink.cuts_s() == (2.5, 8.0)


@pytest.mark.parametrize("rate", [5, 25])
def test_drawings_on_white_that_follow_each_other_are_scenes(tmp_path: Path, rate: int) -> None:
    # A box of a tenth of the picture changes its place and colour: little differs, but all at once.
    boxes = [
        f"color=white:s=320x240:r={rate}:d=6,drawbox=x={x}:y=60:w=90:h=90:c={colour}:t=fill"
        for x, colour in ((20, "black"), (200, "red"), (110, "gray"))
    ]
    path = make(
        tmp_path / "v.mp4", *lavfi(*boxes), "-filter_complex", "concat=n=3", "-c:v", "mpeg4"
    )
    video = decode_video(path, "video/mp4", BARE)[0].video
    assert video is not None
    assert video.scene_cuts_s == pytest.approx((6, 12), abs=0.001)


def test_a_moving_picture_is_one_scene(tmp_path: Path) -> None:
    # A camera that goes over a fine pattern: every frame differs from the one before.
    graph = "mandelbrot=s=320x240:r=25:end_scale=0.003,trim=duration=6"
    path = make(tmp_path / "v.mp4", *lavfi(graph), "-c:v", "mpeg4", "-q:v", "3")
    video = decode_video(path, "video/mp4", BARE)[0].video
    assert video is not None
    assert video.scene_cuts_s == ()
