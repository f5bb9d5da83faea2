from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas.manifest import CurvePoint
from stages.index.curve import best_points, draw_curve


def point(recall: float, latency_ms: float, **search: int) -> CurvePoint:
    return CurvePoint(search, recall, latency_ms, 2 * latency_ms, 1.0)


points = st.builds(
    point,
    st.floats(0, 1),
    st.floats(0, 1e6),
    nprobe=st.integers(1, 1000),
    rescore=st.integers(0, 64),
)


@given(st.lists(points, min_size=1, max_size=30), st.floats(0, 1))
def test_everything_lies_within_the_drawing(curve: list[CurvePoint], target: float):
    svg = etree.fromstring(draw_curve(curve, curve[0].search, target))

    width, height = map(int, svg.attrib["viewBox"].split()[2:])
    dots = list(svg.iter("circle"))
    assert len(dots) >= len(curve)
    assert all(0 <= float(dot.attrib["cx"]) <= width for dot in dots)
    assert all(0 <= float(dot.attrib["cy"]) <= height for dot in dots)
    for text in svg.iter("text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height


@given(st.lists(points, min_size=1, max_size=30))
def test_the_line_rises(curve: list[CurvePoint]):
    best = best_points(curve)

    assert [p.latency_ms_p50 for p in best] == sorted({p.latency_ms_p50 for p in best})
    assert [p.recall_at_10 for p in best] == sorted({p.recall_at_10 for p in best})
    assert max(p.recall_at_10 for p in curve) == best[-1].recall_at_10


def test_faster_and_more_is_up_and_to_the_left():
    svg = etree.fromstring(draw_curve([point(0.5, 1.0, nprobe=1), point(0.9, 10.0, nprobe=9)], {}))
    first, second = svg.iter("circle")

    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) > float(second.attrib["cy"])


def test_names_are_escaped_wherever_they_stand():
    curve = [point(0.5, 1.0, **{'"><script>': 1}), point(0.9, 2.0, **{'"><script>': 2})]
    drawn = draw_curve(curve, curve[0].search, 0.95)

    assert "<script" not in drawn
    etree.fromstring(drawn)
