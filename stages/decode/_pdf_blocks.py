"""From the lines of all pages to blocks: headings, paragraphs, lists, code and captions, without page furniture."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from schemas.content import Block
from stages.decode.layout import Line, join_lines, share_inside, union, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from schemas.content import BBox, BlockKind
    from stages.decode._pdf_text import PageText

_MARGIN_SHARE: Final = (
    0.12  # of the page height, at the top and at the bottom, where furniture stands
)
_MIN_REPEATS: Final = 3
_MAX_HEADING_CHARS: Final = 200
_MAX_BOLD_HEADING_CHARS: Final = 100
_HEADING_SCALE: Final = (
    1.12  # of the body size; a step of type is 1.2, and 1.1 already occurs inside text
)
_MAX_LEVEL: Final = 6
_INDENT_SIZES: Final = (0.7, 4.0)  # least and most indent of a first line, in font sizes
_INSIDE_SHARE: Final = 0.6
_MAX_LABEL_WORDS: Final = 6

_PAGE_NUMBER: Final = re.compile(
    r"(?:[-\u2013\u2014\s|]*(?:page|seite|p\.)?\s*(?:\d{1,5}|[ivxlc]{1,7})(?:\s*(?:/|of|von)\s*\d{1,5})?[-\u2013\u2014\s|.]*)",
    re.IGNORECASE,
)
_EDGE_NUMBER: Final = re.compile(r"^\d{1,5}(?=\s)|(?<=\s)\d{1,5}$")
_BULLET: Final = re.compile(
    r"(?:[\u2022\u2023\u25aa\u25cf\u25e6\u2043\u2219\u25a0\u25ba\u2013*]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+\S"
)
CAPTION: Final = re.compile(
    r"(?:fig(?:ure|\.)?|table|chart|plate|scheme|exhibit|map|listing|abb(?:ildung|\.)|tab(?:elle|\.)|tableau"
    r"|figura|tabla|tabela|abbildung)\s*(?:\d+(?:[.\-]\d+)*|[IVX]+|[A-Z](?:\.\d+)+)\s*[a-z]?\s*(?:[.:\u2013\u2014)\-]|$|\s[A-Z])",
    re.IGNORECASE,
)
_NUMBERING: Final = re.compile(
    r"^(?:(?:chapter|section|appendix|part)\s+)?(?:[A-Z]?\d*(?:\.\d+)*[.:]?)\s+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Outline:
    """Bookmarks of the file: page -> normalised title -> level (1 is the highest)."""

    levels: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Sequence[object]]) -> Outline:
        """From pymupdf's ``[[level, title, page], ...]``; entries without a page are left out."""
        levels: dict[int, dict[str, int]] = defaultdict(dict)
        for level, title, page, *_ in entries:
            key = _key(str(title))
            if key and isinstance(page, int) and isinstance(level, int) and page > 0:
                levels[page].setdefault(key, min(level, _MAX_LEVEL))
        return cls(dict(levels))

    def level(self, page: int, text: str) -> int:
        """Level of the bookmark with this text on this page, 0 if there is none."""
        return self.levels.get(page, {}).get(_key(text), 0)


def build_blocks(
    pages: Sequence[PageText], outline: Outline, body_pt: float, taken: Mapping[int, Sequence[BBox]]
) -> tuple[Block, ...]:
    """Blocks of a document in reading order.

    Args:
        pages: Text of its pages.
        outline: Its bookmarks.
        body_pt: Font size of its running text.
        taken: By page, boxes whose text stands elsewhere (tables) or is a label inside of a figure.

    Returns:
        Blocks with page and bbox, without headers, footers and page numbers that repeat.
    """
    furniture = _furniture(pages)
    runs: list[_Run] = []
    for page in pages:
        for group in page.groups:
            boxes = taken.get(page.number, ())
            kept = [
                line
                for line in group
                if (page.number, line.bbox) not in furniture
                and not any(_inside(line, box) for box in boxes)
            ]
            runs += _runs(page.number, kept, outline, body_pt)
    levels = _size_levels(runs, body_pt)
    known = words_of(line.text for page in pages for line in page.lines)
    return tuple(_block(run, levels, known) for run in runs)


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines of one group that are one thing. `heading`: 0 no, -1 by its type, else level from the outline."""

    page: int
    lines: tuple[Line, ...]
    heading: int

    @property
    def size(self) -> float:
        return round(max(line.size for line in self.lines) * 2) / 2


def _key(title: str) -> str:
    bare = _NUMBERING.sub("", title.strip()) or title
    return "".join(c for c in bare.casefold() if c.isalnum())


def _inside(line: Line, box: BBox) -> bool:
    return share_inside(line.bbox, box) >= _INSIDE_SHARE


def _furniture(pages: Sequence[PageText]) -> set[tuple[int, BBox]]:
    """Lines in the margins that repeat over pages (digits apart) and page numbers that stand alone."""
    if len(pages) < 2:
        return set()
    places: dict[str, list[tuple[int, BBox]]] = defaultdict(list)
    found: set[tuple[int, BBox]] = set()
    for page in pages:
        for line in _margin_lines(page):
            place = (page.number, line.bbox)
            if _PAGE_NUMBER.fullmatch(line.text):
                found.add(place)
            places[re.sub(r"\d+", "#", line.text)].append(place)
    least = min(_MIN_REPEATS, len(pages))
    for same in places.values():
        if len({number for number, _ in same}) >= least:
            found.update(same)
    return found | _numbered(pages, least)


def _numbered(pages: Sequence[PageText], least: int) -> set[tuple[int, BBox]]:
    """Running titles that begin or end with the page number: their words change with the chapter.

    The number printed differs from the number in the file by the same amount on most pages; a first or last line
    that keeps to this difference is a running title.
    """
    offsets: dict[tuple[int, BBox], set[int]] = {}
    for page in pages:
        lines = sorted(_margin_lines(page), key=lambda line: line.bbox[1])
        for line in (*lines[:1], *lines[-1:]):
            numbers = _EDGE_NUMBER.findall(line.text)
            offsets[page.number, line.bbox] = {int(n) - page.number for n in numbers}
    counts = Counter(offset for found in offsets.values() for offset in found)
    if not counts:
        return set()
    usual, count = max(counts.items(), key=lambda item: (item[1], -abs(item[0])))
    if count < max(_MIN_REPEATS, least):
        return set()
    return {place for place, found in offsets.items() if usual in found}


def _margin_lines(page: PageText) -> list[Line]:
    top, bottom = _MARGIN_SHARE * page.height_pt, (1 - _MARGIN_SHARE) * page.height_pt
    return [line for line in page.lines if line.bbox[3] <= top or line.bbox[1] >= bottom]


def _runs(page: int, lines: list[Line], outline: Outline, body_pt: float) -> list[_Run]:
    runs: list[_Run] = []
    for _, same in groupby(
        lines, key=lambda line: (_is_large(line, body_pt), line.bold, line.mono)
    ):
        part = tuple(same)
        heading = _heading(page, part, outline, body_pt)
        pieces = [part] if heading else _paragraphs(part)
        runs += [_Run(page, tuple(piece), heading) for piece in pieces]
    return _rejoined(runs)


def _is_large(line: Line, body_pt: float) -> bool:
    return line.size >= _HEADING_SCALE * body_pt


def _heading(page: int, lines: tuple[Line, ...], outline: Outline, body_pt: float) -> int:
    text = join_lines(line.text for line in lines)
    if len(text) > _MAX_HEADING_CHARS or not any(c.isalpha() for c in text):
        return 0
    if level := outline.level(page, text):
        return level
    if _is_large(lines[0], body_pt) and not lines[0].mono:
        return -1
    # Bold text of body size is a heading only where there are no bookmarks that would name it.
    alone = len(text) <= _MAX_BOLD_HEADING_CHARS and len(lines) <= 2 and text[-1] not in ".,;:"
    return -1 if lines[0].bold and alone and not outline.levels and not CAPTION.match(text) else 0


def _paragraphs(lines: tuple[Line, ...]) -> list[list[Line]]:
    """Split at indented first lines and at bullets."""
    pieces: list[list[Line]] = []
    left = min(line.bbox[0] for line in lines)
    for i, line in enumerate(lines):
        follows = i > 0 and not _indented(lines[i - 1], left)
        starts = _BULLET.match(line.text) or (follows and _indented(line, left))
        if not pieces or (starts and not line.mono):
            pieces.append([])
        pieces[-1].append(line)
    return pieces


def _indented(line: Line, left: float) -> bool:
    least, most = _INDENT_SIZES
    return least * line.size <= line.bbox[0] - left <= most * line.size


def _rejoined(runs: list[_Run]) -> list[_Run]:
    """A bold or monospaced line inside of a paragraph does not end it."""
    joined: list[_Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and not last.heading and not run.heading and _flows(last.lines[-1], run.lines[0]):
            joined[-1] = _Run(last.page, last.lines + run.lines, 0)
        else:
            joined.append(run)
    return joined


def _flows(before: Line, after: Line) -> bool:
    """Whether two neighbouring lines of different type are one sentence."""
    return (
        before.mono == after.mono
        and abs(before.size - after.size) < 1
        and not _BULLET.match(after.text)
        and before.text[-1] not in ".:!?"
    )


def _size_levels(runs: Sequence[_Run], body_pt: float) -> dict[float, int]:
    """Heading level of each font size: what the outline says of headings of that size, else by rank."""
    sizes = sorted({run.size for run in runs if run.heading == -1}, reverse=True)
    levels: dict[float, int] = {}
    for size in sizes:
        known = Counter(run.heading for run in runs if run.heading > 0 and run.size == size)
        rank = 1 + sum(other > size for other in sizes if other >= _HEADING_SCALE * body_pt)
        levels[size] = min(known.most_common(1)[0][0] if known else rank, _MAX_LEVEL)
    return levels


def _block(run: _Run, levels: Mapping[float, int], known: frozenset[str]) -> Block:
    texts = [line.text for line in run.lines]
    bbox = union(line.bbox for line in run.lines)
    if run.heading:
        level = run.heading if run.heading > 0 else levels[run.size]
        return Block("heading", join_lines(texts, known), level, run.page, bbox)
    if all(line.mono for line in run.lines):
        return Block("code", "\n".join(texts), 0, run.page, bbox)
    text = join_lines(texts, known)
    kind: BlockKind = "paragraph"
    if CAPTION.match(text):
        kind = "caption"
    elif _BULLET.match(text):
        kind = "list_item"
    return Block(kind, text, 0, run.page, bbox)


def is_label(line: Line) -> bool:
    """Whether a line inside of a figure is one of its labels and not a sentence."""
    return len(line.text.split()) <= _MAX_LABEL_WORDS
