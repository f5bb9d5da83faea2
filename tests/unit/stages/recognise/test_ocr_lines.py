"""From what OCR finds to lines: order, skew, pages that are turned, and lines found in parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from stages.recognise._ocr_lines import Piece, are_sideways, confidence, lines_of, turned
from stages.recognise.ocr import OcrReader, text_of

SIZE = (1000, 800)


def corners(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def piece(text, x0, y0, x1, y1, score=0.95):
    return Piece(text, corners(x0, y0, x1, y1), score)


def skewed(found, degrees):
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [Piece(p.text, (p.corners - 400) @ matrix + 400, p.score) for p in found]


COLUMNS = [
    piece(f"{name} {row}", x, 100 + 24 * row, x + 330, 120 + 24 * row)
    for row in range(12)
    for name, x in (("left", 40), ("right", 410))
]
ORDER = [f"{name} {row}" for name in ("left", "right") for row in range(12)]


@pytest.mark.parametrize("degrees", [0, -2.5, -1, 0.5, 1, 2.5])
def test_columns_of_a_skewed_page_are_read_one_after_the_other(degrees):
    assert [line.text for line in lines_of(skewed(COLUMNS, degrees), 0, SIZE)] == ORDER


@given(st.permutations(COLUMNS))
def test_the_order_found_does_not_matter(found):
    assert [line.text for line in lines_of(found, 0, SIZE)] == ORDER


@given(st.integers(0, 3), st.integers(0, 700), st.integers(0, 900))
def test_turned_points_are_where_numpy_turns_them(quarters, x, y):
    picture = np.zeros((1000, 800), bool)
    picture[y, x] = True
    (row,), (column,) = np.nonzero(np.rot90(picture, quarters))
    middle = turned(np.array([x + 0.5, y + 0.5]), quarters, picture.shape)
    assert tuple(middle) == (column + 0.5, row + 0.5)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_lines_of_a_turned_page_are_read_in_its_own_order(quarters):
    height, width = SIZE
    flat = (width, height) if quarters % 2 else (height, width)
    back = [Piece(p.text, turned(p.corners, 4 - quarters, SIZE), p.score) for p in COLUMNS]
    lines = lines_of(back, quarters, flat)
    assert [line.text for line in lines] == ORDER
    assert lines[0].box == tuple(
        float(v) for v in (*back[0].corners.min(axis=0), *back[0].corners.max(axis=0))
    )


def test_parts_of_a_line_are_put_together_and_columns_are_not():
    found = [
        piece("grain", 300, 101, 360, 121),
        piece("the last of the", 100, 100, 290, 120),
        piece("another column", 420, 100, 600, 120),
    ]
    assert [line.text for line in lines_of(found, 0, SIZE)] == [
        "the last of the grain",
        "another column",
    ]


def test_pages_on_their_side_are_seen_by_their_tall_pieces():
    tall = [piece("a line that is long", 40 + 30 * i, 100, 60 + 30 * i, 700) for i in range(6)]
    assert are_sideways([*tall, piece("stamp", 0, 0, 60, 20)])
    assert not are_sideways(COLUMNS)
    assert not are_sideways(tall[:3])  # a sign in a photograph


def test_little_text_is_never_doubted():
    assert confidence([piece("x", 0, 0, 9, 9, 0.1)]) == 1.0
    assert confidence([piece("xy", 0, 0, 9, 9, 0.5)] * 6) == pytest.approx(0.5)


SENTENCES = (
    "The miller opens the sluice at dawn",
    "and the wheel begins to turn slowly",
    "while the grain runs from the hopper",
    "into the eye of the stone and leaves",
    "it as warm flour that is sifted twice",
    "before it is filled into new sacks.",
)


def page():
    image = Image.new("L", (900, 460), 255)
    for i, line in enumerate(SENTENCES):
        ImageDraw.Draw(image).text((60, 50 + 58 * i), line, fill=0, font=ImageFont.load_default(36))
    return image


@pytest.mark.slow
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_scan_on_its_side_or_on_its_head_is_read(quarters):
    pixels = np.rot90(np.asarray(page()), quarters)[:, :, None]
    assert text_of(OcrReader().read(np.ascontiguousarray(pixels))) == " ".join(SENTENCES)


@pytest.mark.slow
def test_a_skewed_scan_is_read_in_order():
    pixels = np.asarray(page().rotate(2, Image.Resampling.BICUBIC, fillcolor=255))[:, :, None]
    assert text_of(OcrReader().read(pixels)) == " ".join(SENTENCES)
