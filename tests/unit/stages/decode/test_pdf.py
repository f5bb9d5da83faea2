"""PDF decoding on files made here with PyMuPDF."""

from __future__ import annotations

import io

import numpy as np
import pymupdf
import pytest
from PIL import Image, ImageDraw

from schemas.config import Limits, Recognition
from schemas.errors import CorruptError, EncryptedError, LimitError
from stages.decode.options import DecodeOptions
from stages.decode.pdf import decode_pdf
from tests.unit.stages.decode.pdfs import LOREM, decode, write


def grid(page, x0, y0, widths, height, rows):
    """A table with ruling lines."""
    xs = [x0, *np.cumsum(widths) + x0]
    for r in range(len(rows) + 1):
        page.draw_line((x0, y0 + r * height), (xs[-1], y0 + r * height))
    for x in xs:
        page.draw_line((x, y0), (x, y0 + len(rows) * height))
    for r, row in enumerate(rows):
        for x, cell in zip(xs, row, strict=False):
            page.insert_text((x + 4, y0 + (r + 0.7) * height), cell, fontsize=10)


def photo(width=320, height=240):
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_text_layer_gives_blocks_pages_and_pictures(document, tmp_path):
    page = document.new_page(width=595, height=842)
    write(page, (60, 80, 535, 120), "How a mill works", fontsize=22)
    write(page, (60, 140, 535, 260), LOREM, fontsize=11)
    document.set_metadata({"title": "Mills of the north"})

    content, arrays = decode(document, tmp_path)

    heading, paragraph = content.blocks
    assert (heading.kind, heading.level, heading.text) == ("heading", 1, "How a mill works")
    assert (paragraph.kind, paragraph.text, paragraph.page) == ("paragraph", LOREM, 1)
    assert paragraph.bbox is not None
    assert paragraph.bbox[0] == pytest.approx(60, abs=1)
    assert content.title == "Mills of the north"
    (shown,) = content.pages
    assert (shown.number, shown.width_pt, shown.height_pt, shown.ocr_array) == (1, 595, 842, None)
    assert "How a mill works" in shown.text
    picture = arrays[shown.pixels_array]
    assert picture.shape == (1, 224, 224, 3)
    assert picture.dtype == np.uint8
    assert picture.min() < 200  # the writing
    assert (picture[0, :, 0] == 255).all()  # a portrait page stands on white


def test_same_file_gives_same_bytes(document, tmp_path):
    page = document.new_page()
    write(page, (60, 80, 535, 300), LOREM)
    page.draw_circle((300, 500), 80, fill=(1, 0, 0))
    first = decode(document, tmp_path)
    second = decode_pdf(tmp_path / "made.pdf", "application/pdf", DecodeOptions())
    assert first[0] == second[0]
    assert all(np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_headings_take_their_level_from_the_outline(document, tmp_path):
    for number, title in enumerate(["1 Stones", "1.1 French burr"], start=1):
        page = document.new_page()
        page.insert_text((60, 160), title, fontsize=14)
        write(page, (60, 200, 535, 400), f"{number} {LOREM}")
    document.set_toc([[1, "Stones", 1], [2, "French burr", 2]])
    content, _ = decode(document, tmp_path)
    assert [(b.level, b.text) for b in content.blocks if b.kind == "heading"] == [
        (1, "1 Stones"),
        (2, "1.1 French burr"),
    ]


def test_running_titles_and_page_numbers_are_no_blocks_but_stay_in_the_page_text(
    document, tmp_path
):
    for number in range(1, 6):
        page = document.new_page(height=842)
        page.insert_text((60, 40), f"Mill journal {number}", fontsize=9)
        page.insert_text((60, 820), f"{number}. Some chapter title {number}", fontsize=9)
        page.insert_text((300, 830), str(number), fontsize=9)
        write(page, (60, 150, 535, 400), f"Page text {number}. {LOREM}", fontsize=11)
    content, _ = decode(document, tmp_path)
    assert len(content.blocks) == 5
    assert all(block.text.startswith("Page text") for block in content.blocks)
    assert "Mill journal 3" in content.pages[2].text


def test_columns_are_read_one_after_the_other(document, tmp_path):
    page = document.new_page(width=595, height=842)
    # Written right column first, so that the order of the content stream is wrong.
    write(page, (310, 300, 540, 500), "Right one. " + LOREM, fontsize=10)
    write(page, (310, 150, 540, 290), "Right zero. " + LOREM, fontsize=10)
    write(page, (50, 300, 280, 500), "Left one. " + LOREM, fontsize=10)
    write(page, (50, 150, 280, 290), "Left zero. " + LOREM, fontsize=10)
    write(page, (50, 90, 540, 130), "A title across both", fontsize=20)
    content, _ = decode(document, tmp_path)
    assert [" ".join(block.text.split()[:2]) for block in content.blocks] == [
        "A title",
        "Left zero.",
        "Left one.",
        "Right zero.",
        "Right one.",
    ]


def test_ruled_table_becomes_cells_and_leaves_the_running_text(document, tmp_path):
    page = document.new_page()
    write(page, (60, 60, 535, 120), LOREM, fontsize=10)
    page.insert_text((60, 150), "Table 1: Grain by year", fontsize=10)
    rows = [("Year", "Rye in sacks", "Wheat"), ("1901", "120", ""), ("1902", "98", "77")]
    grid(page, 60, 160, [100, 120, 100], 24, rows)
    content, arrays = decode(document, tmp_path)
    (table,) = content.tables
    assert table.header == ("Year", "Rye in sacks", "Wheat")
    assert table.rows == (("1901", "120", ""), ("1902", "98", "77"))
    assert (table.caption, table.page) == ("Table 1: Grain by year", 1)
    assert table.bbox == pytest.approx((60, 160, 380, 232), abs=2)
    assert not any("1901" in block.text for block in content.blocks)
    assert any("miller" in block.text for block in content.blocks)
    (region,) = content.regions
    assert (region.kind, region.caption) == ("table", table.caption)
    assert arrays[region.pixels_array].shape == (1, 224, 224, 3)


def test_grid_drawn_as_one_path_is_a_table(document, tmp_path):
    page = document.new_page()
    shape = page.new_shape()
    for y in (160, 190, 220, 250):
        shape.draw_line((60, y), (300, y))
    for x in (60, 180, 300):
        shape.draw_line((x, 160), (x, 250))
    shape.finish(width=1)
    shape.commit()
    rows = [("Stone", "Age"), ("burr", "12"), ("basalt", "40")]
    for y, row in zip((180, 210, 240), rows, strict=True):
        for x, cell in zip((70, 190), row, strict=True):
            page.insert_text((x, y), cell, fontsize=10)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert (table.header, table.rows) == (rows[0], tuple(rows[1:]))


def test_table_title_in_one_cell_is_its_caption(document, tmp_path):
    page = document.new_page()
    rows = [("Stones", ""), ("burr", "hard"), ("basalt", "harder"), ("sand", "soft")]
    grid(page, 60, 160, [100, 120], 24, rows)
    content, _ = decode(document, tmp_path)
    (table,) = content.tables
    assert (table.caption, table.header) == ("Stones", ("", ""))
    assert table.rows == tuple(rows[1:])


def test_pictures_and_drawings_are_regions_with_captions(document, tmp_path):
    page = document.new_page(width=595, height=842)
    write(page, (60, 40, 535, 100), LOREM, fontsize=10)
    page.insert_image(pymupdf.Rect(60, 120, 300, 300), stream=photo())
    page.insert_text((60, 318), "Figure 1: The sluice at dawn", fontsize=10)
    for i in range(8):
        page.draw_circle((120 + 40 * i, 500), 20 + 3 * i, color=(0, 0, 1))
    page.insert_text((60, 575), "Fig. 2. Gears", fontsize=10)
    page.draw_rect(pymupdf.Rect(60, 650, 70, 660), fill=(0, 0, 0))  # too small
    content, arrays = decode(document, tmp_path)
    picture, figure = content.regions
    assert (picture.kind, picture.caption) == ("picture", "Figure 1: The sluice at dawn")
    assert picture.bbox == pytest.approx((60, 120, 300, 300), abs=2)
    assert (figure.kind, figure.caption) == ("figure", "Fig. 2. Gears")
    assert {block.kind for block in content.blocks if block.text.startswith("Fig")} == {"caption"}
    shown = arrays[picture.pixels_array][0]
    assert (shown[0] == 255).all()  # wide: white above
    assert shown[112].std() > 20


def test_frames_and_backgrounds_are_no_regions(document, tmp_path):
    page = document.new_page(width=595, height=842)
    page.draw_rect(page.rect, fill=(0.95, 0.95, 0.9))
    page.draw_rect(pymupdf.Rect(55, 140, 540, 260), color=(0, 0, 0))
    write(page, (60, 150, 535, 250), LOREM, fontsize=11)
    content, _ = decode(document, tmp_path)
    assert content.regions == ()
    assert content.tables == ()


def test_most_regions_per_page(document, tmp_path):
    page = document.new_page(width=595, height=842)
    write(page, (60, 20, 535, 90), LOREM, fontsize=10)
    for i in range(6):
        page.insert_image(
            pymupdf.Rect(60, 100 + 110 * i, 160, 190 + 110 * i), stream=photo(100, 90)
        )
    content, _ = decode(document, tmp_path, DecodeOptions(limits=Limits(regions_per_page=2)))
    assert len(content.regions) == 2


def scan(text="Flour for the baker"):
    image = Image.new("RGB", (1240, 1754), "white")
    ImageDraw.Draw(image).text((120, 200), text, fill="black", font_size=60)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def test_page_without_text_is_rendered_for_ocr_and_a_blank_one_is_not(document, tmp_path):
    page = document.new_page(width=595, height=842)
    page.insert_image(page.rect, stream=scan())
    document.new_page()
    content, arrays = decode(document, tmp_path)
    scanned, blank = content.pages
    assert scanned.ocr_array is not None
    assert arrays[scanned.ocr_array].shape == (1684, 1190, 1)  # A4 at 144 DPI
    assert blank.ocr_array is None
    assert content.regions == ()  # the scan of a page is not a figure on it
    assert content.needs_recognition


def test_no_render_for_ocr_when_ocr_is_off(document, tmp_path):
    page = document.new_page(width=595, height=842)
    page.insert_image(page.rect, stream=scan())
    content, arrays = decode(document, tmp_path, DecodeOptions(recognition=Recognition(ocr=False)))
    assert content.pages[0].ocr_array is None
    assert len(arrays) == 1


def test_enormous_page_is_rendered_smaller_with_a_note(document, tmp_path):
    page = document.new_page(width=14400, height=14400)
    page.insert_image(page.rect, stream=scan())
    content, arrays = decode(document, tmp_path)
    assert content.pages[0].ocr_array is not None
    assert arrays[content.pages[0].ocr_array].size <= 16_100_000
    assert "page 1 read at" in content.notes[0]


def test_too_many_pictures_become_rejects_and_the_rest_comes_through(document, tmp_path):
    for number in range(3):
        write(document.new_page(), (60, 80, 535, 300), f"Page {number}. {LOREM}")
    limits = Limits(decode_memory_bytes=2 * 2 * 224 * 224 * 3)
    content, arrays = decode(document, tmp_path, DecodeOptions(limits=limits))
    assert [page.number for page in content.pages] == [1, 2]
    assert [(lost.page, lost.code) for lost in content.rejects] == [(3, "limit")]
    assert len(arrays) == 2


def test_picture_over_the_pixel_limit_is_not_decoded(document, tmp_path):
    write(document.new_page(), (60, 80, 535, 300), LOREM)
    document.new_page().insert_image(pymupdf.Rect(0, 0, 300, 300), stream=photo(300, 300))
    content, _ = decode(document, tmp_path, DecodeOptions(limits=Limits(pixels=80_000)))
    assert [page.number for page in content.pages] == [1]
    assert [(lost.page, lost.code, lost.stage) for lost in content.rejects] == [
        (2, "limit", "decode")
    ]


def test_pictures_of_a_file_up_to_the_limit(document, tmp_path):
    for _ in range(3):
        document.new_page().insert_image(pymupdf.Rect(0, 0, 300, 300), stream=photo(300, 300))
    for limit, pages in ((270_000, [1, 2, 3]), (269_999, [1, 2])):
        options = DecodeOptions(limits=Limits(file_pixels=limit))
        content, _ = decode(document, tmp_path, options)
        assert [page.number for page in content.pages] == pages
    assert [(lost.page, lost.code) for lost in content.rejects] == [(3, "limit")]


def test_rotated_page_has_boxes_as_it_is_shown(document, tmp_path):
    page = document.new_page(width=595, height=842)
    write(page, (60, 40, 535, 100), LOREM, fontsize=10)
    page.insert_image(pymupdf.Rect(60, 120, 300, 300), stream=photo())
    page.set_rotation(90)
    content, _ = decode(document, tmp_path)
    assert (content.pages[0].width_pt, content.pages[0].height_pt) == (842, 595)
    (region,) = content.regions
    assert region.bbox == pytest.approx((842 - 300, 60, 842 - 120, 300), abs=2)
    assert content.blocks[0].text == LOREM


def test_hyphens_and_ligatures(document, tmp_path):
    page = document.new_page()
    page.insert_text(
        (60, 200), ["The inter-", "national platform-", "dependent mill."], fontsize=11
    )
    page.insert_text((60, 400), "A platform is dependent on it.", fontsize=11)
    content, _ = decode(document, tmp_path)
    assert content.blocks[0].text == "The international platform-dependent mill."


def test_encrypted_is_refused_unless_the_empty_password_opens_it(document, tmp_path):
    write(document.new_page(), (60, 80, 535, 300), LOREM)
    aes = {"encryption": pymupdf.PDF_ENCRYPT_AES_256}
    with pytest.raises(EncryptedError, match="needs a password"):
        decode(document, tmp_path, **aes, owner_pw="o", user_pw="u")
    content, _ = decode(document, tmp_path, **aes, owner_pw="o", user_pw="")
    assert LOREM in content.blocks[0].text


def test_page_limit(document, tmp_path):
    for _ in range(3):
        document.new_page()
    with pytest.raises(LimitError, match=r"3 pages, more than limits\.pages = 2"):
        decode(document, tmp_path, DecodeOptions(limits=Limits(pages=2)))


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"not a pdf at all", b"%PDF-1.4\n" + bytes(2000)])
def test_damaged_file_is_corrupt_and_says_nothing_on_stderr(data, tmp_path, capfd):
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(CorruptError, match=r"bad\.pdf"):
        decode_pdf(path, "application/pdf", DecodeOptions())
    assert capfd.readouterr().err == ""


def test_repaired_file_says_so(document, tmp_path, capfd):
    write(document.new_page(), (60, 80, 535, 300), LOREM)
    path = tmp_path / "cut.pdf"
    whole = document.tobytes()
    path.write_bytes(whole[: whole.rindex(b"xref")])
    content, _ = decode_pdf(path, "application/pdf", DecodeOptions())
    assert content.notes == ("damaged, repaired while reading",)
    assert content.blocks[0].text == LOREM
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("stated", "title"), [("report_v3.docx", "Big"), ("", "Big"), ("Mill", "Mill")]
)
def test_title_is_stated_or_the_largest_type(document, tmp_path, stated, title):
    page = document.new_page()
    page.insert_text((60, 120), "Big", fontsize=30)
    write(page, (60, 200, 535, 400), LOREM)
    document.set_metadata({"title": stated})
    content, _ = decode(document, tmp_path)
    assert content.title == title
