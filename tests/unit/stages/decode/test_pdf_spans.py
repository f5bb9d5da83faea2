"""What MuPDF's writers tell of a text layer, beside what PyMuPDF's "dict" tells of it."""

from __future__ import annotations

import pymupdf
import pytest

from schemas.errors import CorruptError
from stages.decode._pdf_spans import read_blocks
from stages.decode._pdf_text import TEXT_FLAGS, text_layer


@pytest.fixture
def page():
    with pymupdf.open() as made:
        yield made.new_page(width=595, height=842)


def lines_of(page):
    return [line for block in read_blocks(text_layer(page.get_displaylist())) for line in block]


def text_of(line):
    return "".join(text for text, _ in line.spans)


@pytest.mark.parametrize("font", ["helv", "cobo", "tiit", "symb", "zadb", "china-s", "japan"])
@pytest.mark.parametrize("rotation", [0, 90])
def test_lines_are_those_of_the_dict(page, font, rotation):
    text = "Mühle \u4e2d\u6587 <b>&amp;\"'" if font in ("china-s", "japan") else "Mill & <co>"
    for i, size in enumerate((6.04, 11, 24.26)):
        page.insert_text((72, 100 + 60 * i), text, fontname=font, fontsize=size)
    page.set_rotation(rotation)
    shown = page.get_displaylist()
    told = pymupdf.TextPage(shown.get_textpage(TEXT_FLAGS)).extractDICT()
    expected = [line for block in told["blocks"] for line in block["lines"]]
    found = lines_of(page)
    assert len(found) == len(expected) == 3
    for line, other in zip(found, expected, strict=True):
        assert text_of(line) == "".join(span["text"] for span in other["spans"])
        assert line.turn == (3 if rotation else 0)
        assert line.spans[0][1].size == pytest.approx(other["spans"][0]["size"], abs=0.051)
        if not rotation:
            assert line.bbox == pytest.approx(other["bbox"], abs=0.05 * line.spans[0][1].size)


def test_spans_say_how_they_are_set(page):
    x = 72
    for text, font, y in (("plain ", "helv", 100), ("bold ", "hebo", 100), ("fixed", "cour", 100)):
        page.insert_text((x, y), text, fontname=font, fontsize=10)
        x += pymupdf.get_text_length(text, font, 10)
    page.insert_text((x, 96), "7", fontname="helv", fontsize=6)
    (line,) = lines_of(page)
    faces = [(text.strip(), face) for text, face in line.spans]
    assert [(text, face.bold, face.mono, face.raised) for text, face in faces] == [
        ("plain", False, False, False),
        ("bold", True, False, False),
        ("fixed", False, True, False),
        ("7", False, False, True),
    ]
    assert faces[0][1].font == faces[3][1].font != faces[1][1].font


def test_turned_lines(page):
    for rotate in (0, 90, 180, 270):
        page.insert_text((300, 400), f"turned by {rotate}", rotate=rotate)
    turns = {text_of(line): line.turn for line in lines_of(page)}
    assert turns == {"turned by 0": 0, "turned by 90": 1, "turned by 180": 2, "turned by 270": 3}


def test_a_page_without_text(page):
    page.draw_rect((10, 10, 100, 100))
    assert read_blocks(text_layer(page.get_displaylist())) == []


def renamed(page, name):
    """Its one font gets another name, in the notation of PDF."""
    (xref,) = [font[0] for font in page.get_fonts()]
    document = page.parent
    document.xref_set_key(xref, "BaseFont", name)
    document.xref_set_key(xref, "FontDescriptor", "null")
    return pymupdf.open(stream=document.tobytes(), filetype="pdf")


@pytest.mark.parametrize("name", ["/A#22B#3e", "/A#3cspanB", "/Optima,pt", "/A#0aB#3bC"])
def test_odd_names_of_fonts_change_no_text(page, name):
    page.insert_text((72, 100), "The mill")
    with renamed(page, name) as document:
        (line,) = lines_of(document[0])
        assert text_of(line) == "The mill"


def test_a_font_name_that_passes_for_text_is_refused(page):
    page.insert_text((72, 100), "The mill")
    forged = b'<p style="top:1pt">'.hex()
    name = "/" + "".join(f"#{forged[i : i + 2]}" for i in range(0, len(forged), 2))
    with renamed(page, name) as document:
        try:
            lines = lines_of(document[0])
        except CorruptError:
            return
        assert [text_of(line) for line in lines] == ["The mill"]
