"""Figures, captions, equations and what is left in doubt, on PDFs made here with PyMuPDF."""

from __future__ import annotations

import numpy as np
import pymupdf
import pytest

from schemas.config import Limits, Recognition
from schemas.content import TableData
from stages.decode import _pdf_objects
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pages import ROWS, aligned, chart, photo, prose, ruled
from tests.unit.stages.decode.pdfs import LOREM, decode


def page_with_photo(document, xref):
    """A page with the picture of this number, or with a new one if it is 0; the page and the number."""
    page = document.new_page(width=595, height=842)
    prose(page, (60, 40, 535, 100))
    picture = {"xref": xref} if xref else {"stream": photo()}
    return page, page.insert_image(pymupdf.Rect(60, 120, 260, 270), **picture)


def test_vector_figure_has_its_caption_and_its_labels(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    chart(page, (100, 160, 400, 340))
    page.insert_text((100, 372), "Figure 4: Sacks by kind of grain", fontsize=10)
    prose(page, (60, 400, 535, 470))
    content, arrays = decode(document, tmp_path)
    (figure,) = content.regions
    assert (figure.kind, figure.caption) == ("figure", "Figure 4: Sacks by kind of grain")
    assert {"rye", "millet", "40"} <= set(figure.text.replace(",", "").split())
    assert figure.bbox == pytest.approx((84, 160, 400, 352), abs=12)
    assert arrays[figure.pixels_array].shape == (1, 224, 224, 3)
    assert not any("millet" in block.text for block in content.blocks)
    assert [block.text for block in content.blocks if block.kind == "caption"] == [figure.caption]
    assert content.doubts == ()


def test_picture_on_many_pages_is_rendered_once(document, tmp_path):
    xref = 0
    for number in range(5):
        page, xref = page_with_photo(document, xref)
        page.insert_image(pymupdf.Rect(60, 300, 260, 450), stream=photo(seed=number + 1, width=170))
    content, arrays = decode(document, tmp_path)
    assert [region.page for region in content.regions] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    repeated, others = content.regions[::2], content.regions[1::2]
    assert len({region.pixels_array for region in repeated}) == 1
    assert len({region.pixels_array for region in others}) == 5
    assert len(arrays) == 5 + 1 + 5
    assert {region.bbox for region in repeated} == {repeated[0].bbox}


def test_picture_with_writing_on_it_is_not_taken_for_the_one_without(document, tmp_path):
    xref = 0
    for label in ("", "rye"):
        page, xref = page_with_photo(document, xref)
        if label:
            page.insert_text((120, 200), label, fontsize=20)
    content, arrays = decode(document, tmp_path)
    plain, labelled = content.regions
    assert plain.pixels_array != labelled.pixels_array
    assert not np.array_equal(arrays[plain.pixels_array], arrays[labelled.pixels_array])
    assert (plain.text, labelled.text) == ("", "rye")


def test_each_caption_goes_to_one_object_and_parts_side_by_side_share_one(document, tmp_path):
    page = document.new_page(width=595, height=842)
    for i, x in enumerate((60, 320)):
        page.insert_image(pymupdf.Rect(x, 80, x + 200, 230), stream=photo(seed=i))
    prose(
        page,
        (60, 236, 535, 256),
        "Figure 1: Two stones, before and after they were dressed by hand in the yard",
    )
    page.insert_image(pymupdf.Rect(60, 290, 260, 440), stream=photo(seed=2))
    page.insert_text((60, 455), "Figure 2: The sluice", fontsize=10)
    page.insert_text((60, 480), "Table 1: Sacks", fontsize=10)
    ruled(page, 60, 490, [90, 90], 22, [["Year", "Rye"], ["1901", "12"], ["1902", "14"]])
    content, _ = decode(document, tmp_path)
    captions = {(r.kind, r.bbox[0] < 200, r.bbox[1] < 200): r.caption for r in content.regions}
    assert captions["picture", True, True] == captions["picture", False, True]
    assert captions["picture", True, True].startswith("Figure 1: Two stones")
    assert captions["picture", True, False] == "Figure 2: The sluice"
    assert captions["table", True, False] == "Table 1: Sacks"
    assert content.tables[0].caption == "Table 1: Sacks"


def test_table_without_rules_is_a_doubt_with_its_cells_and_its_text(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    page.insert_text((60, 150), "Table 3: Mills of the north", fontsize=10)
    aligned(page, 60, 175, [120, 90, 90, 90], 16, ROWS)
    prose(page, (60, 270, 535, 330))
    content, arrays = decode(document, tmp_path)
    assert content.tables == ()
    (doubt,) = content.doubts
    assert doubt.table is not None
    assert not doubt.stands
    assert doubt.table.header == tuple(ROWS[0])
    assert doubt.table.rows == tuple(map(tuple, ROWS[1:]))
    assert doubt.table.caption == doubt.region.caption == "Table 3: Mills of the north"
    assert (doubt.region.kind, doubt.region.page) == ("table", 1)
    (block,) = doubt.blocks
    assert block.text.startswith("Mill Built Stones Sacks a day North 1701")
    assert not any("1755" in block.text for block in content.blocks)
    looked_at = content.pages[0].layout_array
    assert looked_at is not None
    assert arrays[looked_at].shape == (800, 566, 1)
    assert content.needs_recognition


def test_without_the_model_there_are_no_doubts(document, tmp_path):
    page = document.new_page(width=595, height=842)
    aligned(page, 60, 175, [120, 90, 90, 90], 16, ROWS)
    options = DecodeOptions(recognition=Recognition(layout=False))
    content, _ = decode(document, tmp_path, options)
    assert content.doubts == ()
    assert content.tables == ()
    assert content.pages[0].layout_array is None
    assert "1755" in " ".join(block.text for block in content.blocks)
    assert not content.needs_recognition


def test_running_text_leaves_no_doubt_and_is_not_looked_at(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (50, 80, 280, 700), f"{LOREM} " * 8)
    prose(page, (310, 80, 540, 700), f"{LOREM} " * 8, align=pymupdf.TEXT_ALIGN_JUSTIFY)
    content, _ = decode(document, tmp_path)
    assert content.doubts == ()
    assert not content.needs_recognition


def test_table_in_one_of_two_columns_does_not_take_the_text_beside_it(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (50, 80, 280, 400), f"{LOREM} " * 3, fontsize=9)
    aligned(page, 50, 420, [90, 50, 60], 13, [row[:3] for row in ROWS])
    prose(page, (310, 80, 540, 700), f"{LOREM} " * 10, fontsize=9)
    content, _ = decode(document, tmp_path)
    (doubt,) = [doubt for doubt in content.doubts if doubt.table]
    assert doubt.table.rows == tuple(tuple(row[:3]) for row in ROWS[1:])


def test_displayed_equation_is_a_doubt_and_stays_in_the_text(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    page.insert_text((220, 160), "E = m c2 + 2 k (x - a)2", fontsize=12)
    page.insert_text((500, 160), "(3)", fontsize=12)
    prose(page, (60, 190, 535, 260))
    content, _ = decode(document, tmp_path)
    (doubt,) = content.doubts
    assert doubt.region.kind == "equation"
    assert doubt.region.text.startswith("E = m c2")
    assert doubt.region.bbox[1] == pytest.approx(148, abs=6)
    assert doubt.blocks == ()
    assert any("E = m c2" in block.text for block in content.blocks)


def test_grid_of_a_chart_is_a_doubt_that_stands(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    rows = [
        ["", "", "", ""],
        ["", "12", "", "9"],
        ["7", "", "5", ""],
        ["", "8", "", "3"],
        ["2", "", "1", ""],
    ]
    ruled(page, 60, 160, [60, 60, 60, 60], 30, rows)
    content, _ = decode(document, tmp_path)
    assert content.tables == ()
    assert [(doubt.region.kind, doubt.stands) for doubt in content.doubts] == [("table", True)]


def test_no_memory_for_the_picture_to_look_at_is_said(document, tmp_path):
    page = document.new_page(width=595, height=842)
    aligned(page, 60, 175, [120, 90, 90, 90], 16, ROWS)
    limits = Limits(decode_memory_bytes=2 * 3 * 224 * 224 * 3)
    content, _ = decode(document, tmp_path, DecodeOptions(limits=limits))
    assert content.pages[0].layout_array is None
    assert len(content.doubts) == 1
    (lost,) = content.rejects
    assert (lost.code, lost.page) == ("limit", 1)
    assert "not looked at" in lost.reason


def test_a_line_in_two_doubts_is_the_text_of_one(document, tmp_path, monkeypatch):
    page = document.new_page()
    rows = ("sluice", "hopper", "sieve", "burr", "stone", "wheel")
    for i, name in enumerate(rows):
        page.insert_text((60, 100 + 14 * i), name, fontsize=10)
        page.insert_text((160, 100 + 14 * i), f"open({i})", fontsize=10)
    boxes = [(50.0, 85.0, 250.0, 150.0), (50.0, 115.0, 250.0, 190.0)]
    found = [TableData("", ("", ""), (("a", "b"),), 1, box) for box in boxes]
    monkeypatch.setattr(_pdf_objects, "find_columns", lambda *_: found)
    content, _ = decode(document, tmp_path)
    assert len(content.doubts) == 2
    told = [*content.blocks, *(block for doubt in content.doubts for block in doubt.blocks)]
    words = sorted(word for block in told for word in block.text.split())
    assert words == sorted([*rows, *(f"open({i})" for i in range(6))])
