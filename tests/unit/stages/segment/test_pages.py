"""Pages and regions as units."""

from __future__ import annotations

import numpy as np

from schemas.content import Content, PageContent, RegionContent
from schemas.partition import PAGE_PAGE, PAGE_REGION
from schemas.pixels import hash_pixels
from stages.segment.options import SegmentOptions
from stages.segment.pages import segment_pages

ARRAYS = tuple(np.full((1, 8, 8, 3), value, np.uint8) for value in range(3))
CONTENT = Content(
    "application/pdf",
    title="Mills",
    pages=(PageContent(1, 595, 842, "The wheel", 0), PageContent(2, 595, 842, "", 1)),
    regions=(
        RegionContent("figure", 2, (1.0, 2.0, 30.0, 40.0), "Fig. 1", 2),
        RegionContent("table", 9, (1.0, 2.0, 30.0, 40.0), "", 2),
    ),
)


def units(content=CONTENT):
    return segment_pages("s" * 32, content, ARRAYS, SegmentOptions())


def test_one_unit_a_page_with_its_text_title_and_pixels():
    first, second, *_ = units()
    assert first.partition == second.partition == PAGE_PAGE
    assert (first.locator.page, first.text, first.context) == (1, "The wheel", "Mills")
    assert (first.pixels_array, first.pixels_hash) == (0, hash_pixels(ARRAYS[0]))
    assert (second.locator.page, second.text, second.embedded_text) == (2, "", "")


def test_one_unit_a_region_that_knows_its_page():
    _, page, figure, stray = units()
    assert figure.partition == PAGE_REGION
    assert figure.locator.as_dict() == {"page": 2, "bbox": [1.0, 2.0, 30.0, 40.0]}
    assert (figure.text, figure.attributes, figure.pixels_array) == (
        "Fig. 1",
        {"kind": "figure"},
        2,
    )
    assert figure.parent_id == page.unit_id
    assert stray.parent_id == ""  # its page was lost
    assert len({unit.unit_id for unit in units()}) == 4


def test_no_pages_no_units():
    assert units(Content("application/pdf")) == []
