"""Files that are read in ranges, from the folder to the lake, with real stages in this process."""

from pathlib import Path

import pymupdf
import pytest

from schemas.config import Config, Engine, Limits, Recognition
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow

PAGES = 200  # read in two ranges
FAST = Recognition(layout=False, speech=False, sound_tags=False)


def book(path: Path) -> None:
    with pymupdf.open() as document:
        for number in range(1, PAGES + 1):
            page = document.new_page(width=300, height=200)
            # One picture for nearly all: there is nothing to embed twice.
            page.insert_text((20, 100), "The stones grind." if number % 50 else f"Page {number}.")
        document.save(path)


def test_all_pages_of_a_long_book_come_through(tmp_path):
    mill = Mill(tmp_path, Config(recognition=FAST))
    book(mill.corpus / "book.pdf")
    balance = mill.ingest()
    assert (balance.found, balance.indexed, balance.rejected_total) == (1, 1, 0)
    assert balance.units["page/page"] == PAGES
    again = mill.ingest()
    assert (again.unchanged, again.indexed) == (1, 0)


def test_a_range_that_runs_out_of_time_is_told_and_the_rest_kept(tmp_path, monkeypatch):
    from schemas.errors import TimeoutExceededError
    from stages.decode import pdf

    read_span = pdf.read_span

    def late(path, media_type, options, span):
        if span.first > 1:
            raise TimeoutExceededError("it ran past its deadline")
        return read_span(path, media_type, options, span)

    monkeypatch.setattr(pdf, "read_span", late)
    mill = Mill(tmp_path, Config(recognition=FAST))
    book(mill.corpus / "book.pdf")
    balance = mill.ingest()
    assert (balance.indexed, balance.unit_rejects) == (1, {"timeout": 1})
    assert balance.units["page/page"] == PAGES // 2
    (reject,) = mill.lake.rejects().to_pylist()
    assert (reject["page"], reject["retryable"]) == (PAGES // 2 + 1, True)
    assert "from page 101 to the end" in reject["reason"]

    monkeypatch.setattr(pdf, "read_span", read_span)
    retried = mill.retry()
    assert retried.units["page/page"] == PAGES
    assert mill.lake.rejects().num_rows == 0


def test_little_memory_for_what_is_in_flight_stops_nothing(tmp_path):
    mill = Mill(tmp_path, Config(recognition=FAST, engine=Engine(bytes_in_flight=1)))
    book(mill.corpus / "book.pdf")
    mill.write("note.txt", "The miller opens the sluice at dawn.")
    balance = mill.ingest()
    assert balance.indexed == 2
    assert balance.units["page/page"] == PAGES


def test_a_book_of_nothing_but_lost_ranges_is_rejected(tmp_path):
    mill = Mill(tmp_path, Config(recognition=FAST, limits=Limits(text_chars=2)))
    book(mill.corpus / "book.pdf")
    balance = mill.ingest()
    assert (balance.indexed, balance.rejected) == (0, {"limit": 1})
