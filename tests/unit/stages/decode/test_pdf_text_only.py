"""PDFs without pictures of pages and regions (segmentation.page_pictures = false)."""

from __future__ import annotations

import pymupdf

from schemas.config import Recognition, Segmentation
from stages.decode.options import DecodeOptions
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment
from tests.unit.stages.decode.pages import ROWS, aligned, chart, photo, prose, ruled
from tests.unit.stages.decode.pdfs import LOREM, decode


def text_only(**recognition):
    segmentation = Segmentation(page_pictures=False)
    return DecodeOptions(segmentation=segmentation, recognition=Recognition(**recognition))


def test_text_and_tables_are_those_of_the_pictured_page(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    ruled(page, 60, 200, [90, 90, 90, 90], 20, ROWS)
    page.insert_image(pymupdf.Rect(60, 400, 260, 550), stream=photo())
    pictured, arrays = decode(document, tmp_path)
    content, nothing = decode(document, tmp_path, text_only())
    assert len(arrays) == 3
    assert nothing == ()
    assert content.tables == pictured.tables != ()
    assert content.blocks == pictured.blocks
    assert [page.pixels_array for page in content.pages] == [None]
    assert [page.text for page in content.pages] == [page.text for page in pictured.pages]
    assert content.regions == content.doubts == ()
    units = segment("s" * 32, content, nothing, SegmentOptions())
    assert {unit.partition.modality for unit in units} == {"text", "table"}


def test_words_of_a_figure_stay_in_the_text(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    chart(page, (100, 160, 400, 340))
    page.insert_text((100, 372), "Figure 4: Sacks by kind of grain", fontsize=10)
    pictured, _ = decode(document, tmp_path)
    content, _ = decode(document, tmp_path, text_only())
    assert not any("millet" in block.text for block in pictured.blocks)
    assert any("millet" in block.text for block in content.blocks)
    assert any(block.kind == "caption" for block in content.blocks)


def test_a_table_in_doubt_is_looked_at_only_with_the_layout_model(document, tmp_path):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    aligned(page, 80, 200, [100, 100, 100, 100], 16, ROWS)
    prose(page, (60, 400, 535, 470))
    content, arrays = decode(document, tmp_path, text_only())
    (doubt,) = content.doubts
    assert (doubt.region.kind, doubt.region.pixels_array) == ("table", None)
    assert [array.shape[2] for array in arrays] == [1]  # the page in grey, nothing else
    plain, nothing = decode(document, tmp_path, text_only(layout=False))
    assert plain.doubts == nothing == ()
    assert any("North" in block.text for block in plain.blocks)


def test_a_scan_is_rendered_for_ocr_alone(document, tmp_path):
    page = document.new_page(width=595, height=842)
    page.insert_image(page.rect, stream=photo(width=600))
    blank = document.new_page(width=595, height=842)
    blank.draw_rect((0, 0, 595, 842), fill=(0.9, 0.9, 0.9), color=None)
    content, arrays = decode(document, tmp_path, text_only())
    assert [page.ocr_array for page in content.pages] == [0, None]
    assert [array.shape[2] for array in arrays] == [1]
    assert decode(document, tmp_path, text_only(ocr=False))[1] == ()


def test_prose_gives_no_array(document, tmp_path):
    prose(document.new_page(), (60, 60, 535, 200))
    content, arrays = decode(document, tmp_path, text_only())
    assert [block.text for block in content.blocks] == [LOREM]
    assert arrays == ()
