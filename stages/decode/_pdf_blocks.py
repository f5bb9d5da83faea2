"""From the lines of all pages to blocks: headings, paragraphs, lists, code and captions, without page furniture."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from schemas.content import Block
from stages.decode._pdf_apart import Apart, is_told, part, with_initials, without_told
from stages.decode._pdf_flow import SMALL_SCALE, Run, in_flow, starts_note
from stages.decode._pdf_furniture import find_furniture
from stages.decode._pdf_text import frame
from stages.decode.layout import bare, join_lines, words_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from schemas.content import BBox, BlockKind
    from stages.decode._pdf_text import PageText
    from stages.decode.layout import Line

_MAX_HEADING_CHARS: Final = 200
_MAX_BOLD_HEADING_CHARS: Final = 100
_HEADING_SCALE: Final = (
    1.12  # of the body size; a step of type is 1.2, and 1.1 already occurs inside text
)
_MAX_LEVEL: Final = 6
_INDENT_SIZES: Final = (0.7, 4.0)  # least and most indent of a first line, in font sizes
_MAX_LABEL_WORDS: Final = 6
_MIN_SMALL_CHARS: Final = (
    12  # a shorter line of small type is an index or an exponent, if it is no note
)

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
        levels = self.levels.get(page)
        return levels.get(_key(text), 0) if levels else 0


def build_blocks(
    pages: Sequence[PageText], outline: Outline, body_pt: float, apart: Mapping[int, Apart]
) -> tuple[Block, ...]:
    """Blocks of a document in reading order. Every word is in one of them, in a table, or in a header or footer.

    Args:
        pages: Text of its pages.
        outline: Its bookmarks.
        body_pt: Font size of its running text.
        apart: By page, its tables and what else is told elsewhere.

    Returns:
        Blocks with page and bbox, without headers, footers and page numbers. Words in the box of a table that its
        cells do not have are a paragraph after the text of the page; its footnotes come last. A paragraph that goes
        on over a page is one block, with the box of what is on its first page. The caption of a table is told by
        the table.
    """
    style = _Style(outline, body_pt, words_of([line.text for page in pages for line in page.lines]))
    furniture = find_furniture(pages)
    runs = in_flow(
        chain.from_iterable(
            _page_runs(page, furniture.get(page.number, ()), apart.get(page.number, Apart()), style)
            for page in pages
        ),
        body_pt,
        {page.number: page.height_pt for page in pages},
    )
    levels = _size_levels(runs, body_pt)
    blocks = [_block(run, levels, style.known) for run in runs]
    return tuple(without_told(blocks, {page: found.tables for page, found in apart.items()}))


@dataclass(frozen=True, slots=True)
class _Style:
    """What is known of the document as a whole."""

    outline: Outline
    body_pt: float
    known: frozenset[str]  # its words


def _key(title: str) -> str:
    return bare(_NUMBERING.sub("", title.strip()) or title)


def _page_runs(
    page: PageText, furniture: Container[BBox], apart: Apart, style: _Style
) -> list[Run]:
    kept: Iterable[Sequence[Line]] = page.groups
    if furniture:
        kept = ([line for line in group if line.bbox not in furniture] for group in kept)
    parted = part(kept, apart)
    runs: list[Run] = []
    for group in with_initials(parted.groups, style.body_pt, style.known):
        runs += _runs(page.number, group, style)
    if apart.tables:
        runs = [run for run in runs if not _is_told(run, apart, style)]
    loose = [Run(page.number, tuple(parted.lost), is_loose=True)] if parted.lost else []
    return runs + loose


def _is_told(run: Run, apart: Apart, style: _Style) -> bool:
    if run.heading:  # it heads what follows the table as well
        return False
    text = _text(run, style.known)
    return is_told(text, apart.tables, is_caption=run.kind == "caption")


def _runs(page: int, lines: list[Line], style: _Style) -> list[Run]:
    runs: list[Run] = []
    steps = _steps(lines, style.body_pt)
    types = [(step, line.bold, line.mono) for step, line in zip(steps, lines, strict=True)]
    for _, same in groupby(zip(types, lines, strict=True), key=itemgetter(0)):
        alike = tuple([line for _, line in same])
        heading = _heading(page, alike, style)
        pieces = [alike] if heading else _paragraphs(alike)
        runs += [Run(page, piece, heading, kind=_kind(piece)) for piece in pieces]
    return _rejoined(runs) if len(runs) > 1 else runs


def _steps(lines: Sequence[Line], body_pt: float) -> list[int]:
    """Of each line: 1 for large type, 0 for the body's, -1 for small type, as notes have."""
    steps: list[int] = []
    for line in lines:
        is_small = 0 < line.size <= SMALL_SCALE * body_pt
        if _is_large(line, body_pt):
            steps.append(1)
        elif is_small and len(line.text) < _MIN_SMALL_CHARS and not starts_note(line.text):
            steps.append(min(0, steps[-1]) if steps else 0)
        else:
            steps.append(-1 if is_small else 0)
    return steps


def _is_large(line: Line, body_pt: float) -> bool:
    return line.size >= _HEADING_SCALE * body_pt


def _heading(page: int, lines: tuple[Line, ...], style: _Style) -> int:
    if sum([len(line.text) - 1 for line in lines]) > _MAX_HEADING_CHARS:  # joining takes hyphens
        return 0
    is_large = _is_large(lines[0], style.body_pt) and not lines[0].mono
    if not (is_large or lines[0].bold or page in style.outline.levels):
        return 0
    text = join_lines([line.text for line in lines])
    if len(text) > _MAX_HEADING_CHARS or not any(map(str.isalpha, text)):
        return 0
    if level := style.outline.level(page, text):
        return level
    if is_large:
        return -1
    # Bold text of body size is a heading only where there are no bookmarks that would name it.
    alone = len(text) <= _MAX_BOLD_HEADING_CHARS and len(lines) <= 2 and text[-1] not in ".,;:"
    named = bool(style.outline.levels) or CAPTION.match(text)
    return -1 if lines[0].bold and alone and not named else 0


def _paragraphs(lines: tuple[Line, ...]) -> list[tuple[Line, ...]]:
    """Split at indented first lines and at bullets."""
    if len(lines) == 1:
        return [lines]
    pieces: list[list[Line]] = []
    starts = [frame(line)[0] for line in lines]
    left = min(starts)
    least, most = _INDENT_SIZES
    indented = [
        least * line.size <= x - left <= most * line.size
        for x, line in zip(starts, lines, strict=True)
    ]
    for i, line in enumerate(lines):
        begins = _BULLET.match(line.text) or (indented[i] and i > 0 and not indented[i - 1])
        if not pieces or (begins and not line.mono):
            pieces.append([])
        pieces[-1].append(line)
    return [tuple(piece) for piece in pieces]


def _rejoined(runs: list[Run]) -> list[Run]:
    """A bold or monospaced line inside of a paragraph does not end it."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and not last.heading and not run.heading and _flows(last.lines[-1], run.lines[0]):
            lines = last.lines + run.lines
            joined[-1] = Run(last.page, lines, kind=_kind(lines))
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


def _kind(lines: Sequence[Line]) -> BlockKind:
    if lines[0].mono and all(line.mono for line in lines):
        return "code"
    first = join_lines([line.text for line in lines[:2]])
    if CAPTION.match(first):
        return "caption"
    return "list_item" if _BULLET.match(first) else "paragraph"


def _size_levels(runs: Sequence[Run], body_pt: float) -> dict[float, int]:
    """Heading level of each font size: what the outline says of headings of that size, else by rank."""
    sizes = sorted({run.size for run in runs if run.heading == -1}, reverse=True)
    levels: dict[float, int] = {}
    for size in sizes:
        known = Counter(run.heading for run in runs if run.heading > 0 and run.size == size)
        rank = 1 + sum(other > size for other in sizes if other >= _HEADING_SCALE * body_pt)
        levels[size] = min(known.most_common(1)[0][0] if known else rank, _MAX_LEVEL)
    return levels


def _block(run: Run, levels: Mapping[float, int], known: frozenset[str]) -> Block:
    text = _text(run, known)
    if run.heading:
        level = run.heading if run.heading > 0 else levels[run.size]
        return Block("heading", text, level, run.page, run.bbox)
    return Block(run.kind, text, 0, run.page, run.bbox)


def _text(run: Run, known: frozenset[str]) -> str:
    texts = [line.text for line in run.all_lines]
    if run.kind == "code" and not run.heading:
        return "\n".join(texts)
    return " ".join(texts) if run.is_loose else join_lines(texts, known)


def is_label(text: str) -> bool:
    """Whether a line inside of a figure is one of its labels and not a sentence."""
    return len(text.split()) <= _MAX_LABEL_WORDS
