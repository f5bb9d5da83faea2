"""One made document with everything that is hard about PDFs, and all that must come out of it, word for word."""

from __future__ import annotations

import pymupdf
import pytest

from benchmarks.words_kept import words_kept
from schemas.config import Recognition
from schemas.partition import PAGE_PAGE, TABLE_ROW, TABLE_TABLE, TEXT_PARAGRAPH
from stages.decode.options import DecodeOptions
from stages.decode.pdf import decode_pdf
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment
from tests.unit.stages.decode.pages import ruled
from tests.unit.stages.decode.pdfs import A4, write_lines

HEAD = ("Year", "Mill", "Sacks")
GRAIN = [(str(1900 + i), "North" if i % 3 else "", str(10 * i)) for i in range(1, 13)]
MILLER = (
    "\u05d4\u05d8\u05d5\u05d7\u05df \u05e4\u05d5\u05ea\u05d7 \u05d0\u05ea \u05d4\u05e1\u05db\u05e8"
)
HEBREW = " ".join([MILLER] * 9) + "."
JAPANESE = (
    "\u6c34\u8eca\u5c0f\u5c4b\u306f\u5ddd\u306e\u305d\u3070\u306b\u7acb\u3061",
    "\u6bce\u5e74\u79cb\u306b\u7a40\u7269\u3092\u633d\u3044\u3066\u3044\u307e\u3059\u3002",
)
KOREAN = (
    "\ubc29\uc557\uac04\uc740 \uac15\uac00\uc5d0 \uc11c",
    "\uc788\uace0 \uace1\uc2dd\uc744 \ube7b\uc2b5\ub2c8\ub2e4.",
)
LEFT = (
    "The miller opens the sluice at dawn",
    "and the wheel begins to turn. It is a",
    "slow start, for the water-",
    "wheel is heavy and the inter-",
    "national trade in grain is slow",
)
RIGHT = (
    "as well. In the winter the stones",
    "are dressed by hand, which takes a",
    "day for each pair, and nobody may",
    "enter until the last of the dust has",
)
NOTE = ("5 See the report of the mill for", "the year 1901.")
TURNED = ("This page lies on its side and", "is read like any other.")


def running_title(page, number):
    page.insert_text((60, 40), "Mill journal", fontsize=8)
    page.insert_text((290, 820), str(number), fontsize=8)


def first_page(document):
    page = document.new_page(**A4)
    running_title(page, 1)
    page.insert_text((60, 90), "How a water-wheel works", fontsize=20)
    write_lines(page, 320, 130, RIGHT, fontsize=10)  # the right column is written first
    write_lines(page, 60, 130, LEFT, fontsize=10)
    write_lines(page, 60, 760, NOTE, leading=9, fontsize=7.5)


def second_page(document):
    page = document.new_page(**A4)
    running_title(page, 2)
    write_lines(page, 60, 100, ("settled on the floor of the mill.",), fontsize=10)
    page.insert_text((60, 150), "The harvest", fontsize=14)
    page.insert_text((60, 180), "Table 1: Grain by year", fontsize=10)
    ruled(page, 60, 190, [80, 120, 80], 24, [HEAD, *GRAIN[:8]])


def third_page(document):
    page = document.new_page(**A4)
    running_title(page, 3)
    ruled(page, 60, 100, [80, 120, 80], 24, [HEAD, *GRAIN[8:]])
    style = 'style="font-size: 10px"'
    page.insert_htmlbox(
        (60, 260, 535, 300), f"<p {style}>The e\ufb03cient \ufb02our o\ufb00er.</p>"
    )
    page.insert_htmlbox((60, 300, 535, 360), f'<p dir="rtl" {style}>{HEBREW}</p>')
    write_lines(page, 60, 380, JAPANESE, fontsize=11, fontname="japan")
    write_lines(page, 60, 440, KOREAN, fontsize=11, fontname="korea")


def fourth_page(document):
    page = document.new_page(**A4)
    running_title(page, 4)
    write_lines(page, 60, 100, TURNED, fontsize=10)
    page.set_rotation(90)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("golden") / "journal.pdf"
    with pymupdf.open() as document:
        for add in (first_page, second_page, third_page, fourth_page):
            add(document)
        document.save(path)
    return path


@pytest.fixture(scope="module")
def decoded(made):
    options = DecodeOptions(recognition=Recognition(layout=False))
    return decode_pdf(made, "application/pdf", options)


BODY = (
    "The miller opens the sluice at dawn and the wheel begins to turn. It is a slow start, for the water-wheel is"
    " heavy and the international trade in grain is slow as well. In the winter the stones are dressed by hand, which"
    " takes a day for each pair, and nobody may enter until the last of the dust has settled on the floor of the mill."
)
BLOCKS = [
    ("heading", 1, 1, "How a water-wheel works"),
    ("paragraph", 0, 1, BODY),
    ("paragraph", 0, 1, " ".join(NOTE)),
    ("heading", 2, 2, "The harvest"),
    ("paragraph", 0, 3, "The efficient flour offer."),
    ("paragraph", 0, 3, HEBREW),
    ("paragraph", 0, 3, "".join(JAPANESE)),
    ("paragraph", 0, 3, " ".join(KOREAN)),
    ("paragraph", 0, 4, " ".join(TURNED)),
]


def test_text_in_the_order_in_which_a_person_reads_it(decoded):
    content, _ = decoded
    assert [(b.kind, b.level, b.page, b.text) for b in content.blocks] == BLOCKS
    assert (content.title, content.notes, content.rejects) == ("How a water-wheel works", (), ())


def test_a_table_that_goes_over_a_page_is_one(decoded):
    units = segment("source", *decoded, SegmentOptions())
    (table,) = [unit for unit in units if unit.partition == TABLE_TABLE]
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * 3, *GRAIN)]
    assert table.text.splitlines() == ["Table 1: Grain by year", *lines]
    assert table.attributes == {"rows": "1-12", "pages": "2-3"}
    rows = sorted((u.locator.row, u.locator.page) for u in units if u.partition == TABLE_ROW)
    assert rows == [(row, 2 if row <= 8 else 3) for row in range(1, 13)]


def test_passages_with_their_headings_and_pages_with_their_furniture(decoded):
    units = segment("source", *decoded, SegmentOptions())
    passages = {u.context: u.text for u in units if u.partition == TEXT_PARAGRAPH}
    assert passages == {
        "How a water-wheel works": "\n".join((BODY, " ".join(NOTE))),
        "How a water-wheel works > The harvest": "\n".join(text for *_, text in BLOCKS[4:]),
    }
    pages = {u.locator.page: u for u in units if u.partition == PAGE_PAGE}
    assert all("Mill journal" in page.text for page in pages.values())
    assert [pages[number].language for number in (1, 3)] == ["en", "he"]


def test_every_word_is_there_once(made):
    kept = words_kept(made, "journal.pdf", layout=False)
    # The measure takes the header that comes again, and the running title of a page on its side, for text.
    assert kept.lost_by_page == {3: ["mill", "sacks", "year"], 4: ["4", "journal", "mill"]}
    assert (sorted(kept.doubled), kept.left_out) == ([], 9)
