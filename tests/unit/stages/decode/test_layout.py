"""Reading order and the joining of lines."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from stages.decode import layout
from stages.decode.layout import (
    clean_text,
    in_reading_order,
    join_lines,
    reading_order,
    share_inside,
)

coordinate = st.integers(0, 600).map(float)
boxes = st.lists(
    st.tuples(coordinate, coordinate, st.integers(1, 200), st.integers(1, 50)).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=30,
)


def test_examples_in_docstrings():
    assert doctest.testmod(layout).failed == 0


@given(boxes, st.floats(0, 50))
def test_every_box_is_read_once(found, gutter):
    assert sorted(reading_order(found, gutter)) == list(range(len(found)))


@given(boxes)
def test_order_does_not_depend_on_the_order_of_arrival(found):
    turned = found[::-1]
    forward = [found[i] for i in reading_order(found, 10)]
    assert forward == [turned[i] for i in reading_order(turned, 10)]


def test_a_band_across_separates_columns_above_and_below():
    left_top, right_top = (0.0, 0.0, 90.0, 40.0), (110.0, 0.0, 200.0, 40.0)
    band = (0.0, 50.0, 200.0, 60.0)
    left, right = (0.0, 70.0, 90.0, 110.0), (110.0, 70.0, 200.0, 110.0)
    given_order = [right, band, left_top, left, right_top]
    assert [given_order[i] for i in reading_order(given_order, 10)] == [
        left_top,
        right_top,
        band,
        left,
        right,
    ]


def test_paragraphs_that_end_level_in_two_columns_do_not_interleave():
    column = [(0.0, 0.0, 90.0, 40.0), (0.0, 50.0, 90.0, 90.0)]
    other = [(110.0, 0.0, 200.0, 40.0), (110.0, 50.0, 200.0, 90.0)]
    assert reading_order([*other, *column], 10) == [2, 3, 0, 1]


def test_going_up_without_going_right_is_out_of_order():
    low, high, right = (0.0, 100.0, 50.0, 120.0), (0.0, 0.0, 50.0, 20.0), (60.0, 0.0, 99.0, 20.0)
    assert in_reading_order([high, low, right])
    assert not in_reading_order([low, high])


@given(st.text(max_size=50))
def test_clean_text_is_a_fixed_point_of_single_blanks(text):
    cleaned = clean_text(text)
    assert "  " not in cleaned
    assert clean_text(cleaned) == cleaned


def test_ligatures_and_soft_hyphens():
    assert clean_text("e\ufb03cient \t \ufb02our") == "efficient flour"
    assert join_lines(["mill\u00ad", "stone", "and non-", "Latin"]) == "millstone and non-Latin"


def test_share_inside():
    assert share_inside((0, 0, 10, 10), (5, 0, 20, 20)) == 0.5
    assert share_inside((1, 1, 1, 9), (0, 0, 4, 10)) == 1.0


def by_splitting(items, boxes, gutter):
    """X-Y cuts as they are defined, with the most bands that form columns looked for from below."""

    def split(items, axis, gap):
        groups, end = [], float("-inf")
        for i in sorted(items, key=lambda i: (boxes[i][axis], i)):
            if boxes[i][axis] > end + gap or not groups:
                groups.append([])
            groups[-1].append(i)
            end = max(end, boxes[i][axis + 2])
        return groups

    def joined(bands):
        return [i for band in bands for i in band]

    if len(items) < 2:
        return items
    parts = split(items, 0, gutter)
    if len(parts) > 1:
        return joined(by_splitting(part, boxes, gutter) for part in parts)
    bands = split(items, 1, 0.0)
    if len(bands) == 1:
        return sorted(items, key=lambda i: (boxes[i][1], *boxes[i]))
    counts = range(len(bands) - 1, 1, -1)
    fitting = (n for n in counts if len(split(joined(bands[:n]), 0, gutter)) > 1)
    head = next(fitting, 1)
    halves = (joined(bands[:head]), joined(bands[head:]))
    return joined(by_splitting(half, boxes, gutter) for half in halves)


@given(
    st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 30)] * 2), max_size=16),
    st.sampled_from([0.0, 2.0, 9.0]),
)
def test_cuts_are_those_of_the_definition(places, gutter):
    boxes = [(x, y, x + w, y + h) for x, y, w, h in places]
    assert reading_order(boxes, gutter) == by_splitting(list(range(len(boxes))), boxes, gutter)
