"""Tables of PDFs that have rules, made here with PyMuPDF."""

from __future__ import annotations

import pymupdf
import pytest

from schemas.config import Recognition
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pages import prose, ruled
from tests.unit.stages.decode.pdfs import decode


def test_merged_cells_stand_in_each_cell_they_span_and_header_rows_are_joined(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    page.insert_text((60, 150), "Table 2: Sacks by mill and year", fontsize=10)
    rows = [
        [("Mill", 1, 2), ("Rye", 2, 1), None, ("Wheat", 2, 1), None],
        [None, "1901", "1902", "1901", "1902"],
        [("North", 1, 2), "12", "14", "7", "8"],
        [None, "13", "", "9", "6"],
        ["South", ("closed", 2, 1), None, "4", "5"],
    ]
    ruled(page, 60, 160, [80, 70, 70, 70, 70], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert table.header == ("Mill", "Rye 1901", "Rye 1902", "Wheat 1901", "Wheat 1902")
    assert table.header_rows == (
        ("Mill", "Rye", "Rye", "Wheat", "Wheat"),
        ("Mill", "1901", "1902", "1901", "1902"),
    )
    assert table.rows == (
        ("North", "12", "14", "7", "8"),
        ("North", "13", "", "9", "6"),
        ("South", "closed", "closed", "4", "5"),
    )
    assert table.caption == "Table 2: Sacks by mill and year"
    assert table.columns_pt == pytest.approx((60, 140, 210, 280, 350, 420), abs=2)


def test_cell_over_a_whole_row_stands_in_its_first_column(document, tmp_path):
    page = document.new_page()
    rows = [
        ["Stone", "Age", "Weight"],
        [("French", 3, 1), None, None],
        ["burr", "12", "900"],
        ["basalt", "40", "700"],
    ]
    ruled(page, 60, 160, [100, 100, 100], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert table.header == ("Stone", "Age", "Weight")
    assert table.rows == (
        ("French", "", ""),
        ("burr", "12", "900"),
        ("basalt", "40", "700"),
    )


def test_names_of_columns_above_the_rules_are_the_header(document, tmp_path):
    page = document.new_page()
    for x, name in zip((64, 164, 264), ("Year", "Rye", "Wheat"), strict=True):
        page.insert_text((x, 154), name, fontsize=10)
    rows = [["1901", "12", "7"], ["1902", "14", "8"], ["1903", "11", "9"]]
    ruled(page, 60, 160, [100, 100, 100], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert table.header == ("Year", "Rye", "Wheat")
    assert table.rows == tuple(map(tuple, rows))
    assert not any("Wheat" in block.text for block in content.blocks)


def test_table_on_a_rotated_page_has_its_words_and_its_box_as_shown(document, tmp_path):
    page = document.new_page(width=595, height=842)
    page.set_rotation(90)  # shown lying, and written so that it reads upright there
    prose(page, pymupdf.Rect(60, 40, 535, 100) * page.derotation_matrix, rotate=90)
    for x in (60, 160, 280):
        ends = [pymupdf.Point(x, y) * page.derotation_matrix for y in (160, 232)]
        page.draw_line(*ends)
    for y in (160, 184, 208, 232):
        ends = [pymupdf.Point(x, y) * page.derotation_matrix for x in (60, 280)]
        page.draw_line(*ends)
    rows = [["Year", "Rye"], ["1901", "12"], ["1902", "14"]]
    for y, row in zip((178, 202, 226), rows, strict=True):
        for x, cell in zip((66, 166), row, strict=True):
            page.insert_text(pymupdf.Point(x, y) * page.derotation_matrix, cell, rotate=90)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert (table.header, table.rows) == (("Year", "Rye"), (("1901", "12"), ("1902", "14")))
    assert table.bbox == pytest.approx((60, 160, 280, 232), abs=2)


def test_words_of_a_cell_keep_the_order_of_the_text_layer(document, tmp_path):
    page = document.new_page()
    rows = [["Mill", "What it grinds"], ["North", "rye, (a) barley"], ["South", "wheat; spelt."]]
    ruled(page, 60, 160, [100, 160], 24, rows)
    content, _ = decode(document, tmp_path, DecodeOptions(recognition=Recognition(layout=False)))
    assert content.tables[0].rows == (
        ("North", "rye, (a) barley"),
        ("South", "wheat; spelt."),
    )
    assert content.doubts == ()


def test_list_of_names_and_what_they_mean_has_no_header(document, tmp_path):
    page = document.new_page()
    rows = [
        ["sluice", "It lets the water in."],
        ["hopper", "It holds the grain."],
        ["burr", "It is a hard stone."],
    ]
    ruled(page, 60, 160, [100, 160], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert (table.header, table.header_rows) == (("", ""), ())
    assert table.rows == tuple(map(tuple, rows))


def test_rows_above_an_empty_cell_are_no_header(document, tmp_path):
    page = document.new_page()
    rows = [("Year", "Mill", "Sacks")]
    rows += [(str(1900 + i), "North" if i % 3 else "", str(10 * i)) for i in range(1, 9)]
    ruled(page, 60, 100, [80, 120, 80], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert (table.header, table.rows) == (rows[0], tuple(rows[1:]))
    assert content.blocks == ()
