"""The benchmark of hostile files tells codes and lost parts apart."""

import os
import subprocess
import sys
from pathlib import Path

import pymupdf
import pytest

from tests.documents import epub


@pytest.mark.slow
def test_each_file_has_its_code_and_its_lost_parts(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "whole.txt").write_text("The mill grinds.\n")
    (corpus / "no.pdf").write_bytes(b"%PDF-1.7\nthis is no more a PDF\n")
    book = epub(
        corpus / "part.epub", {"a.xhtml": "<p>It grinds.</p>", "b.xhtml": "<p>It stops.</p>"}
    )
    book.write_bytes(book.read_bytes().replace(b"OEBPS/b.xhtml", b"OEBPS/c.xhtml"))
    with pymupdf.open() as document:
        for number in range(260):  # two ranges
            document.new_page().insert_text((72, 72), f"Page {number} of the ledger.")
        document.save(corpus / "long.pdf")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.hostile",
            str(corpus),
            "--out",
            str(tmp_path / "out.md"),
        ],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    rows = [line.split(" | ") for line in (tmp_path / "out.md").read_text().splitlines()]
    told = {row[0].removeprefix("| "): (row[2], row[3].strip()) for row in rows if len(row) == 6}
    del told["path"]
    assert told == {
        "whole.txt": ("ok", ""),
        "no.pdf": ("corrupt", ""),
        "part.epub": ("ok", "1"),
        "long.pdf": ("ok", ""),
    }
