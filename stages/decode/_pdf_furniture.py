"""Headers, footers and page numbers: what stands at the edge of page after page."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from stages.decode.layout import Line, upright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.content import BBox
    from stages.decode._pdf_text import PageText

_MARGIN_SHARE: Final = (
    0.12  # of the page height, at the top and at the bottom, where furniture stands
)
_MAX_ROWS: Final = 4  # of furniture at one edge
_WINDOW: Final = (
    4  # pages before and after: a running title is there again, on the other side at the latest
)
_MIN_REPEATS: Final = 3
_MAX_NUMBER_CHARS: Final = 40
_SAME_HEIGHT_PT: Final = 3.0
_SAME_BASELINE: Final = 0.5  # in font sizes

_PAGE_NUMBER: Final = re.compile(
    r"[-\u2013\u2014\s|\[(]*(?:page|seite|p\.|pag\.|p\u00e1gina|pagina|sivu|side|sida|strona|strana|stran|oldal|"
    r"\u0441\u0442\u0440\.?|\u7b2c)?\s*(?:\d{1,5}|[ivxlc]{1,7})\s*"
    r"(?:(?:/|of|von|de|sur|di|van|iz|z|\u0438\u0437)\s*\d{1,5})?\s*(?:\u9801|\u9875|\u30da\u30fc\u30b8)?[-\u2013\u2014\s|.\])]*",
    re.IGNORECASE,
)
_EDGE_NUMBER: Final = re.compile(r"^\d{1,5}(?=\W)|(?<=\W)\d{1,5}$|^\d{1,5}$")
_DIGITS: Final = re.compile(r"\d+")


@dataclass(frozen=True)
class _Row:
    """What stands on one baseline near an edge. `edge`: turn of its text, and whether it is the lower edge."""

    page: int
    edge: tuple[int, bool]
    depth: int  # 0 is the outermost
    height: float  # of its baseline below the top of its page, as its text runs, in points
    lines: tuple[Line, ...]

    @cached_property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @cached_property
    def key(self) -> tuple[bool, str]:
        """The edge and the text, whatever numbers are in it: a page on its side has the same ones."""
        return self.edge[1], _DIGITS.sub("#", self.text.casefold())

    @cached_property
    def offsets(self) -> frozenset[int]:
        return _offsets(self.text, self.page)


def find_furniture(pages: Sequence[PageText]) -> dict[int, set[BBox]]:
    """Boxes of lines of headers and footers, by page number.

    Rows are taken off from the edge inwards as long as they are furniture: they repeat on the pages around at the
    same height (numbers may differ), or are a page number, or begin or end with a number that grows with the pages.
    So a heading that happens to be the first of the body on many pages stays.

    Args:
        pages: All pages of the document; one page alone has no furniture.
    """
    if len(pages) < 2:
        return {}
    rows = [row for page in pages for row in _rows(page)]
    repeats = _Repeats(rows, min(_MIN_REPEATS, len(pages)))
    found: defaultdict[int, set[BBox]] = defaultdict(set)
    reached: dict[tuple[int, tuple[int, bool]], int] = defaultdict(int)
    for row in rows:  # outermost first
        edge = (row.page, row.edge)
        if reached[edge] == row.depth and repeats.is_furniture(row):
            reached[edge] += 1
            found[row.page].update(line.bbox for line in row.lines)
    return found


class _Repeats:
    """Where rows and numbers come again."""

    def __init__(self, rows: Sequence[_Row], least: int) -> None:
        self._least = least
        self._heights: defaultdict[tuple[bool, str], dict[int, float]] = defaultdict(dict)
        self._offsets: defaultdict[tuple[object, ...], set[int]] = defaultdict(set)
        for row in rows:
            self._heights[row.key].setdefault(row.page, row.height)
            for offset in row.offsets:
                self._offsets[row.edge, offset].add(row.page)

    def is_furniture(self, row: _Row) -> bool:
        if len(row.text) <= _MAX_NUMBER_CHARS and _PAGE_NUMBER.fullmatch(row.text):
            return True
        near = range(row.page - _WINDOW, row.page + _WINDOW + 1)
        heights = self._heights[row.key]
        level = [
            p for p in near if abs(heights.get(p, float("inf")) - row.height) <= _SAME_HEIGHT_PT
        ]
        if len(level) >= self._least:
            return True
        return any(
            len(self._offsets[row.edge, offset].intersection(near)) >= _MIN_REPEATS
            for offset in row.offsets
        )


def _offsets(text: str, page: int) -> frozenset[int]:
    """Number printed at its start or end, less the number of the page: the same all over a numbered document."""
    if not (text[0].isdecimal() or text[-1].isdecimal()):
        return frozenset()  # as for most rows
    return frozenset(int(number) - page for number in _EDGE_NUMBER.findall(text))


def _rows(page: PageText) -> Iterator[_Row]:
    """Rows in the margins, from each edge inwards; text that is turned has its edges where it is level."""
    by_turn: dict[int, list[Line]] = defaultdict(list)
    for line in page.lines:
        by_turn[line.turn].append(line)
    for turn, lines in by_turn.items():
        _, top, _, bottom = upright((0.0, 0.0, page.width_pt, page.height_pt), turn)
        margin = _MARGIN_SHARE * (bottom - top)
        boxed = [(upright(line.bbox, turn) if turn else line.bbox, line) for line in lines]
        upper = [item for item in boxed if item[0][3] <= top + margin]
        lower = [item for item in boxed if item[0][1] >= bottom - margin]
        for is_lower, found in ((False, upper), (True, lower)):
            level = [(_below(top, box), line) for box, line in found]
            yield from _from_edge(page.number, (turn, is_lower), level)


def _below(top: float, box: BBox) -> BBox:
    return (box[0], box[1] - top, box[2], box[3] - top)


def _from_edge(page: int, edge: tuple[int, bool], boxed: list[tuple[BBox, Line]]) -> Iterator[_Row]:
    sign = -1 if edge[1] else 1
    rows: list[list[tuple[BBox, Line]]] = []
    for box, line in sorted(boxed, key=lambda item: (sign * item[0][3], item[0][0])):
        if rows and abs(box[3] - rows[-1][0][0][3]) <= _SAME_BASELINE * line.size:
            rows[-1].append((box, line))
        else:
            rows.append([(box, line)])
    for depth, row in enumerate(rows[:_MAX_ROWS]):
        row.sort(key=lambda item: item[0][0])
        yield _Row(page, edge, depth, row[0][0][3], tuple(line for _, line in row))
