"""Words of the text layer of PDFs, with the rows that are headers and footers: what `words_kept` measures against."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stages.decode._mupdf import pymupdf
from stages.decode._scripts import UNSPACED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.content import BBox

_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+")
_FLAGS: Final = (
    pymupdf.TEXT_PRESERVE_LIGATURES | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
)
_HYPHENS: Final = ("-", "\u2010", "\u00ad")
_MARGIN_SHARE: Final = 0.12
_WINDOW: Final = 4
_REPEATS: Final = 3
_BASELINE_PT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text layer: its tokens, box and line."""

    tokens: tuple[str, ...]
    bbox: BBox
    line: int
    is_cut: bool  # by a hyphen at the end of its line


@dataclass(slots=True)
class PageWords:
    """Words of a page, and the lines they stand in."""

    number: int
    height: float
    words: list[Word]
    lines: dict[int, str] = field(default_factory=dict)
    furniture: set[int] = field(default_factory=set)

    def tokens(self, lines: set[int] | None = None) -> Counter[str]:
        """How often each is there, in all lines or in some."""
        return Counter(t for w in self.words if lines is None or w.line in lines for t in w.tokens)


def tokens(text: str) -> tuple[str, ...]:
    """Runs of letters and runs of digits; single characters where no spaces are written."""
    text = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    found: list[str] = []
    for run in _TOKEN.findall(text):
        found += run if UNSPACED.search(run) else (run,)
    return tuple(found)


def layer(path: Path) -> Iterator[PageWords]:
    """Words of each page."""
    with pymupdf.open(path, filetype="pdf") as document:
        document.authenticate("")
        for page in document:
            yield _page_words(page)


def _page_words(page: Any) -> PageWords:
    raw = page.get_text("words", flags=_FLAGS)
    seen: set[tuple[str, int, int]] = set()
    words: list[Word] = []
    lines: defaultdict[int, list[str]] = defaultdict(list)
    numbers: dict[tuple[int, int], int] = {}
    for x0, y0, x1, y1, text, block, line, _ in raw:
        place = (text, round(x0 / 2), round(y0 / 2))
        if place in seen:
            continue
        seen.add(place)
        number = numbers.setdefault((block, line), len(numbers))
        lines[number].append(text)
        box = tuple(pymupdf.Rect(x0, y0, x1, y1) * page.rotation_matrix)
        words.append(Word(tokens(text), box, number, text.endswith(_HYPHENS)))
    told = {number: " ".join(texts) for number, texts in lines.items()}
    return PageWords(page.number + 1, page.rect.height, words, told)


def mark_furniture(pages: dict[int, PageWords]) -> None:
    """Mark rows in the margins that come again near by, are a page number, or carry one that grows."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    found: list[tuple[PageWords, set[int], list[str]]] = []
    for page in pages.values():
        for row in _margin_rows(page):
            text = " ".join(page.lines[line] for line in row).casefold()
            keys = [re.sub(r"\d+", "#", text)]
            numbers = re.findall(r"^\d{1,5}\b|\b\d{1,5}$", text)
            keys += [f"number {int(number) - page.number}" for number in numbers]
            keys += ["roman"] * bool(re.fullmatch(r"[ivxlc]{1,7}", text))
            found.append((page, set(row), keys))
            for key in keys:
                places[key].add(page.number)
    least = min(_REPEATS, len(pages))
    for page, lines, keys in found:
        near = range(page.number - _WINDOW, page.number + _WINDOW + 1)
        if len(pages) > 1 and any(len(places[key].intersection(near)) >= least for key in keys):
            page.furniture |= lines


def _margin_rows(page: PageWords) -> list[list[int]]:
    """Lines in the margins, those on one baseline together."""
    lower = {w.line: w.bbox[3] for w in page.words}
    left = {w.line: w.bbox[0] for w in reversed(page.words)}
    rows: list[list[int]] = []
    for line in sorted(margin_lines(page), key=lambda line: (lower[line], line)):
        if rows and lower[line] - lower[rows[-1][-1]] <= _BASELINE_PT:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: left[line]) for row in rows]


def margin_lines(page: PageWords) -> set[int]:
    """Numbers of the lines in the upper and lower margin."""
    top, bottom = _MARGIN_SHARE * page.height, (1 - _MARGIN_SHARE) * page.height
    return {w.line for w in page.words if w.bbox[3] <= top or w.bbox[1] >= bottom}
