from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pptx as library
import pytest
from pptx.util import Inches

from schemas.config import Limits
from schemas.errors import CorruptError, LimitError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from tests.documents import rezipped

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

TITLE_ONLY, TITLE_AND_BODY, BLANK = 5, 1, 6


def read(path: Path, **limits: int) -> Content:
    content, arrays = decode(path, "pptx", DecodeOptions(limits=Limits(**limits)))
    assert arrays == ()
    return content


def shown(content: Content) -> list[tuple[int | None, str, str]]:
    return [(block.page, block.kind, block.text) for block in content.blocks]


def deck(path: Path) -> Path:
    presentation = library.Presentation()
    layouts = presentation.slide_layouts
    slide = presentation.slides.add_slide(layouts[TITLE_AND_BODY])
    slide.shapes.title.text = "The mill"
    slide.placeholders[1].text = "Wind\nWater"
    slide.notes_slide.notes_text_frame.text = "Say hello."
    slide = presentation.slides.add_slide(layouts[BLANK])
    for text, left, top in (("right", 5, 1.1), ("below", 0, 3), ("left", 0, 1)):
        box = slide.shapes.add_textbox(Inches(left), Inches(top), Inches(2), Inches(1))
        box.text_frame.text = text
    slide = presentation.slides.add_slide(layouts[TITLE_ONLY])
    slide.shapes.title.text = "Yields"
    table = slide.shapes.add_table(3, 3, Inches(1), Inches(2), Inches(6), Inches(2)).table
    for row, texts in zip(
        table.rows, [("Mill", "2019", "2020"), ("A", "1", ""), ("B", "2", "3")], strict=True
    ):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(1, 1).merge(table.cell(1, 2))
    presentation.slides.add_slide(layouts[BLANK])
    presentation.save(str(path))
    return path


def test_slides_are_pages_with_titles_text_tables_and_notes(tmp_path: Path) -> None:
    content = read(deck(tmp_path / "a.pptx"))
    assert content.title == "The mill"
    assert shown(content) == [
        (1, "heading", "The mill"),
        (1, "list_item", "Wind"),
        (1, "list_item", "Water"),
        (1, "paragraph", "Say hello."),
        (2, "heading", "Slide 2"),
        (2, "paragraph", "left"),
        (2, "paragraph", "right"),
        (2, "paragraph", "below"),
        (3, "heading", "Yields"),
    ]
    (table,) = content.tables
    assert (table.page, table.header) == (3, ("Mill", "2019", "2020"))
    assert table.rows == (("A", "1", "1"), ("B", "2", "3"))


def test_groups_are_read_together(tmp_path: Path) -> None:
    presentation = library.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[BLANK])
    lone = slide.shapes.add_textbox(Inches(4), Inches(1), Inches(1), Inches(1))
    lone.text_frame.text = "lone"
    group = slide.shapes.add_group_shape()
    for text, left in (("second", 3), ("first", 0)):
        box = group.shapes.add_textbox(Inches(left), Inches(1), Inches(1), Inches(1))
        box.text_frame.text = text
    presentation.save(str(tmp_path / "a.pptx"))
    assert [text for _, _, text in shown(read(tmp_path / "a.pptx"))] == [
        "Slide 1",
        "first",
        "second",
        "lone",
    ]


def test_a_damaged_slide_is_lost_alone(tmp_path: Path) -> None:
    path = rezipped(deck(tmp_path / "a.pptx"), {"ppt/slides/slide2.xml": b"<p:sld"})
    content = read(path)
    assert {block.page for block in content.blocks} == {1, 3}
    (reject,) = content.rejects
    assert (reject.page, reject.code) == (2, "corrupt")


def test_a_slide_show_is_a_presentation(tmp_path: Path) -> None:
    path = deck(tmp_path / "a.ppsx")
    with zipfile.ZipFile(path) as archive:
        types = archive.read("[Content_Types].xml")
    show = types.replace(b"presentation.main+xml", b"slideshow.main+xml")
    assert show != types
    assert read(rezipped(path, {"[Content_Types].xml": show})).title == "The mill"


def test_limits_and_damage(tmp_path: Path) -> None:
    path = deck(tmp_path / "a.pptx")
    with pytest.raises(LimitError, match=r"limits\.pages = 3"):
        read(path, pages=3)
    with pytest.raises(LimitError, match=r"limits\.expanded_bytes"):
        read(path, expanded_bytes=5000)
    with pytest.raises(CorruptError, match="cannot be opened as a presentation"):
        read(rezipped(path, {"ppt/presentation.xml": b""}))
