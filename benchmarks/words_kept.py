"""Of the words in the text layer of PDFs: how many end in exactly one passage or table, file by file.

    python -m benchmarks.words_kept FOLDER [--no-layout] [--json] [--worst N] [--show]

Every PDF under FOLDER is decoded, looked at by the layout model where there are doubts (--no-layout leaves none) and
segmented, with the default options otherwise. The words of its text layer are those of
PyMuPDF's ``get_text("words")``, taken apart into runs of letters and runs of digits (one character each in scripts
without spaces), ligatures spelled out, case aside. A word is kept when a text/paragraph or table/table unit has it that
begins on its page or, for a text that goes on, on one of the pages before; a heading is kept by being in the context
of a passage. What is written in a figure (the names of its axes, the boxes of a flow chart) is told by the unit of the
figure, page/region, and is in no passage: a word that is left after passages and tables is kept by that, and counted
apart as `in figures`. Two halves of a word that a line end cut are kept by the whole word.

- lost: words in no unit. Headers, footers and page numbers are left out of the count: lines in the outer 12 % of the
  page that come again within four pages, or carry a number that grows with the pages. `left out` says how many.
- doubled: words that units have more often than the page does.
- kept: the share of the words that are neither.

Pages that are sent to OCR are not counted, their number is told. A text that is drawn twice in one place is one text.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.pdf_words import PageWords, layer, margin_lines, mark_furniture, tokens
from schemas.config import Recognition
from schemas.errors import SourceError
from schemas.partition import PAGE_REGION, TABLE_TABLE, TEXT_PARAGRAPH
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.segment._headings import is_heading
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.content import Content
    from schemas.unit import Unit

_PAGES_ON: Final = 3  # how far a passage may run on
_TABLE_PAGES_ON: Final = 30
_SHOWN: Final = 12
# What is left open until a page is looked at is decided; nothing is read.
_RECOGNISER: Final = Recogniser(RecogniseOptions(Recognition(ocr=False)))


@dataclass(slots=True)
class Kept:
    """What became of the words of one file."""

    path: str
    pages: int = 0
    ocr_pages: int = 0
    words: int = 0
    left_out: int = 0
    in_figures: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    doubled: Counter[str] = field(default_factory=Counter)
    where: Counter[str] = field(default_factory=Counter)
    lost_by_page: dict[int, list[str]] = field(default_factory=dict)
    error: str = ""

    @property
    def kept(self) -> float:
        """Share 0 to 1; 1 for a file without words."""
        wrong = self.lost.total() + self.doubled.total()
        return max(0.0, 1 - wrong / self.words) if self.words else 1.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": self.path,
            "pages": self.pages,
            "ocr_pages": self.ocr_pages,
            "words": self.words,
            "left_out": self.left_out,
            "in_figures": self.in_figures,
            "lost": self.lost.total(),
            "doubled": self.doubled.total(),
            "kept": round(self.kept, 5),
            "where": dict(self.where),
            "lost_words": [word for word, _ in self.lost.most_common(_SHOWN)],
            "doubled_words": [word for word, _ in self.doubled.most_common(_SHOWN)],
            "error": self.error,
        }


def words_kept(path: Path, name: str, *, layout: bool = True) -> Kept:
    """Measure one file, with a look by the layout model where there are doubts or without."""
    kept = Kept(name)
    try:
        options = DecodeOptions(recognition=Recognition(layout=layout))
        content, arrays = decode(path, "pdf", options)
    except SourceError as error:
        kept.error = error.code
        return kept
    read = {page.number for page in content.pages if page.ocr_array is None}
    pages = {page.number: page for page in layer(path) if page.number in read}
    content, arrays = _RECOGNISER.recognise(content, arrays)
    units = segment("source", content, arrays, SegmentOptions())
    kept.pages, kept.ocr_pages = len(content.pages), len(content.pages) - len(read)
    mark_furniture(pages)
    furniture = {number: page.tokens(page.furniture) for number, page in pages.items()}
    left = {number: page.tokens() - furniture[number] for number, page in pages.items()}
    told = _told(content, units)
    _join_halves(pages, left, told)
    headings = _take_headings(left, content, units)
    labels = _take_labels(left, content, units)
    surplus = _take((left, headings, labels, furniture), told)
    kept.in_figures = sum(found.total() for found in labels.values())
    _rejoin(
        left,
        surplus,
        {t for p in pages.values() for w in p.words if w.is_cut for t in w.tokens[-1:]},
    )
    for number, page in pages.items():
        kept.words += sum(len(word.tokens) for word in page.words)
        kept.left_out += furniture[number].total()
        if lost := left[number]:
            kept.lost += lost
            kept.lost_by_page[number] = sorted(lost.elements())
            kept.where += _where(page, lost, content)
    kept.words -= kept.left_out
    kept.doubled = surplus
    return kept


def _told(content: Content, units: Sequence[Unit]) -> list[tuple[int, int, Counter[str]]]:
    """(page, how many pages it may run on, tokens) of each unit."""
    passages = [unit for unit in units if unit.partition == TEXT_PARAGRAPH]
    told = [(u.locator.page or 1, _PAGES_ON, Counter(tokens(u.text))) for u in passages]
    told += [
        (unit.locator.page or 1, _TABLE_PAGES_ON, _table_tokens(unit, content))
        for unit in units
        if unit.partition == TABLE_TABLE
    ]
    return sorted(told, key=lambda item: item[0])


def _join_halves(
    pages: dict[int, PageWords],
    left: dict[int, Counter[str]],
    told: Iterable[tuple[int, int, Counter[str]]],
) -> None:
    """Put words together that a line end cuts, if units have them whole more often than pages do."""
    wanted: Counter[str] = Counter()
    for _, _, found in told:
        wanted += found
    for found in left.values():
        wanted -= found
    words = [
        (number, word)
        for number, page in sorted(pages.items())
        for word in page.words
        if word.tokens and word.line not in page.furniture
    ]
    for (number, word), (later, following) in pairwise(words):
        first, second = word.tokens[-1], following.tokens[0]
        if word.is_cut and later - number <= 1 and wanted[first + second] > 0:
            wanted[first + second] -= 1
            left[number][first] -= 1
            left[later][second] -= 1
            left[number][first + second] += 1


def _take_headings(
    left: dict[int, Counter[str]], content: Content, units: Iterable[Unit]
) -> dict[int, Counter[str]]:
    """Take headings that are in the context of passages off their pages, and give them."""
    taken: dict[int, Counter[str]] = {number: Counter() for number in left}
    context = {name for unit in units for name in unit.context.split(" > ")}
    for block in content.blocks:
        if is_heading(block) and block.text in context and block.page in left:
            told = Counter(tokens(block.text)) & left[block.page]
            left[block.page] -= told
            taken[block.page] += told
    return taken


def _take_labels(
    left: dict[int, Counter[str]], content: Content, units: Iterable[Unit]
) -> dict[int, Counter[str]]:
    """Take what is written in figures off their pages, and give it."""
    taken: dict[int, Counter[str]] = {number: Counter() for number in left}
    for unit in units:
        number = unit.locator.page or 1
        if (
            unit.partition == PAGE_REGION
            and unit.attributes["kind"] in ("figure", "picture")
            and number in left
        ):
            told = _label_tokens(unit, content) & left[number]
            left[number] -= told
            taken[number] += told
    return taken


def _table_tokens(unit: Unit, content: Content) -> Counter[str]:
    """Tokens of a table or a part of it; caption and header are on each part and count on the first."""
    found = Counter(tokens(unit.text))
    if unit.locator.table is not None and (unit.locator.part or 1) > 1:
        table = content.tables[unit.locator.table - 1]
        found -= Counter(tokens(" ".join((table.caption, *table.header))))
    return found


def _label_tokens(unit: Unit, content: Content) -> Counter[str]:
    """Tokens of what is written in a figure; its caption stands in the text around it as well."""
    captions = [
        region.caption
        for region in content.regions
        if (region.page, region.bbox) == (unit.locator.page, unit.locator.bbox)
    ]
    return Counter(tokens(unit.text)) - Counter(tokens(" ".join(captions)))


def _take(
    piles: tuple[dict[int, Counter[str]], ...], told: Iterable[tuple[int, int, Counter[str]]]
) -> Counter[str]:
    """Take what is told off the pages; gives what was on none.

    The first pile is what must be told. What is not in it is taken off the next ones: headings, some of which are
    passages as well; labels of figures, which are not the figure's alone if a passage has them; headers and footers.
    """
    surplus: Counter[str] = Counter()
    left = piles[0]
    waiting = []
    for page, further, found in told:
        if page not in left:  # it is read by OCR
            continue
        rest = found - left[page]
        left[page] -= found
        if rest:
            waiting.append((page, further, rest))
    for page, further, found in waiting:
        rest = found
        for pile in piles:
            for number in range(page, page + further + 1):
                if rest and number in pile:
                    rest, pile[number] = rest - pile[number], pile[number] - rest
        surplus += rest
    return surplus


def _rejoin(left: dict[int, Counter[str]], surplus: Counter[str], cut: set[str]) -> None:
    """A word that was put together again takes its two halves off."""
    for whole in list(surplus):
        for at in range(1, len(whole)):
            first, second = whole[:at], whole[at:]
            if first not in cut:
                continue
            for number in list(left):
                while surplus[whole] > 0 and left[number][first] > 0:
                    other = next(
                        (n for n in (number, number + 1) if left.get(n, Counter())[second] > 0),
                        None,
                    )
                    if other is None:
                        break
                    left[number][first] -= 1
                    left[other][second] -= 1
                    surplus[whole] -= 1
    for counter in (*left.values(), surplus):
        for key in [key for key, count in counter.items() if count <= 0]:
            del counter[key]


def _where(page: PageWords, lost: Counter[str], content: Content) -> Counter[str]:
    """In what kind of place the lost words stand."""
    boxes = [("table", t.bbox) for t in content.tables if t.page == page.number and t.bbox]
    boxes += [(r.kind, r.bbox) for r in content.regions if r.page == page.number]
    rest = Counter(lost)
    found: Counter[str] = Counter()
    margin = margin_lines(page)
    for word in page.words:
        for token in word.tokens:
            if rest[token] <= 0:
                continue
            rest[token] -= 1
            x, y = (word.bbox[0] + word.bbox[2]) / 2, (word.bbox[1] + word.bbox[3]) / 2
            inside = [kind for kind, b in boxes if b[0] <= x <= b[2] and b[1] <= y <= b[3]]
            found[inside[0] if inside else "margin" if word.line in margin else "body"] += 1
    return found


def report(files: list[Kept], worst: int) -> str:
    """A Markdown table of the worst files, and the totals."""
    rows = [
        "| file | pages | to OCR | words | left out | in figures | lost | doubled | kept | lost in |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for f in sorted(files, key=lambda f: (f.kept, f.path))[:worst]:
        where = ", ".join(f"{kind} {count}" for kind, count in f.where.most_common())
        rows.append(
            f"| {f.path} | {f.pages} | {f.ocr_pages} | {f.words} | {f.left_out} | {f.in_figures} |"
            f" {f.lost.total()} | {f.doubled.total()} | {f.kept:.2%} | {f.error or where} |"
        )
    counted = [f for f in files if f.words]
    words = sum(f.words for f in counted)
    wrong = sum(f.lost.total() + f.doubled.total() for f in counted)
    good = sum(f.kept >= 0.99 for f in counted)
    rows.append(
        f"\n{len(files)} files, {len(counted)} with a text layer that is read, {words} words:"
        f" {1 - wrong / max(1, words):.3%}"
        f" kept; {good} of {len(counted)} files keep 99 % and more; {sum(f.left_out for f in counted)} words in"
        f" headers and footers left out; {sum(f.in_figures for f in counted)} in figures;"
        f" {sum(f.ocr_pages for f in files)} pages go to OCR"
    )
    return "\n".join(rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-layout", action="store_true", help="no layout model")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--worst", type=int, default=20, help="rows of the table")
    parser.add_argument(
        "--show", action="store_true", help="lost words by page, for a small FOLDER or one file"
    )
    args = parser.parse_args()
    root: Path = args.folder
    paths = sorted(root.rglob("*.pdf")) if root.is_dir() else [root]
    files = [
        words_kept(
            path,
            str(path.relative_to(root)) if root.is_dir() else path.name,
            layout=not args.no_layout,
        )
        for path in paths
    ]
    if args.json:
        print(json.dumps({"files": [f.as_dict() for f in files]}, indent=1))
        return
    if args.show:
        for f in files:
            for number, lost in f.lost_by_page.items():
                print(f"{f.path} page {number}: lost {' '.join(lost)}")
            print(f"{f.path}: doubled {' '.join(sorted(f.doubled.elements()))}")
    print(report(files, args.worst))


if __name__ == "__main__":
    main()
