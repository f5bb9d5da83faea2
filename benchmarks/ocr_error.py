"""How well OCR reads what is known: pages of born-digital PDFs drawn as scans, against their text layer.

    python -m benchmarks.ocr_error FOLDER [--pages N] [--noise SIGMA] [--skew DEGREES] [--turn QUARTERS] [--json]

Pages of every PDF under FOLDER that have a text layer of 50 words and more are taken in turn (the same for the same
folder), at most N in all. Each is rendered in grey at 144 DPI, as the decoder renders a page for OCR, made noisy
(Gaussian, SIGMA of 255), skewed and turned, and read by the project's own reader. The reference is the text of the page
as the decoder reads it, lines in reading order, words put together over line ends; both are compared as words in small
letters without punctuation.

- WER: word error rate of jiwer (Levenshtein over words), in reading order.
- unread: the share of the words of the reference that OCR does not have, wherever they stand: what is left of the
  error when the order is no matter.
- glued: the share of the words read that are two neighbours of the reference in one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jiwer
import numpy as np
from PIL import Image

from benchmarks.pdf_words import tokens
from stages.decode._mupdf import pymupdf
from stages.decode._pdf_regions import read_drawn
from stages.decode._pdf_text import read_text, text_layer
from stages.decode.layout import area
from stages.recognise.ocr import OcrReader, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_DPI: Final = 144
_MIN_WORDS: Final = 50
_MAX_PICTURE_SHARE: Final = 0.5
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Flaws:
    """What is wrong with a scan: noise in grey levels, skew in degrees, quarter turns counter-clockwise."""

    noise: float = 0.0
    skew: float = 0.0
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """One page as it was read."""

    path: str
    page: int
    words: int
    errors: int  # substitutions, insertions and deletions
    unread: int
    glued: int
    seconds: float

    @property
    def wer(self) -> float:
        """Word error rate."""
        return self.errors / self.words


def scan_of(page: Any, flaws: Flaws) -> NDArray[np.uint8]:
    """A page as a scanner gives it, uint8 [H, W, 1]."""
    pixmap = page.get_pixmap(dpi=_DPI, colorspace=pymupdf.csGRAY, alpha=False)
    rows = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.stride)
    image = Image.fromarray(rows[:, : pixmap.width].copy())
    if flaws.skew:
        image = image.rotate(flaws.skew, Image.Resampling.BICUBIC, fillcolor=255)
    pixels = np.rot90(np.asarray(image, dtype=np.float32), flaws.turn)
    noise = np.random.default_rng(_SEED).normal(0, flaws.noise, pixels.shape) if flaws.noise else 0
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)[:, :, None]


def known_pages(root: Path, most: int) -> Iterator[tuple[str, Path, int, str]]:
    """(name, file, page, text) of born-digital pages: one of each file in turn, spread over its pages."""
    files = []
    for path in sorted(root.rglob("*.pdf")) if root.is_dir() else [root]:
        with opened(path) as document:
            files.append((path, _spread(document.page_count, most)))
    taken = 0
    for turn in range(most):
        for path, numbers in files:
            text = _text(path, numbers[turn]) if taken < most and turn < len(numbers) else ""
            if len(tokens(text)) >= _MIN_WORDS:
                taken += 1
                yield path.name, path, numbers[turn], text


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A pymupdf.Document; one that needs a password has no pages here."""
    pymupdf.TOOLS.mupdf_display_errors(False)
    with pymupdf.open(path, filetype="pdf") as document:
        yield document if not document.needs_pass or document.authenticate("") else pymupdf.open()


def _spread(count: int, most: int) -> list[int]:
    """Page numbers from all over a file, the middle first."""
    some = min(count, most)
    numbers = {1 + int(count * (i + 0.5) / some) for i in range(some)}
    return sorted(numbers, key=lambda number: (abs(number - count / 2), number))


def _text(path: Path, number: int) -> str:
    """What the decoder reads on a page; empty where a picture covers most of it."""
    with opened(path) as document:
        page = document[number - 1]
        width, height = page.rect.width, page.rect.height
        shown = page.get_displaylist()
        pictures = max((area(box) for box in read_drawn(shown).images), default=0.0)
        if pictures > _MAX_PICTURE_SHARE * width * height:
            return ""
        text = read_text(number, text_layer(shown), (width, height))
        return "" if text.is_broken else text.text


def read(reader: OcrReader, named: tuple[str, Path, int, str], flaws: Flaws) -> Read:
    """Draw one page as a scan, read it, and compare."""
    name, path, number, text = named
    with opened(path) as document:
        scan = scan_of(document[number - 1], flaws)
    started_s = time.perf_counter()
    found = text_of(reader.read(scan))
    seconds = time.perf_counter() - started_s
    wanted, got = _words(text), _words(found)
    measured = jiwer.process_words(" ".join(wanted), " ".join(got) or "-")
    errors = measured.substitutions + measured.insertions + measured.deletions
    both = {a + b for a, b in pairwise(wanted)}
    unread = (Counter(wanted) - Counter(got)).total()
    glued = sum(word in both for word in (Counter(got) - Counter(wanted)).elements())
    return Read(name, number, len(wanted), errors, unread, glued, seconds)


def _words(text: str) -> list[str]:
    """Words with those joined that a line end cuts: a hyphen there is no sign of its own."""
    lines = text.replace("-\n", "").replace("\u2010\n", "")
    return list(tokens(lines))


def report(pages: list[Read], flaws: Flaws, worst: int) -> str:
    """A Markdown table of the worst pages, and the totals."""
    rows = [
        "| file | page | words | WER | unread | glued | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {p.path} | {p.page} | {p.words} | {p.wer:.1%} | {p.unread / p.words:.1%} | {p.glued / p.words:.1%} |"
        f" {p.seconds:.1f} |"
        for p in sorted(pages, key=lambda p: (-p.wer, p.path))[:worst]
    ]
    return "\n".join((*rows, "", _totals(pages, flaws)))


def _totals(pages: list[Read], flaws: Flaws) -> str:
    words = max(1, sum(p.words for p in pages))
    wers = sorted(p.wer for p in pages) or [0.0]
    return (
        f"{len(pages)} pages, {words} words, noise {flaws.noise:g}, skew {flaws.skew:g}, turn {flaws.turn}:"
        f" WER {sum(p.errors for p in pages) / words:.2%} (median page {wers[len(wers) // 2]:.2%}),"
        f" unread {sum(p.unread for p in pages) / words:.2%}, glued {sum(p.glued for p in pages) / words:.2%},"
        f" {sum(p.seconds for p in pages) / max(1, len(pages)):.1f} s a page"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=60, help="pages in all")
    parser.add_argument(
        "--noise", type=float, default=0.0, help="standard deviation in grey levels"
    )
    parser.add_argument("--skew", type=float, default=0.0, help="degrees counter-clockwise")
    parser.add_argument("--turn", type=int, default=0, help="quarter turns counter-clockwise")
    parser.add_argument("--worst", type=int, default=15, help="rows of the table")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    flaws = Flaws(args.noise, args.skew, args.turn)
    reader = OcrReader(threads=len(os.sched_getaffinity(0)))
    pages = [read(reader, named, flaws) for named in known_pages(args.folder, args.pages)]
    if args.json:
        print(
            json.dumps(
                {"flaws": asdict(flaws), "pages": [asdict(p) | {"wer": p.wer} for p in pages]},
                indent=1,
            )
        )
    else:
        print(report(pages, flaws, args.worst))


if __name__ == "__main__":
    main()
