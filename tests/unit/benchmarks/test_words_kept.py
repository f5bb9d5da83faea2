"""The measure of kept words: what is whole, what is lost and what is there twice."""

from __future__ import annotations

import numpy as np
import pymupdf
import pytest

from benchmarks import words_kept
from benchmarks.pdf_words import tokens
from schemas.content import Block, Content, PageContent

LINES = ("The miller opens the sluice", "at dawn and the inter-", "national wheel turns.")

WHOLE = "The miller opens the sluice at dawn and the international wheel turns. Page a."


@pytest.fixture
def made(tmp_path):
    with pymupdf.open() as document:
        for number in (1, 2, 3):
            page = document.new_page()
            page.insert_text((60, 40), f"Mill journal {number}", fontsize=9)
            page.insert_text((60, 200), [*LINES, f"Page {'abc'[number - 1]}."], fontsize=11)
        document.save(tmp_path / "mill.pdf")
    return tmp_path / "mill.pdf"


def test_a_plain_document_keeps_all_words(made):
    kept = words_kept.words_kept(made, "mill.pdf")
    assert (kept.kept, kept.lost.total(), kept.doubled.total()) == (1.0, 0, 0)
    assert (kept.pages, kept.ocr_pages, kept.left_out) == (3, 0, 9)
    assert kept.words == 3 * 15  # "inter" and "national" are two


@pytest.mark.parametrize(
    ("text", "lost", "doubled"),
    [
        (WHOLE, "1 journal mill", ""),
        (WHOLE.replace("sluice", "") + " Mill journal 1", "sluice", ""),
        (f"{WHOLE} Mill journal 1 wheel", "", "wheel"),
    ],
)
def test_what_is_lost_and_what_is_doubled(made, monkeypatch, text, lost, doubled):
    content = Content(
        "application/pdf",
        blocks=(Block("paragraph", text, page=1),),
        pages=(PageContent(1, 612, 792, "", 0),),
    )
    monkeypatch.setattr(
        words_kept, "decode", lambda *_: (content, (np.zeros((1, 8, 8, 3), np.uint8),))
    )
    monkeypatch.setattr(words_kept, "segment", passages)
    kept = words_kept.words_kept(made, "mill.pdf")
    assert " ".join(sorted(kept.lost.elements())) == lost
    assert " ".join(kept.doubled.elements()) == doubled


def passages(source_id, content, arrays, options):
    from stages.segment.passages import segment_passages

    return segment_passages(source_id, content, arrays, options)


def test_tokens_are_letters_or_digits_and_single_characters_of_chinese():
    assert tokens("E\ufb03cient Flour12 \u6c34\u8f6eX") == (
        "efficient",
        "flour",
        "12",
        "\u6c34",
        "\u8f6e",
        "x",
    )


def test_labels_of_figures_and_cells_of_tables_are_kept(tmp_path):
    with pymupdf.open() as document:
        page = document.new_page()
        page.insert_text((60, 60), LINES, fontsize=11)
        for i in range(8):
            page.draw_circle((120 + 40 * i, 300), 20 + 3 * i, color=(0, 0, 1))
        page.insert_text((130, 300), "gear wheel", fontsize=8)
        page.insert_text((60, 375), "Fig. 2. Gears", fontsize=10)
        page.insert_text((60, 430), "Table 1: Grain by year", fontsize=10)
        for y in (440, 464, 488):
            page.draw_line((60, y), (260, y))
        for x in (60, 160, 260):
            page.draw_line((x, 440), (x, 488))
        for y, row in ((456, ("Year", "Rye")), (480, ("1901", "120"))):
            for x, cell in zip((64, 164), row, strict=True):
                page.insert_text((x, y), cell, fontsize=10)
        document.save(tmp_path / "figure.pdf")
    kept = words_kept.words_kept(tmp_path / "figure.pdf", "figure.pdf")
    assert (sorted(kept.lost), sorted(kept.doubled)) == ([], [])
    assert kept.words == 13 + 2 + 3 + 5 + 4
