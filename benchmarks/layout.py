"""Layout of the PDFs in a folder: what is found, what is asked of the layout model, and what it costs.

    python -m benchmarks.layout FOLDER [--json] [--most-pages N]

OCR is off, so pages without a text layer count as pages and cost nothing else. Times are seconds of CPU in one process,
one thread, file after file; `get_text` is PyMuPDF's own on the same pages.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

from schemas.config import Recognition
from schemas.errors import SourceError
from stages.decode._mupdf import MUPDF_ERRORS, pymupdf
from stages.decode.options import DecodeOptions
from stages.decode.pdf import decode_pdf
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser

if TYPE_CHECKING:
    from schemas.content import Content

_WITH = Recognition(ocr=False)
_WITHOUT = Recognition(ocr=False, layout=False)


def main() -> None:
    """Measure, and print a line a figure or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--most-pages", type=int, default=300, help="leave out longer files")
    arguments = parser.parse_args()
    figures = measure(sorted(arguments.folder.rglob("*.pdf")), arguments.most_pages)
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:28} {value}")


def measure(paths: list[Path], most_pages: int) -> dict[str, Any]:
    """Counts and times over files; files that cannot be read are counted and left out."""
    recogniser = Recogniser(RecogniseOptions(_WITH))
    counts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for path in paths:
        try:
            _one(path, most_pages, recogniser, counts, seconds)
        except SourceError:
            counts["files not read"] += 1
    asked = max(1, counts["pages looked at"])
    pages = max(1, counts["pages"])
    return {
        **dict(sorted(counts.items())),
        **{f"s {name}": round(value, 2) for name, value in seconds.items()},
        "ms a page, get_text": round(1000 * seconds["get_text"] / pages, 2),
        "ms a page, decode": round(1000 * seconds["decode"] / pages, 2),
        "ms a page, with doubts": round(1000 * seconds["decode with doubts"] / pages, 2),
        "ms a page looked at": round(1000 * seconds["model"] / asked, 1),
        "share of pages looked at": round(counts["pages looked at"] / pages, 3),
    }


def _one(
    path: Path,
    most_pages: int,
    recogniser: Recogniser,
    counts: Counter[str],
    seconds: Counter[str],
) -> None:
    start = process_time()
    try:
        with pymupdf.open(path, filetype="pdf") as document:
            if document.needs_pass or document.page_count > most_pages:
                counts["files left out"] += 1
                return
            chars = sum(len(page.get_text()) for page in document)
    except MUPDF_ERRORS:
        counts["files not read"] += 1
        return
    read = process_time()
    decode_pdf(path, "application/pdf", DecodeOptions(recognition=_WITHOUT))
    plain = process_time()
    content, arrays = decode_pdf(path, "application/pdf", DecodeOptions(recognition=_WITH))
    doubted = process_time()
    decided, _ = recogniser.recognise(content, arrays)
    done = process_time()
    counts.update(files=1, pages=len(content.pages), characters=chars)
    counts.update(_counted(content, decided))
    spans = (read - start, plain - read, doubted - plain, done - doubted)
    names = ("get_text", "decode", "decode with doubts", "model")
    seconds.update(dict(zip(names, spans, strict=True)))


def _counted(content: Content, decided: Content) -> Counter[str]:
    counts: Counter[str] = Counter()
    counts["pages looked at"] = sum(page.layout_array is not None for page in content.pages)
    counts["tables with rules"] = len(content.tables)
    counts["tables in all"] = len(decided.tables)
    for doubt in content.doubts:
        stands = "stands" if doubt.stands else "not unless seen"
        counts[f"doubt: {doubt.region.kind}, {stands}"] += 1
    for region in decided.regions:
        counts[f"region: {region.kind}"] += 1
        counts[f"region: {region.kind}, with caption"] += bool(region.caption)
    return counts


if __name__ == "__main__":
    main()
