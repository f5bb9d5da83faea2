"""Tables without ruling lines: text that stands in rows and columns by its position alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from stages.decode._grid import has_header, is_number
from stages.decode.layout import join_lines, union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.content import BBox

    Row = tuple[str, ...]

# Lengths are in heights of a line of text (the median of the pieces), so that they hold for points and for pixels.
_SAME_ROW: Final = 0.45
_MAX_GAP: Final = 1.8  # white above a row: more ends the table
_TIGHT_PITCH: Final = 0.8  # of the usual step from row to row: a wrapped cell
_HANGING_GAP: Final = 0.6  # white above a line that goes on with a cell
_MIN_GUTTER: Final = 0.35
_STRAY_SHARE: Final = (
    0.1  # of the rows may have text that crosses a gutter (titles over several columns)
)
_MIN_ROWS: Final = 3
_MAX_LONE_ROWS: Final = 2  # rows of one piece, one after the other, inside of a table
_MIN_TABULAR_SHARE: Final = 0.5
_MIN_FILLED_SHARE: Final = 0.4
_MAX_CELL_CHARS: Final = 45  # on average; prose in columns has more
_SHORT_CHARS: Final = 25
_MAX_HEADER_ROWS: Final = 3
_LINE_CHARS: Final = 60  # a piece so long and so wide is a line of running text
_LINE_SHARE: Final = 0.75
_MAX_PIECES: Final = 3000  # of a page; more is no table that anybody reads


@dataclass(frozen=True, slots=True)
class Piece:
    """Text without a wide gap in it, and its box: a cell, or a line of one."""

    text: str
    bbox: BBox


@dataclass(frozen=True, slots=True)
class Aligned:
    """A table found by its alignment.

    Attributes:
        bbox: Box around its text, in the unit of the pieces.
        rows: Cells, as many a row as there are columns; header rows first.
        header_rows: How many of them are header.
        columns: x of the edges of the columns, one more than columns.
    """

    bbox: BBox
    rows: tuple[Row, ...]
    header_rows: int
    columns: tuple[float, ...]


def find_aligned(pieces: Sequence[Piece], rules: Iterable[float] = ()) -> list[Aligned]:
    """Tables among the pieces of one column of a page, from top to bottom.

    Args:
        pieces: Text of the column, in any order.
        rules: y of horizontal rules; the first one between two rows of a table ends its header.
    """
    if not 2 * _MIN_ROWS <= len(pieces) <= _MAX_PIECES:
        return []
    height = median(piece.bbox[3] - piece.bbox[1] for piece in pieces)
    if height <= 0:
        return []
    lines = _lines(pieces, height)
    wide = _LINE_SHARE * (max(p.bbox[2] for p in pieces) - min(p.bbox[0] for p in pieces))
    ys = sorted(rules)
    found = (_table(run, height, ys) for run in _runs(lines, height, wide))
    return [table for table in found if table is not None]


def grid_of(pieces: Sequence[Piece], rules: Iterable[float] = ()) -> Aligned | None:
    """The one table that pieces are known to be, or None if they do not stand in rows and columns."""
    if not pieces:
        return None
    height = median(piece.bbox[3] - piece.bbox[1] for piece in pieces)
    return _table(_lines(pieces, height), height, sorted(rules)) if height > 0 else None


def _lines(pieces: Sequence[Piece], height: float) -> list[list[Piece]]:
    """Pieces side by side, from top to bottom, each line from left to right."""
    lines: list[list[Piece]] = []
    level = float("-inf")
    for piece in sorted(pieces, key=lambda p: (p.bbox[1] + p.bbox[3], p.bbox)):
        middle = (piece.bbox[1] + piece.bbox[3]) / 2
        if middle - level > _SAME_ROW * height:
            lines.append([])
            level = middle
        lines[-1].append(piece)
    return [sorted(line, key=lambda p: p.bbox) for line in lines]


def _runs(lines: list[list[Piece]], height: float, wide: float) -> list[list[list[Piece]]]:
    """Lines that follow each other closely and mostly have several pieces."""
    runs: list[list[list[Piece]]] = []
    bottom = float("-inf")
    for line in lines:
        box = union(piece.bbox for piece in line)
        running = len(line) == 1 and len(line[0].text) >= _LINE_CHARS and box[2] - box[0] >= wide
        if running or box[1] - bottom > _MAX_GAP * height or not runs:
            runs.append([])
        bottom = box[3]
        if not running:
            runs[-1].append(line)
    return [part for run in runs for part in _split_at_lone_lines(run)]


def _split_at_lone_lines(run: list[list[Piece]]) -> list[list[list[Piece]]]:
    parts: list[list[list[Piece]]] = [[]]
    lone = 0
    for line in run:
        lone = lone + 1 if len(line) == 1 and not _hangs(line, parts[-1]) else 0
        parts[-1].append(line)
        if lone > _MAX_LONE_ROWS:
            parts.append([])
            lone = 0
    return [trimmed for part in parts if (trimmed := _trimmed(part))]


def _trimmed(lines: list[list[Piece]]) -> list[list[Piece]]:
    """Without lines of one piece before the first and after the last of several, but with what hangs on it."""
    several = [i for i, line in enumerate(lines) if len(line) > 1]
    if not several:
        return []
    end = several[-1] + 1
    while end < len(lines) and _hangs(lines[end], lines[:end]):
        end += 1
    return lines[several[0] : end]


def _hangs(line: Sequence[Piece], above: Sequence[Sequence[Piece]]) -> bool:
    """Whether a line goes on with a cell of the line above it that is not its first."""
    whole = next((other for other in reversed(above) if len(other) > 1), None)
    if whole is None or len(line) > 1:
        return False
    x0, y0, _, y1 = line[0].bbox
    tight = y0 - max(piece.bbox[3] for piece in above[-1]) <= _HANGING_GAP * (y1 - y0)
    return tight and x0 >= whole[1].bbox[0] - _SAME_ROW * (y1 - y0)


def _table(lines: list[list[Piece]], height: float, rules: Sequence[float]) -> Aligned | None:
    tabular = [line for line in lines if len(line) > 1]
    if len(tabular) < _MIN_ROWS:
        return None
    columns = _columns(tabular, height)
    if len(columns) < 2:
        return None
    bbox = union(piece.bbox for line in lines for piece in line)
    cells = [_cells(line, columns) for line in lines]
    boxes = [union(piece.bbox for piece in line) for line in lines]
    header = _header_lines(cells, boxes, rules)
    body = _unwrapped(cells[header:], boxes[header:])
    rows = [tuple(join_lines(parts) for parts in row) for row in (*cells[:header], *body)]
    if not _is_sound(rows):
        return None
    edges = [bbox[0], *((a[1] + b[0]) / 2 for a, b in pairwise(columns))]
    return Aligned(bbox, tuple(rows), header, (*edges, bbox[2]))


def _columns(lines: Sequence[Sequence[Piece]], height: float) -> list[tuple[float, float]]:
    """From and to along x of columns: what lies between white strips that go through (nearly) all lines."""
    stray = int(_STRAY_SHARE * len(lines)) if len(lines) > _MIN_ROWS else 0
    strong = _covered([p for line in lines for p in line], max(stray, 1 if len(lines) > 3 else 0))
    own = [p for line in lines for p in line if sum(_meets(p, c) for c in strong) < 2]
    columns: list[tuple[float, float]] = []
    for x0, x1 in _covered(own, 0):
        if columns and x0 - columns[-1][1] < _MIN_GUTTER * height:
            columns[-1] = (columns[-1][0], x1)
        else:
            columns.append((x0, x1))
    return columns


def _covered(pieces: Sequence[Piece], most: int) -> list[tuple[float, float]]:
    """Intervals of x where more than `most` pieces stand above each other."""
    steps = sorted([(p.bbox[0], 1) for p in pieces] + [(p.bbox[2], -1) for p in pieces])
    found: list[tuple[float, float]] = []
    depth, start = 0, None
    for x, step in steps:
        depth += step
        if start is None and depth > most:
            start = x
        elif start is not None and depth <= most:
            if x > start:
                found.append((start, x))
            start = None
    return found


def _meets(piece: Piece, column: tuple[float, float]) -> bool:
    return piece.bbox[0] < column[1] and piece.bbox[2] > column[0]


def _cells(line: Sequence[Piece], columns: Sequence[tuple[float, float]]) -> list[list[str]]:
    """Texts by column; a piece over several columns stands in the first of them."""
    cells: list[list[str]] = [[] for _ in columns]
    for piece in line:
        middle = (piece.bbox[0] + piece.bbox[2]) / 2
        met = [i for i, column in enumerate(columns) if _meets(piece, column)]
        nearest = min(
            range(len(columns)), key=lambda i: abs(sum(columns[i]) / 2 - middle), default=0
        )
        cells[met[0] if met else nearest].append(piece.text)
    return cells


def _header_lines(
    cells: Sequence[Sequence[Sequence[str]]], boxes: Sequence[BBox], rules: Sequence[float]
) -> int:
    """How many lines are header: down to the first rule, else to the first numbers, else the first if it names."""
    for count, (above, below) in enumerate(pairwise(boxes), start=1):
        if count > _MAX_HEADER_ROWS:
            break
        middles = (above[1] + above[3]) / 2, (below[1] + below[3]) / 2
        if any(middles[0] < y < middles[1] for y in rules):
            return count
    numbers = [any(is_number(" ".join(cell)) for cell in row[1:]) for row in cells]
    first = numbers.index(True) if True in numbers else 0
    if 0 < first <= _MAX_HEADER_ROWS and 2 * sum(numbers) >= len(numbers):
        return first
    texts = [tuple(" ".join(cell) for cell in row) for row in cells]
    return int(has_header(texts) and all(texts[0]))


def _unwrapped(cells: list[list[list[str]]], boxes: Sequence[BBox]) -> list[list[list[str]]]:
    """Lines that go on with the cells of the line above them are put to it.

    Such a line has nothing in the first column, and it follows closer than rows do, or has but one cell and that is
    no number.
    """
    steps = [b[3] - a[3] for a, b in pairwise(boxes)]
    usual = median(steps) if steps else 0.0
    rows: list[list[list[str]]] = []
    for i, line in enumerate(cells):
        filled = [" ".join(cell) for cell in line if cell]
        lone = len(filled) == 1 and not is_number(filled[0])
        if rows and not line[0] and (lone or steps[i - 1] < _TIGHT_PITCH * usual):
            rows[-1] = [before + after for before, after in zip(rows[-1], line, strict=True)]
        else:
            rows.append(line)
    return rows


def _is_sound(rows: Sequence[Row]) -> bool:
    filled = [cell for row in rows for cell in row if cell]
    several = sum(sum(map(bool, row)) > 1 for row in rows)
    return (
        len(rows) >= _MIN_ROWS
        and several >= max(_MIN_ROWS, _MIN_TABULAR_SHARE * len(rows))
        and len(filled) >= _MIN_FILLED_SHARE * len(rows) * len(rows[0])
        and sum(map(len, filled)) <= _MAX_CELL_CHARS * len(filled)
        and any(_is_short([r[i] for r in rows if r[i]]) for i in range(1, len(rows[0])))
    )


def _is_short(cells: Sequence[str]) -> bool:
    return bool(cells) and median(map(len, cells)) <= _SHORT_CHARS
