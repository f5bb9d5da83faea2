"""Which pages of a PDF are read by OCR: scans, stamped scans, and pages whose fonts say the wrong characters."""

from __future__ import annotations

import doctest
import io

import numpy as np
import pymupdf
import pytest
from PIL import Image, ImageDraw

from schemas.config import Recognition
from stages.decode import _pdf_flow, _pdf_fonts, _scripts
from stages.decode._pdf_fonts import broken_fonts, frequent_share, is_unlikely
from stages.decode._pdf_spans import Face
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pdfs import A4, LOREM, decode, texts, with_unicode, write

FONT = pymupdf.Font("helv")


def embedded(page, box, text, **style):
    """Text in an embedded font, whose glyphs have their characters from a table in the file."""
    page.insert_font(fontname="F0", fontbuffer=FONT.buffer)
    write(page, box, text, fontname="F0", **style)


def glyph(char):
    return FONT.has_glyph(ord(char))


PRIVATE = {0: (255, 0xE000)}
SHIFTED = {glyph(" "): (glyph(" "), 0x20), glyph("A"): (glyph("z"), ord("A") - 29)}


@pytest.mark.parametrize("mapping", [PRIVATE, SHIFTED], ids=["private", "shifted"])
def test_a_font_with_the_wrong_characters_is_read_by_ocr(document, tmp_path, mapping):
    page = document.new_page(**A4)
    embedded(page, (60, 100, 535, 300), f"{LOREM} {LOREM}", fontsize=11)
    with_unicode(document, page, mapping)
    document.new_page(**A4).insert_text((60, 100), "A good page with words on it", fontsize=11)
    content, arrays = decode(document, tmp_path)
    broken, good = content.pages
    assert broken.ocr_array is not None
    assert arrays[broken.ocr_array].shape == (1684, 1190, 1)
    assert good.ocr_array is None
    assert broken.text == ""
    assert content.notes == (
        "page 1 is read by OCR: its fonts do not say which characters they show",
    )


def test_one_broken_font_among_good_ones_is_enough(document, tmp_path):
    page = document.new_page(**A4)
    write(page, (60, 60, 535, 200), LOREM, fontsize=11)
    embedded(page, (60, 300, 535, 400), LOREM[:100], fontsize=11)
    with_unicode(document, page, PRIVATE)
    content, _ = decode(document, tmp_path)
    assert content.pages[0].ocr_array is not None
    assert texts(content) == [LOREM]  # until it is read


def test_a_few_unknown_marks_do_not_send_a_page_to_ocr(document, tmp_path):
    page = document.new_page(**A4)
    write(page, (60, 60, 535, 200), LOREM, fontsize=11)
    for y in (300, 340, 380):
        embedded(page, (60, y, 100, y + 30), "x", fontsize=11)
    with_unicode(document, page, PRIVATE)
    content, _ = decode(document, tmp_path)
    assert content.pages[0].ocr_array is None
    assert content.notes == ()


def test_without_ocr_the_loss_is_told(document, tmp_path):
    page = document.new_page(**A4)
    embedded(page, (60, 100, 535, 300), LOREM, fontsize=11)
    with_unicode(document, page, PRIVATE)
    document.new_page(**A4).insert_text((60, 100), "A good page with words on it", fontsize=11)
    options = DecodeOptions(recognition=Recognition(ocr=False))
    content, _ = decode(document, tmp_path, options)
    assert content.pages[0].ocr_array is None
    (lost,) = content.rejects
    assert (lost.page, lost.code) == (1, "corrupt")
    assert "OCR is off" in lost.reason


def scan():
    image = Image.new("RGB", (1240, 1754), "white")
    ImageDraw.Draw(image).text((120, 400), "Flour for the baker", fill="black", font_size=60)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_scan_is_one_whatever_is_stamped_on_its_edges(document, tmp_path):
    page = document.new_page(**A4)
    page.insert_image(page.rect, stream=scan())
    write(
        page,
        (40, 800, 560, 835),
        f"Downloaded from the library of the mill. {LOREM[:90]}",
        fontsize=7,
    )
    searchable = document.new_page(**A4)
    searchable.insert_image(searchable.rect, stream=scan())
    write(searchable, (60, 200, 535, 400), LOREM, fontsize=11, render_mode=3)
    typed = document.new_page(**A4)
    write(typed, (60, 200, 535, 400), LOREM, fontsize=11)
    content, _ = decode(document, tmp_path)
    assert [page.ocr_array is not None for page in content.pages] == [True, False, False]


def span(text, font="F", mono=False):
    return text, Face(font, 10.0, mono=mono)


SAMPLES = {
    "English": LOREM,
    "German": "Der Müller öffnet in der Morgendämmerung das Wehr, und das Rad beginnt sich langsam zu drehen,"
    " während das Korn aus dem Trichter in das Auge des Steins rinnt und ihn als warmes Mehl wieder verlässt.",
    "Finnish": "Mylläri avaa sulun aamunkoitteessa ja ratas alkaa hitaasti pyöriä, kun vilja valuu suppilosta"
    " kiven silmään ja tulee ulos lämpimänä jauhona, joka seulotaan kahdesti ennen kuin se pussitetaan.",
    "Polish": "Młynarz o świcie otwiera śluzę, a koło zaczyna się powoli obracać, podczas gdy ziarno"
    " sypie się z leja do oka kamienia i wychodzi z niego jako ciepła mąka, którą przesiewa się dwa razy.",
    "Vietnamese": "Người thợ xay mở cửa cống lúc bình minh và bánh xe bắt đầu quay chậm rãi trong khi ngũ"
    " cốc chảy từ phễu vào mắt của phiến đá rồi ra thành bột ấm được rây hai lần trước khi đóng vào bao.",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_words_of_languages_are_likely(language):
    assert not is_unlikely(SAMPLES[language])
    assert broken_fonts([span(SAMPLES[language])]) == frozenset()


def test_shuffled_letters_are_not():
    letters = "abcdefghijklmnopqrstuvwxyz"
    found = 0
    for seed in range(100):
        shuffled = "".join(np.random.default_rng(seed).permutation(list(letters)))
        found += is_unlikely(LOREM.lower().translate(str.maketrans(letters, shuffled)))
    assert found >= 85  # some shuffles spell like a language by chance


def test_code_and_little_text_are_not_judged():
    assert broken_fonts([span("xq zj kv wq " * 40, mono=True)]) == frozenset()
    assert broken_fonts([span("xq zj kv wq " * 40, font="LiberationMono")]) == frozenset()
    assert frequent_share("too short") is None


def test_cyrillic_read_as_latin_1_is_broken():
    russian = "Мельник открывает шлюз на рассвете "
    text = (russian * 6).encode("cp1251").decode("latin-1")
    assert broken_fonts([span(text)]) == {"F"}
    assert broken_fonts([span(russian * 6)]) == frozenset()


@pytest.mark.parametrize(
    "bad",
    ["\ufffd" * 40, "\ue123\ue124\ue125 " * 9, "(cid:3)(cid:20) " * 9, "\x02\x03\x04\x05 " * 9],
)
def test_characters_that_stand_for_nothing(bad):
    assert broken_fonts([span(bad, "bad"), span(LOREM, "good")]) == {"bad"}


def test_examples_in_docstrings():
    assert [doctest.testmod(module).failed for module in (_pdf_flow, _pdf_fonts, _scripts)] == [
        0,
        0,
        0,
    ]
