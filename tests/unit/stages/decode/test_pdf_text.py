"""The text layer: order, furniture, footnotes, scripts, turned text, and what must not get lost."""

from __future__ import annotations

import pytest

from schemas.content import TableData
from stages.decode._pdf_apart import Apart, part
from stages.decode.layout import Line
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pdfs import A4, LOREM, decode, texts, write, write_lines

CHAPTERS = ("wheat", "rye", "oats")


def test_columns_that_the_file_writes_across_are_read_one_after_the_other(document, tmp_path):
    page = document.new_page(**A4)
    left = [
        "The miller opens the sluice at",
        "dawn and the wheel begins to",
        "turn slowly while the grain runs",
    ]
    right = [
        "from the hopper into the eye of",
        "the stone and leaves it as warm",
        "flour that is sifted twice over",
    ]
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        page.insert_text((60, 100 + 14 * i), a, fontsize=10)
        page.insert_text((320, 100 + 14 * i), b, fontsize=10)
    content, _ = decode(document, tmp_path)
    assert " ".join(texts(content)) == " ".join(left + right)


def test_terms_beside_their_descriptions_stay_on_one_line(document, tmp_path):
    page = document.new_page(**A4)
    for i, term in enumerate(["sluice", "hopper", "sieve", "burr"]):
        page.insert_text((60, 100 + 14 * i), term, fontsize=10)
        page.insert_text(
            (160, 100 + 14 * i), f"is part number {i} of every mill in the north", fontsize=10
        )
    content, _ = decode(document, tmp_path)
    assert "hopper is part number 1" in " ".join(texts(content))


def test_a_paragraph_goes_on_over_columns_and_pages_and_its_footnote_comes_after(
    document, tmp_path
):
    page = document.new_page(**A4)
    write_lines(
        page,
        60,
        640,
        ["The wheel begins to turn slowly and", "goes on until the last of the grain is"],
        fontsize=10,
    )
    write_lines(
        page,
        60,
        760,
        ["1 See the report of the mill for 1901.", "It was printed in the same year."],
        leading=9,
        fontsize=8,
    )
    write_lines(
        page,
        320,
        100,
        ["ground, which takes all of the", "night in the winter when the inter-"],
        fontsize=10,
    )
    following = document.new_page(**A4)
    write_lines(
        following,
        60,
        100,
        ["national trade rests.", "Then the stones are cleaned by hand."],
        fontsize=10,
    )
    content, _ = decode(document, tmp_path)
    paragraph, note = content.blocks
    assert paragraph.text == (
        "The wheel begins to turn slowly and goes on until the last of the grain is ground, which takes all of the"
        " night in the winter when the international trade rests. Then the stones are cleaned by hand."
    )
    assert (paragraph.page, note.page) == (1, 1)
    assert note.text == "1 See the report of the mill for 1901. It was printed in the same year."


def test_a_raised_mark_is_no_part_of_a_word(document, tmp_path):
    page = document.new_page(**A4)
    page.insert_htmlbox(
        (60, 60, 500, 200), "<p>The flour<sup>12</sup> is warm and soft to the hand.</p>"
    )
    content, _ = decode(document, tmp_path)
    assert texts(content) == ["The flour 12 is warm and soft to the hand."]


def test_headings_that_open_many_pages_are_no_running_titles(document, tmp_path):
    for number in range(1, 13):
        page = document.new_page(**A4)
        page.insert_text((60, 40), "Mill manual", fontsize=9)
        page.insert_text((500, 40), str(number), fontsize=9)
        if number % 6 == 1:
            page.insert_text((60, 80), "Usage", fontsize=16)
        write(page, (60, 120, 535, 300), f"{LOREM} Number {number}.", fontsize=10)
    content, _ = decode(document, tmp_path)
    assert texts(content, "heading") == ["Usage", "Usage"]
    assert not any("manual" in text for text in texts(content))
    assert len(texts(content, "paragraph")) == 12


def test_titles_of_short_chapters_are_known_by_the_page_number_beside_them(document, tmp_path):
    for number in range(1, 7):
        page = document.new_page(**A4)
        page.insert_text((60, 40), f"Chapter about {CHAPTERS[number // 3]}", fontsize=9)
        page.insert_text((500, 40), str(number + 100), fontsize=9)
        write(page, (60, 120, 535, 300), f"{LOREM} Number {number}.", fontsize=10)
    content, _ = decode(document, tmp_path)
    assert not any("Chapter" in text for text in texts(content))


def test_a_page_on_its_side_has_the_running_titles_of_the_others(document, tmp_path):
    for number in range(1, 6):
        page = document.new_page(**A4)
        page.insert_text((60, 40), "Mill manual", fontsize=9)
        write(page, (60, 120, 535, 300), f"{LOREM} Number {number}.", fontsize=10)
        page.set_rotation(90 if number == 3 else 0)
    content, _ = decode(document, tmp_path)
    assert len(content.blocks) == 5
    assert not any("manual" in text for text in texts(content))


def test_the_same_line_in_the_body_of_two_columns_stays(document, tmp_path):
    page = document.new_page(**A4)
    write(page, (60, 60, 535, 200), f"Alone on its page. {LOREM}", fontsize=10)
    page.insert_text((300, 820), "7", fontsize=9)
    content, _ = decode(document, tmp_path)
    assert "7" in texts(content)  # one page says nothing about furniture


def test_text_that_runs_up_the_page_is_read_in_its_own_order(document, tmp_path):
    page = document.new_page(**A4)
    # A page whose text was set sideways: the top of it is at the left edge of the paper.
    for x, line in (
        (300, "which is the second."),
        (100, "A sentence on its side"),
        (200, "has one line here,"),
    ):
        page.insert_text((x, 700), line, fontsize=11, rotate=90)
    content, _ = decode(document, tmp_path)
    assert (
        " ".join(texts(content)) == "A sentence on its side has one line here, which is the second."
    )


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_page_reads_like_a_straight_one(document, tmp_path, rotation):
    page = document.new_page(**A4)
    page.insert_text((60, 100), "A heading of the page", fontsize=20)
    write(page, (60, 140, 535, 300), LOREM, fontsize=11)
    page.set_rotation(rotation)
    content, _ = decode(document, tmp_path)
    assert texts(content) == ["A heading of the page", LOREM]


def test_text_drawn_twice_is_read_once(document, tmp_path):
    page = document.new_page(**A4)
    for offset in (0, 0.8):
        page.insert_text((60 + offset, 100 + offset), "A title with a shadow", fontsize=20)
    write(page, (60, 140, 535, 300), LOREM, fontsize=11)
    content, _ = decode(document, tmp_path)
    assert texts(content) == ["A title with a shadow", LOREM]


def test_initials_belong_to_their_word_and_are_no_heading(document, tmp_path):
    page = document.new_page(**A4)
    page.insert_text((60, 120), "T", fontsize=36)
    write_lines(
        page,
        88,
        104,
        ["he miller opens the sluice at dawn and", "the wheel begins to turn."],
        fontsize=11,
    )
    write(page, (60, 140, 535, 300), LOREM, fontsize=11)
    content, _ = decode(document, tmp_path)
    assert texts(content, "heading") == []
    assert texts(content)[0].startswith("The miller opens the sluice at dawn and the wheel")


def test_what_is_told_elsewhere_is_left_out_and_what_a_table_loses_is_not():
    lines = [
        Line("grain and flour", (60, 100, 160, 112), 10),
        Line("12 sacks", (60, 120, 120, 132), 10),
        Line("shaft", (300, 300, 330, 310), 8),
        Line("running text", (60, 500, 130, 512), 10),
    ]
    table = TableData("", ("Grain", "Sacks"), (("flour", "12"),), 1, (50, 90, 200, 140))
    parted = part([lines], Apart((table,), elsewhere=((290, 290, 340, 320),)))
    assert [[line.text for line in group] for group in parted.groups] == [["running text"]]
    assert [line.text for line in parted.lost] == ["and"]


def test_chinese_lines_are_joined_without_blanks(document, tmp_path):
    page = document.new_page(**A4)
    lines = [
        "\u78e8\u574a\u4e3b\u4eba\u5728\u9ece\u660e\u65f6\u5206\u6253\u5f00\u6c34\u95f8",
        "\u6c34\u8f6e\u5f00\u59cb\u6162\u6162\u8f6c\u52a8\u8c37\u7269\u843d\u4e0b",
    ]
    write_lines(page, 60, 100, lines, fontsize=11, fontname="china-s")
    content, _ = decode(document, tmp_path)
    assert texts(content) == ["".join(lines)]


HEBREW = (
    "\u05d4\u05d8\u05d5\u05d7\u05df \u05e4\u05d5\u05ea\u05d7 \u05d0\u05ea \u05d4\u05e1\u05db\u05e8"
)
MORE_HEBREW = "\u05d4\u05d2\u05dc\u05d2\u05dc \u05de\u05ea\u05d7\u05d9\u05dc \u05dc\u05d4\u05e1\u05ea\u05d5\u05d1\u05d1"
ARABIC = "\u064a\u0641\u062a\u062d \u0637\u062d\u0627\u0646 \u0633\u062f\u0627"


@pytest.mark.parametrize("text", [HEBREW, ARABIC])
def test_text_from_right_to_left_reads_as_it_is_written(document, tmp_path, text):
    page = document.new_page(**A4)
    page.insert_htmlbox((60, 60, 500, 200), f'<p dir="rtl">{text}</p>')
    content, _ = decode(document, tmp_path)
    assert texts(content) == [text]


def test_columns_from_right_to_left_begin_at_the_right(document, tmp_path):
    page = document.new_page(**A4)
    page.insert_htmlbox((60, 300, 280, 400), f'<p dir="rtl">{MORE_HEBREW} 2</p>')
    page.insert_htmlbox((60, 60, 280, 200), f'<p dir="rtl">{MORE_HEBREW} 1</p>')
    page.insert_htmlbox((320, 85, 540, 225), f'<p dir="rtl">{HEBREW} 1</p>')
    page.insert_htmlbox((320, 325, 540, 425), f'<p dir="rtl">{HEBREW} 2</p>')
    content, _ = decode(document, tmp_path)
    assert [(HEBREW in text, text[-1]) for text in texts(content)] == [
        (True, "1"),
        (True, "2"),
        (False, "1"),
        (False, "2"),
    ]


def test_ligatures_and_bullets_of_symbol_fonts_are_spelled_out(document, tmp_path):
    page = document.new_page(**A4)
    page.insert_htmlbox((60, 60, 500, 200), "<p>The e\ufb03cient \ufb02our o\ufb00er</p>")
    content, _ = decode(document, tmp_path, DecodeOptions())
    assert texts(content) == ["The efficient flour offer"]
