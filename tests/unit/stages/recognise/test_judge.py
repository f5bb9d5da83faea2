"""Doubts decided by what is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.content import Block, Content, Doubt, PageContent, RegionContent, TableData
from stages.recognise._judge import in_points, judge
from stages.recognise.layout import Seen

BOX = (100.0, 100.0, 300.0, 200.0)
TABLE = TableData("", ("a", "b"), (("1", "2"),), 1, BOX, header_rows=(("a", "b"),))
REGION = RegionContent("table", 1, BOX, "", 1)
TEXT = Block("paragraph", "a b 1 2", page=1, bbox=BOX)
ABOVE = Block("paragraph", "above", page=1, bbox=(100, 20, 300, 60))
BELOW = Block("paragraph", "below", page=1, bbox=(100, 220, 300, 260))
BESIDE = Block("paragraph", "beside", page=1, bbox=(320, 20, 500, 400))
NEXT = Block("paragraph", "next", page=2, bbox=(100, 20, 300, 60))


def content_of(*doubts, blocks=(ABOVE, BELOW, BESIDE, NEXT), **fields):
    pages = (PageContent(1, 600, 800, "", 0, layout_array=2), PageContent(2, 600, 800, "", 0))
    return Content("application/pdf", blocks=blocks, pages=pages, doubts=doubts, **fields)


def seen(kind, box=BOX, score=0.9):
    return Seen(kind, box, score)


def test_a_table_that_is_seen_is_one():
    decided = judge(content_of(Doubt(REGION, TABLE, blocks=(TEXT,))), lambda page: [seen("table")])
    assert decided.tables == (TABLE,)
    assert decided.regions == (REGION,)
    assert decided.blocks == (ABOVE, BELOW, BESIDE, NEXT)
    assert decided.doubts == ()
    assert all(page.layout_array is None for page in decided.pages)
    assert not decided.needs_recognition


@pytest.mark.parametrize(
    "look",
    [
        [],
        None,
        [seen("text")],
        [seen("table", (100.0, 190.0, 300.0, 260.0))],
        [seen("table", (0.0, 0.0, 600.0, 800.0))],
    ],
)
def test_one_that_is_not_seen_is_running_text_at_its_place(look):
    decided = judge(content_of(Doubt(REGION, TABLE, blocks=(TEXT,))), lambda page: look)
    assert decided.tables == ()
    assert decided.regions == ()
    assert decided.blocks == (ABOVE, TEXT, BELOW, BESIDE, NEXT)


def test_running_text_above_all_blocks_and_on_a_page_without_any():
    first = replace(TEXT, bbox=(100, 5, 300, 15))
    doubt = Doubt(REGION, TABLE, blocks=(first,))
    assert judge(content_of(doubt), lambda page: []).blocks[0] == first
    alone = judge(content_of(doubt, blocks=(NEXT,)), lambda page: [])
    assert alone.blocks == (first, NEXT)


@pytest.mark.parametrize("stands", [True, False])
def test_what_may_be_a_table_may_be_a_figure(stands):
    doubt = Doubt(REGION, TABLE, stands=stands, blocks=(TEXT,))
    decided = judge(content_of(doubt), lambda page: [seen("figure")])
    assert decided.tables == ()
    assert [(r.kind, r.text) for r in decided.regions] == [("figure", "a b 1 2")]
    assert (TEXT in decided.blocks) != stands


def test_repeated_labels_of_a_chart_are_all_there():
    table = replace(TABLE, header=("0", "1"), header_rows=(("0", "1"),), rows=(("0", ""),))
    text = replace(TEXT, text="0 1 0 depth")
    rest = (replace(TEXT, text="depth"),)
    doubt = Doubt(REGION, table, stands=True, blocks=(text,), rest=rest)
    decided = judge(content_of(doubt), lambda page: [seen("figure")])
    assert [region.text for region in decided.regions] == ["0 1 0 depth"]
    assert decided.blocks == (ABOVE, BELOW, BESIDE, NEXT)


CAPTION = Block("caption", "Table 1: Grain", page=1, bbox=(100, 80, 300, 95))
TITLE = Block("heading", "Table 1: Grain", 2, page=1, bbox=(100, 80, 300, 95))


@pytest.mark.parametrize("caption", [CAPTION, TITLE])
@pytest.mark.parametrize("is_seen", [True, False])
def test_the_caption_of_a_table_that_is_seen_is_no_text_of_its_own(caption, is_seen):
    table = replace(TABLE, caption="Table 1: Grain")
    following = replace(TITLE, text="Next", page=2)
    doubt = Doubt(REGION, table, blocks=(TEXT,))
    decided = judge(
        content_of(doubt, blocks=(ABOVE, caption, following, NEXT)),
        lambda page: [seen("table")] if is_seen else [],
    )
    assert (caption in decided.blocks) != is_seen
    assert (TEXT in decided.blocks) != is_seen
    assert {ABOVE, following, NEXT} <= set(decided.blocks)


def test_a_heading_that_heads_text_as_well_stays():
    doubt = Doubt(REGION, replace(TABLE, caption=TITLE.text), blocks=(TEXT,))
    decided = judge(
        content_of(doubt, blocks=(ABOVE, TITLE, BELOW, NEXT)), lambda page: [seen("table")]
    )
    assert decided.blocks == (ABOVE, TITLE, BELOW, NEXT)


def test_a_grid_is_a_table_unless_it_is_seen_as_a_figure():
    doubt = Doubt(REGION, TABLE, stands=True)
    assert judge(content_of(doubt), lambda page: None).tables == (TABLE,)
    assert judge(content_of(doubt), lambda page: []).tables == (TABLE,)


@pytest.mark.parametrize(
    ("stands", "look", "kept"),
    [
        (True, None, True),
        (False, None, False),
        (True, [], True),
        (False, [], False),
        (False, [seen("figure")], True),
        (True, [seen("text")], False),
        (True, [seen("table")], False),
    ],
)
def test_a_figure_in_doubt(stands, look, kept):
    region = RegionContent("figure", 1, BOX, "Fig. 1", 1)
    decided = judge(content_of(Doubt(region, stands=stands)), lambda page: look)
    assert decided.regions == ((region,) if kept else ())


def test_an_equation_must_be_seen():
    region = RegionContent("equation", 1, BOX, "", 1, "x = y")
    doubt = Doubt(region)
    assert judge(content_of(doubt), lambda page: [seen("equation")]).regions == (region,)
    assert judge(content_of(doubt), lambda page: [seen("text")]).regions == ()


def test_tables_and_regions_come_in_the_order_of_the_pages():
    known = replace(TABLE, bbox=(100, 300, 300, 400))
    other = RegionContent("figure", 1, (100, 10, 300, 50), "", 3)
    decided = judge(
        content_of(Doubt(REGION, TABLE), tables=(known,), regions=(other,)),
        lambda page: [seen("table")],
    )
    assert decided.tables == (TABLE, known)
    assert decided.regions == (other, REGION)


def test_boxes_in_points():
    assert in_points([seen("table", (10.0, 20.0, 30.0, 40.0))], 0.5)[0].bbox == (5, 10, 15, 20)


@pytest.mark.parametrize(("kind", "stands"), [("figure", True), ("figure", False), ("text", False)])
def test_without_pictures_what_is_no_table_is_running_text(kind, stands):
    rest = replace(TEXT, text="rest")
    doubt = Doubt(replace(REGION, pixels_array=None), TABLE, stands, (TEXT,), (rest,))
    decided = judge(content_of(doubt), lambda page: [seen(kind)])
    assert decided.regions == decided.tables == ()
    assert TEXT in decided.blocks
    assert rest not in decided.blocks


def test_without_pictures_a_table_is_one_all_the_same():
    doubt = Doubt(replace(REGION, pixels_array=None), TABLE, blocks=(TEXT,))
    decided = judge(content_of(doubt), lambda page: [seen("table")])
    assert (decided.tables, decided.regions) == ((TABLE,), ())
