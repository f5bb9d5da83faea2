"""A long PDF that is read in ranges gives what it gives as a whole."""

from dataclasses import replace
from pathlib import Path

import pymupdf
import pytest

from schemas.config import Limits, Recognition
from schemas.errors import CorruptError, LimitError
from stages.decode import pdf
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode, decode_span, find_spans, join_pieces
from stages.ranges import Span, even_spans
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.segment.hashes import with_hashes

TYPE = "application/pdf"
OPTIONS = DecodeOptions()
WORDS = "The miller opens the sluice at dawn and the wheel begins to turn while the stones are"


def book(path: Path, pages: int = 24) -> Path:
    """Headers, page numbers, headings, a table, a figure, and a sentence that goes on over every page."""
    with pymupdf.open() as document:
        for number in range(1, pages + 1):
            page = document.new_page(width=420, height=595)
            page.insert_text((50, 30), "The Mill Book", fontsize=8)
            page.insert_text((200, 580), str(number), fontsize=8)
            y = 70
            if number % 6 == 1:
                page.insert_text((50, y), f"Chapter {number // 6 + 1}", fontsize=18)
                y += 40
            for line in range(12):
                start = f"dressed on page {number}. " if line == 0 and number > 1 else ""
                page.insert_text((50, y), f"{start}{WORDS if line else WORDS[:60]}", fontsize=9)
                y += 12
            if number % 5 == 0:
                _table(page, y + 10)
            if number % 7 == 0:
                page.draw_circle((200, 480), 40, fill=(0.2, 0.4, 0.8))
                page.insert_text((150, 540), f"Figure {number}: A stone.", fontsize=9)
        document.set_toc([[1, f"Chapter {n // 6 + 1}", n] for n in range(1, pages + 1, 6)])
        document.set_metadata({"title": "The Mill Book"})
        document.save(path)
    return path


def _table(page, top):
    for row in range(4):
        for column in range(3):
            box = (50 + 90 * column, top + 20 * row, 140 + 90 * column, top + 20 * row + 20)
            page.draw_rect(box)
            page.insert_text((box[0] + 4, box[1] + 14), f"r{row} c{column}", fontsize=9)


def in_ranges(path: Path, spans: list[Span], recogniser: Recogniser | None = None):
    """Content and arrays of a file that is read in these ranges."""
    pieces, every = [], []
    for span in spans:
        piece, arrays = decode_span(path, "pdf", OPTIONS, span)
        if recogniser:
            content, arrays = recogniser.recognise(piece.content, arrays)
            piece = replace(piece, content=content, n_arrays=len(arrays))
        pieces.append(piece)
        every += arrays
    return join_pieces(path, TYPE, pieces), tuple(every)


def spans_of(pages: int, size: int) -> list[Span]:
    return list(even_spans(1, pages, size))


@pytest.mark.parametrize("size", [1, 5, 11])
def test_ranges_give_what_the_whole_gives(tmp_path, size):
    path = book(tmp_path / "book.pdf")
    whole, arrays = decode(path, "pdf", OPTIONS)
    joined, joined_arrays = in_ranges(path, spans_of(24, size))
    assert joined == whole
    assert len(joined_arrays) == len(arrays)
    assert all((a == b).all() for a, b in zip(joined_arrays, arrays, strict=True))


def test_the_example_has_what_goes_over_borders(tmp_path):
    content, _ = decode(book(tmp_path / "book.pdf"), "pdf", OPTIONS)
    texts = [block.text for block in content.blocks]
    assert not any("The Mill Book" in text for text in texts)
    over_a_border = [text for text in texts if "the stones are dressed on page 9." in text]
    assert len(over_a_border) == 1
    assert len(content.tables) == 4
    assert len({block.level for block in content.blocks if block.kind == "heading"}) == 1


@pytest.mark.slow
def test_recognised_ranges_give_what_the_recognised_whole_gives(tmp_path):
    """Pages that are scans, and doubts that the layout model decides, between pages with a text layer."""
    path = tmp_path / "mixed.pdf"
    with pymupdf.open(book(tmp_path / "book.pdf", 6)) as document:
        with pymupdf.open() as born:
            born.new_page().insert_text((60, 200), "FIRE BUCKETS HANG ON THE STAIR", fontsize=24)
            picture = born[0].get_pixmap(dpi=100)
        scan = document.new_page(2)
        scan.insert_image(scan.rect, pixmap=picture)
        document.save(path)
    recogniser = Recogniser(RecogniseOptions(Recognition()))
    content, arrays = recogniser.recognise(*decode(path, "pdf", OPTIONS))
    joined, joined_arrays = in_ranges(path, spans_of(7, 2), recogniser)
    whole, joined = with_hashes(content, arrays), with_hashes(joined, joined_arrays)
    assert joined.blocks == whole.blocks
    assert joined.tables == whole.tables
    assert [page.text for page in joined.pages] == [page.text for page in whole.pages]
    assert any("BUCKETS" in page.text for page in joined.pages)
    hashes = {page.pixels_hash for page in whole.pages} | {r.pixels_hash for r in whole.regions}
    assert hashes == {p.pixels_hash for p in joined.pages} | {r.pixels_hash for r in joined.regions}


def test_a_range_that_was_lost_leaves_the_rest(tmp_path):
    path = book(tmp_path / "book.pdf")
    spans = spans_of(24, 8)
    joined, arrays = in_ranges(path, [spans[0], spans[2]])
    assert [page.number for page in joined.pages] == [*range(1, 9), *range(17, 25)]
    used = {thing.pixels_array for thing in (*joined.pages, *joined.regions)}
    assert used | {d.region.pixels_array for d in joined.doubts} <= set(range(len(arrays)))
    assert len({page.pixels_array for page in joined.pages}) == 16


def test_short_files_are_read_at_once(tmp_path):
    assert find_spans(book(tmp_path / "book.pdf"), "pdf", OPTIONS) == (TYPE, ())


def test_long_files_are_read_in_even_ranges(tmp_path):
    path = tmp_path / "long.pdf"
    with pymupdf.open() as document:
        for _ in range(400):
            document.new_page(width=50, height=50)
        document.save(path)
    _, spans = find_spans(path, "pdf", OPTIONS)
    assert [(span.first, span.end) for span in spans] == [(1, 134), (134, 267), (267, None)]
    assert {span.of for span in spans} == {3}


def test_a_range_may_cost_its_share_of_what_the_file_may(tmp_path):
    path = book(tmp_path / "book.pdf")
    options = DecodeOptions(limits=Limits(text_chars=20_000))
    piece, _ = decode_span(path, "pdf", options, Span(1, 13, of=4))
    assert [page.number for page in piece.content.pages] == [1, 2, 3, 4]
    assert "limits.text_chars = 5000" in piece.content.rejects[0].reason


def test_nothing_in_any_range_is_a_reject(tmp_path):
    path = book(tmp_path / "book.pdf")
    options = DecodeOptions(limits=Limits(text_chars=1))
    pieces = [decode_span(path, "pdf", options, span)[0] for span in spans_of(24, 8)]
    with pytest.raises(LimitError, match="none of its pages can be read"):
        join_pieces(path, TYPE, pieces)


def test_damage_is_told_once(tmp_path):
    path = book(tmp_path / "book.pdf")
    path.write_bytes(path.read_bytes().replace(b"startxref", b"startxxxx"))
    joined, _ = in_ranges(path, spans_of(24, 8))
    assert joined.notes.count("damaged, repaired while reading") == 1
    assert joined.title == "The Mill Book"


def test_what_is_no_pdf_is_refused_when_its_ranges_are_asked_for(tmp_path):
    path = tmp_path / "broken.pdf"
    path.write_bytes(b"%PDF-1.7\n" + b"x" * 500)
    with pytest.raises(CorruptError):
        pdf.spans(path, TYPE, OPTIONS)
