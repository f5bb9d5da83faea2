"""Long files read in ranges: seconds with one and with two processes, and the peak memory of a process that reads.

    python -m benchmarks.long_files FILE... [--pages N] [--json]

With `--pages` the files are PDFs whose pages are put one after the other, over and over, into one PDF of N pages first.
Peaks are of whole processes, resident, with Python and libraries; the file's own share grows with the range, not with
the file. Pieces go through the process that joins them, so its peak is of the text of the whole file.
"""

from __future__ import annotations

import argparse
import json
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from stages.decode._mupdf import pymupdf
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode_span, find_spans, join_pieces

if TYPE_CHECKING:
    from stages.ranges import Piece, Span

_WORKERS: Final = (1, 2)
_KIB_A_MIB: Final = 1024


def main() -> None:
    """Measure, and print a line a figure or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        files = arguments.files
        if arguments.pages:
            files = [one_of(files, arguments.pages, Path(folder) / "long.pdf")]
        figures = {path.name: measure(path) for path in files}
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for name, found in figures.items():
        print(name)
        for what, value in found.items():
            print(f"  {what:34} {value}")


def one_of(files: list[Path], pages: int, out: Path) -> Path:
    """One PDF of so many pages."""
    with pymupdf.open() as long:
        for path in cycle(files):
            with pymupdf.open(path) as part:
                last = min(part.page_count, pages - long.page_count) - 1
                long.insert_pdf(part, to_page=last)
            if long.page_count >= pages:
                long.save(out)
                return out
    raise AssertionError


def measure(path: Path) -> dict[str, Any]:
    """Figures of one file."""
    media_type, spans = find_spans(path, path.suffix[1:], DecodeOptions())
    if not spans:
        return {"ranges": 0}
    figures: dict[str, Any] = {"type": media_type, "ranges": len(spans)}
    pieces: list[Piece] = []
    for workers in _WORKERS:
        start_s = perf_counter()
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            answers = list(pool.map(partial(read, path), spans))
        figures[f"seconds, {workers} processes"] = round(perf_counter() - start_s, 1)
        figures["peak MiB of one that reads"] = max(peak for _, peak in answers)
        pieces = [piece for piece, _ in answers]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        figures |= pool.submit(join, path, media_type, pieces).result()
    return figures


def read(path: Path, span: Span) -> tuple[Piece, int]:
    """A range, without its arrays, and the peak of this process in MiB."""
    piece, _ = decode_span(path, path.suffix[1:], DecodeOptions(), span)
    return piece, peak_mib()


def join(path: Path, media_type: str, pieces: list[Piece]) -> dict[str, Any]:
    """What joining takes."""
    start_s = perf_counter()
    content = join_pieces(path, media_type, pieces)
    return {
        "seconds to join": round(perf_counter() - start_s, 1),
        "peak MiB of the one that joins": peak_mib(),
        "blocks": len(content.blocks),
        "pages": len(content.pages),
    }


def peak_mib() -> int:
    """Of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // _KIB_A_MIB


if __name__ == "__main__":
    main()
