"""The measurement of PDF text: every job and step is there, and the shares are of sums."""

from __future__ import annotations

import pymupdf
import pytest

from benchmarks.pdf_text import measure, together
from tests.unit.stages.decode.pages import prose, ruled


def test_jobs_steps_and_shares(tmp_path):
    path = tmp_path / "a.pdf"
    with pymupdf.open() as document:
        for _ in range(3):
            page = document.new_page()
            prose(page, (60, 60, 535, 200))
            ruled(page, 60, 300, [90, 90], 20, [["mill", "sacks"], ["north", "1"], ["south", "2"]])
        document.save(path)
    row = measure(path, 1, 10)
    assert row is not None
    assert row["pages"] == 3
    steps = row["steps"]
    assert {"interpret", "spans", "drawings", "tables with rules", "blocks"} < set(steps["decode"])
    assert steps["decode"]["pictures"] > 0
    assert "pictures" not in steps["text_only"]
    total = together([row, row])
    assert (total["files"], total["pages"]) == (2, 6)
    seconds = row["seconds"]
    assert total["decode, share of text"] == pytest.approx(
        seconds["text"] / seconds["decode"], abs=0.001
    )
    assert sum(total["steps"]["decode"].values()) == pytest.approx(1, abs=0.01)
    assert measure(path, 1, most_pages=2) is None


def test_what_cannot_be_read_is_left_out(tmp_path):
    path = tmp_path / "b.pdf"
    path.write_bytes(b"no PDF")
    assert measure(path, 1, 10) is None
