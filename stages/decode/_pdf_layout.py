"""What the text of a PDF page may be besides running text: tables without rules, and equations."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from schemas.content import TableData
from stages.decode._aligned import Piece, find_aligned
from stages.decode._grid import header_names
from stages.decode._pdf_gaps import is_code, is_gappy
from stages.decode.layout import area, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._aligned import Aligned
    from stages.decode._pdf_regions import Drawn
    from stages.decode._pdf_tables import Word
    from stages.decode._pdf_text import PageText
    from stages.decode.layout import Line

    Zone = tuple[float, float]  # x from and to

_GAPPY_LINES: Final = 3
_STEP_SIZES: Final = 4.0  # from one line with gaps to the next
_WORD_GAP: Final = 0.8  # of the height of a word's box, which is 1.2 to 1.4 font sizes
_SAME_LINE: Final = 0.4
_RUNNING_CHARS: Final = 25
_COLUMN_LINES: Final = 5
_COLUMN_PT: Final = 6.0
_MIN_RULE_PT: Final = 40.0
_THIN_PT: Final = 3.0

_RELATION: Final = re.compile("[=<>\u2190-\u21ff\u2208-\u220b\u221d\u223c-\u228b\u22a2-\u22a8]")
_LEADER: Final = re.compile(r"(?:\. ?){4}")  # of a list of contents
_LONG_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_FUNCTIONS: Final = frozenset({"argmax", "argmin", "cosh", "diag", "rank", "sign", "sinh", "tanh"})
_MAX_LONG_SHARE: Final = 0.2
_MIN_SIGNS: Final = 3
_MAX_EQUATION_LINES: Final = 8
_FRAGMENT_CHARS: Final = 14  # limits of a sum, a number in brackets
_NEAR_PT: Final = 6.0


def may_have_columns(text: PageText) -> bool:
    """Whether at least three lines, one below the other, have gaps as wide as those between columns of a table.

    It looks at the number of characters of a line and its width, so it costs next to nothing.
    """
    zones = _zones(text)
    streak, last_zone, last_y = 0, -1, float("-inf")
    for zone, row in _lines_side_by_side(text, zones):
        if not is_gappy(row):
            continue
        y = row[0].bbox[3]
        near = last_zone == zone and y - last_y <= _STEP_SIZES * row[0].size
        streak, last_zone, last_y = streak + 1 if near else 1, zone, y
        if streak >= _GAPPY_LINES:
            return True
    return False


def _lines_side_by_side(text: PageText, zones: Sequence[Zone]) -> list[tuple[int, list[Line]]]:
    """Lines of the same height in the same zone, zone by zone from top to bottom."""
    lines = text.lines
    placed = sorted(
        (_zone_of(line.bbox, zones), line.bbox[1] + line.bbox[3], i)
        for i, line in enumerate(lines)
        if line.level
    )
    rows: list[tuple[int, list[Line]]] = []
    last_zone, level = -1, float("-inf")
    for zone, y, i in placed:
        if zone != last_zone or y - level > 2 * _SAME_LINE * lines[i].size:
            rows.append((zone, []))
            last_zone, level = zone, y
        rows[-1][1].append(lines[i])
    return rows


def find_columns(
    words: Sequence[Word], drawn: Drawn, text: PageText, skipped: Sequence[BBox]
) -> list[TableData]:
    """Text that stands in rows and columns, as tables without a caption, from top to bottom.

    Args:
        words: Words of the page.
        drawn: What is drawn; horizontal rules tell the header from the rest.
        text: Its text, for the columns of running text, which are no columns of a table.
        skipped: Boxes of known tables and figures.
    """
    free = [w for w in words if not any(share_inside(w.bbox, box) > 0.5 for box in skipped)]
    zones = _zones(text)
    running = sorted(
        (line.bbox[1], line.bbox[3])
        for line in text.lines
        if len(zones) > 1 and len(line.text) >= _RUNNING_CHARS and not is_gappy([line])
    )
    by_zone: dict[int, list[Piece]] = defaultdict(list)
    for piece in _pieces(free):
        # Beside running text a column of the page is a place of its own; above and below it a table may be as
        # wide as the page.
        beside = any(y0 < piece.bbox[3] and y1 > piece.bbox[1] for y0, y1 in running)
        by_zone[_zone_of(piece.bbox, zones) if beside else -1].append(piece)
    found = [
        _table(aligned, text.number)
        for pieces in by_zone.values()
        for aligned in find_aligned(pieces, _rules(drawn, pieces))
    ]
    prose = [table for table in found if table.bbox and not is_code(table.bbox, text)]
    return sorted(prose, key=lambda table: (table.bbox or (0.0,) * 4)[1::-1])


def find_equations(text: PageText, skipped: Sequence[BBox]) -> list[tuple[BBox, str]]:
    """Boxes and text of what may be displayed equations, from top to bottom."""
    found: list[tuple[BBox, list[Line]]] = []
    for group in text.groups:
        box = union(line.bbox for line in group)
        if any(share_inside(box, other) > 0.5 for other in skipped) or not _is_formula(group):
            continue
        if found and _is_near(found[-1][0], box):
            found[-1] = (union((found[-1][0], box)), [*found[-1][1], *group])
        else:
            found.append((box, list(group)))
    with_fragments = [_with_fragments(box, lines, text) for box, lines in found]
    return sorted(with_fragments, key=lambda item: item[0][1::-1])


def _zones(text: PageText) -> list[Zone]:
    """From and to along x of the columns of running text; the whole page where there are no two."""
    starts: dict[int, list[Line]] = defaultdict(list)
    for line in text.lines:
        if line.level and len(line.text) >= _RUNNING_CHARS and not is_gappy([line]):
            starts[round(line.bbox[0] / _COLUMN_PT)].append(line)
    columns: list[Zone] = []
    for lines in sorted(starts.values(), key=lambda lines: (-len(lines), lines[0].bbox[0])):
        x0, x1 = min(line.bbox[0] for line in lines), max(line.bbox[2] for line in lines)
        apart = all(x1 <= c[0] + _COLUMN_PT or x0 >= c[1] - _COLUMN_PT for c in columns)
        if apart and len(lines) >= _COLUMN_LINES:
            columns.append((x0, x1))
    columns.sort()
    if len(columns) < 2:
        return [(0.0, text.width_pt)]
    borders = [(a[1] + b[0]) / 2 for a, b in pairwise(columns)]
    return list(pairwise((0.0, *borders, text.width_pt)))


def _zone_of(box: BBox, zones: Sequence[Zone]) -> int:
    middle = (box[0] + box[2]) / 2
    return next((i for i, (_, x1) in enumerate(zones) if middle < x1), len(zones) - 1)


def _pieces(words: Sequence[Word]) -> list[Piece]:
    """Words joined where no more than a blank is between them."""
    if not words:
        return []
    height = median(w.bbox[3] - w.bbox[1] for w in words)
    rows: list[list[Word]] = []
    level = float("-inf")
    for word in sorted(words, key=lambda w: (w.centre[1], w.bbox[0])):
        if word.centre[1] - level > _SAME_LINE * height:
            rows.append([])
            level = word.centre[1]
        rows[-1].append(word)
    pieces = []
    for row in rows:
        run: list[Word] = []
        for word in sorted(row, key=lambda w: w.bbox[0]):
            if run and word.bbox[0] - run[-1].bbox[2] > _WORD_GAP * height:
                pieces.append(_piece(run))
                run = []
            run.append(word)
        pieces.append(_piece(run))
    return pieces


def _piece(words: Sequence[Word]) -> Piece:
    return Piece(" ".join(w.text for w in words), union(w.bbox for w in words))


def _rules(drawn: Drawn, pieces: Sequence[Piece]) -> list[float]:
    """Heights of the horizontal rules above or below the pieces."""
    x0, _, x1, _ = union(piece.bbox for piece in pieces)
    return [
        (box[1] + box[3]) / 2
        for box in drawn.paths
        if box[3] - box[1] <= _THIN_PT
        and min(box[2], x1) - max(box[0], x0) >= max(_MIN_RULE_PT, (box[2] - box[0]) / 2)
    ]


def _table(aligned: Aligned, page: int) -> TableData:
    header = aligned.rows[: aligned.header_rows]
    return TableData(
        "",
        header_names(header, len(aligned.columns) - 1),
        aligned.rows[aligned.header_rows :],
        page,
        aligned.bbox,
        header_rows=header,
        columns_pt=aligned.columns,
    )


def _is_formula(group: Sequence[Line]) -> bool:
    """Whether lines are signs and single letters around a relation, with hardly a word among them."""
    if len(group) > _MAX_EQUATION_LINES or any(line.mono or not line.level for line in group):
        return False
    text = " ".join(line.text for line in group)
    if not _RELATION.search(text) or _LEADER.search(text):
        return False
    parts = text.split()
    long_words = [w for w in _LONG_WORD.findall(text) if w.lower() not in _FUNCTIONS]
    signs = sum(c.isalnum() or unicodedata.category(c) == "Sm" for c in text)
    return signs >= _MIN_SIGNS and len(long_words) <= _MAX_LONG_SHARE * len(parts)


def _is_near(a: BBox, b: BBox) -> bool:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = max(a[1], b[1]) - min(a[3], b[3])
    return across > 0 and down <= _NEAR_PT


def _with_fragments(box: BBox, lines: list[Line], text: PageText) -> tuple[BBox, str]:
    """With the short pieces that stand in or at the box: limits of a sum, the number of the equation."""
    near = (box[0] - _NEAR_PT, box[1] - _NEAR_PT, box[2] + _NEAR_PT, box[3] + _NEAR_PT)
    known = Counter(line.bbox for line in lines)
    more = [
        line
        for line in text.lines
        if line.bbox not in known
        and len(line.text) <= _FRAGMENT_CHARS
        and share_inside(line.bbox, near) > 0.5
    ]
    whole = union([box, *(line.bbox for line in more)])
    ordered = sorted((*lines, *more), key=lambda line: (line.bbox[1], line.bbox[0]))
    joined = " ".join(line.text for line in ordered)
    return (whole, joined) if area(whole) <= 2 * area(near) else (box, joined)
