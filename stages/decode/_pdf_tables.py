"""Tables of a PDF page that have ruling lines, by PyMuPDF's find_tables on those pages only that could have one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import TableData
from schemas.errors import CorruptError
from stages.decode._grid import has_header, header_names, is_number
from stages.decode._pdf_captions import find_title
from stages.decode._pdf_regions import is_thin
from stages.decode.layout import area, clean_text, join_lines, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_regions import Drawn
    from stages.decode._pdf_text import PageText

    Row = tuple[str, ...]

# find_tables costs some 60 to 90 ms a page (and 300 to 400 with the layout model it would use by default) where text
# and render together cost 10, so it must be kept from pages that have no ruling lines.
_MIN_RULE_PT: Final = 6.0  # rules are often drawn cell by cell
_MIN_GRID_PT: Final = 60.0
_MIN_ROWS: Final = 2
_MAX_PATHS: Final = 4000  # a map or a plot: find_tables compares lines pairwise
_MIN_CELLS: Final = 4
_MIN_FILLED_SHARE: Final = 0.3
_MAX_CELL_CHARS: Final = 400  # on average: longer cells are a page layout, not a table
_OUTSIDE_HEADER_PT: Final = 30.0  # names of columns above the topmost rule
_NEAR_PT: Final = 1.5
_NAME_WORDS: Final = 2
_CLIP_PT: Final = 10.0  # beyond what is drawn; the finder snaps and joins rules over 3 points


@dataclass(frozen=True, slots=True)
class Word:
    """A word, its box, and its place in the text layer (block, line, word)."""

    text: str
    bbox: BBox
    place: tuple[int, ...]

    @property
    def centre(self) -> tuple[float, float]:
        """The middle, as x and y."""
        return (self.bbox[0] + self.bbox[2]) / 2, (self.bbox[1] + self.bbox[3]) / 2


def read_words(textpage: Any) -> list[Word]:
    """Words of a pymupdf.TextPage that was made with `TEXT_FLAGS`."""
    return [
        Word(text, (x0, y0, x1, y1), tuple(place))
        for x0, y0, x1, y1, raw, *place in textpage.extractWORDS()
        if (text := clean_text(raw))
    ]


def find_tables(page: Any, words: Sequence[Word], drawn: Drawn, text: PageText) -> list[TableData]:
    """Tables with ruling lines, from top to bottom.

    Merged cells and header rows are those of `find_tables(refine=True)`; the words of a cell are taken from the text
    layer in its own order, because the finder's sorting by position loses blanks and displaces punctuation.

    Args:
        page: A pymupdf.Page.
        words: Its words, with boxes as it is displayed.
        drawn: What is drawn on it.
        text: Its text, for titles.

    Returns:
        At least two columns and one data row each; a merged cell stands in each cell it spans, but one that spans
        the whole row stands in the first only.

    Raises:
        CorruptError: The finder failed on this page.
    """
    found = page.find_tables(use_layout=False, refine=True, clip=_clip(page, drawn))
    if found is None:  # it catches its own errors
        raise CorruptError("the tables of the page could not be found")
    tables = [table for raw in found.tables if (table := _table(raw, words, text))]
    kept = [t for t in tables if not any(_holds(t, other) for other in tables if other is not t)]
    return sorted(kept, key=lambda table: (table.bbox or (0.0,) * 4)[1::-1])


def _clip(page: Any, drawn: Drawn) -> BBox | None:
    """Around all that is drawn: half of the finder's time goes into a record of each character, wherever it stands.

    The band is as far from the top as from the bottom, because the finder looks for the text of a box in a box upside
    down. None on a turned page, which it turns back first.
    """
    if page.rotation or not drawn.paths:
        return None
    x0, y0, x1, y1 = union(drawn.paths)
    height = page.rect.height
    near = _CLIP_PT
    return (x0 - near, min(y0, height - y1) - near, x1 + near, max(y1, height - y0) + near)


def may_have_grid(drawn: Drawn, text: PageText) -> bool:
    """Whether a rule or an edge of a box stands between words of the same line, twice at least.

    A frame has words on one side of its edges only. A grid that is one path shows its outer edges alone, so a
    drawn outline with some lines of text in it is looked at as well, unless it is a plain rectangle.
    """
    if not text.groups or len(drawn.paths) > _MAX_PATHS:
        return False
    boxes = [line.bbox for line in text.lines]
    outlines = (
        box for box in drawn.strokes if not is_thin(box) and box[2] - box[0] >= _MIN_GRID_PT
    )
    if any(sum(share_inside(b, outline) > 0.5 for b in boxes) >= _MIN_ROWS for outline in outlines):
        return True
    rows = _rows(boxes)
    splits: Counter[int] = Counter()
    for x, y0, y1 in _uprights(drawn):
        between = [row for row in rows if y0 <= (row[1] + row[3]) / 2 <= y1 and row[0] < x < row[2]]
        splits[round(x)] += len(between)
        if splits[round(x)] >= _MIN_ROWS:
            return True
    return False


def _uprights(drawn: Drawn) -> set[tuple[float, float, float]]:
    """x, top and bottom of vertical rules and of the sides of boxes, to half a point."""
    found = set()
    for x0, y0, x1, y1 in drawn.paths:
        if y1 - y0 >= _MIN_RULE_PT and (x1 - x0 <= _MIN_RULE_PT or x1 - x0 >= _MIN_GRID_PT / 2):
            found |= {(round(2 * x) / 2, y0, y1) for x in (x0, x1)}
    return found


def _rows(boxes: list[BBox]) -> list[BBox]:
    """Lines of text that stand side by side, as one box each."""
    by_baseline: dict[int, list[BBox]] = {}
    for box in boxes:
        by_baseline.setdefault(round(box[3] / 2), []).append(box)
    return [union(row) for row in by_baseline.values()]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells of a table, merged ones filled out; x of the edges of its columns.

    `wide` are rows that one cell spans, `merged` others with a cell over several columns or rows.
    """

    rows: list[Row]
    columns: tuple[float, ...]
    wide: frozenset[int]
    merged: frozenset[int]


def _table(raw: Any, words: Sequence[Word], text: PageText) -> TableData | None:
    x0, y0, x1, y1 = raw.bbox
    bbox: BBox = (x0, y0, x1, y1)
    grid = _without_empty_columns(_filled_out(raw.placements or (), words, bbox))
    rows, caption = grid.rows, ""
    count = _header_count(grid, min(int(raw.header_rows), max(0, len(rows) - 1)))
    if len(rows) > 1 and sum(map(bool, rows[0])) == 1:  # one cell above all columns: a title
        caption, rows, count = "".join(rows[0]), rows[1:], max(0, count - 1)
    if any(
        map(_is_sentence, rows[0])
    ):  # the finder takes the first row of any table for its header
        count = 0
    if not count or _has_numbers(rows[0]):
        outside, top = _outside_header(words, grid.columns, bbox)
        if outside:
            rows, count, bbox = [outside, *rows], 1, (x0, top, x1, y1)
        elif not count and not caption and _names_columns(rows):
            count = 1
    header, body = tuple(rows[:count]), tuple(rows[count:])
    if not _is_sound(header, body, len(grid.columns) - 1):
        return None
    names = header_names(header, len(grid.columns) - 1)
    title = caption or find_title(bbox, text)
    return TableData(
        title, names, body, text.number, bbox, header_rows=header, columns_pt=grid.columns
    )


def _header_count(grid: _Grid, found: int) -> int:
    """How many of the header rows that were found are some: not the name of a section of rows, and not numbers.

    Numbers are names (of years) where they stand below a merged cell. The finder takes the rows above the first that
    has an empty cell for header rows.
    """
    count = found
    while count > 1:
        last = count - 1
        numbers = _has_numbers(grid.rows[last]) and not grid.merged.intersection(range(last))
        if last not in grid.wide and not numbers:
            break
        count = last
    return count


def _filled_out(placements: Sequence[Sequence[Any]], words: Sequence[Word], bbox: BBox) -> _Grid:
    """Place cells with their spans as HTML does: each takes the next free place of its row."""
    spans = [cell for row in placements for cell in row]
    texts = iter(_cell_texts([cell.bbox for cell in spans], words, bbox))
    cells: dict[tuple[int, int], str] = {}
    starts: dict[int, float] = {}
    wide: dict[int, int] = {}
    merged: set[int] = set()
    for r, row in enumerate(placements):
        c = 0
        for cell in row:
            while (r, c) in cells:
                c += 1
            text = next(texts)
            for i in range(cell.rowspan):
                cells.update(((r + i, c + j), text) for j in range(cell.colspan))
            if cell.bbox is not None:
                starts[c] = min(starts.get(c, float("inf")), float(cell.bbox[0]))
            wide[r] = max(wide.get(r, 0), cell.colspan)
            if cell.colspan > 1 or cell.rowspan > 1:
                merged.add(r)
            c += cell.colspan
    width = max((c for _, c in cells), default=-1) + 1
    full = frozenset(r for r, span in wide.items() if span == width and width > 1)
    rows = [
        tuple("" if r in full and c else cells.get((r, c), "") for c in range(width))
        for r in range(len(placements))
    ]
    edges = [starts.get(c, bbox[0] + (bbox[2] - bbox[0]) * c / width) for c in range(width)]
    return _Grid(rows, (*edges, bbox[2]), full, frozenset(merged - full))


def _cell_texts(boxes: Sequence[BBox | None], words: Sequence[Word], bbox: BBox) -> list[str]:
    """Text of each cell; a word of the table goes to the cell its centre is in or, if it is in none, next to."""
    known = [i for i, box in enumerate(boxes) if box is not None]
    x0, y0, x1, y1 = np.array([boxes[i] for i in known], float).reshape(-1, 4).T
    owned: dict[int, list[Word]] = {}
    for word in words:
        if known and share_inside(word.bbox, bbox) > 0.5:
            x, y = word.centre
            away = np.maximum(np.maximum(x0 - x, x - x1), 0) + np.maximum(
                np.maximum(y0 - y, y - y1), 0
            )
            owned.setdefault(known[int(away.argmin())], []).append(word)
    return [_joined(owned.get(i, ())) for i in range(len(boxes))]


def _joined(words: Sequence[Word]) -> str:
    """Text of words in the order of the text layer."""
    lines = groupby(sorted(words, key=lambda w: w.place), key=lambda w: w.place[:2])
    return join_lines(" ".join(w.text for w in line) for _, line in lines)


def _without_empty_columns(grid: _Grid) -> _Grid:
    """Columns that are empty from top to bottom come from double rules; empty cells elsewhere stay."""
    width = len(grid.columns) - 1
    kept = [c for c in range(width) if any(row[c] for row in grid.rows)]
    rows = [tuple(row[c] for c in kept) for row in grid.rows]
    columns = (*(grid.columns[c] for c in kept), grid.columns[-1])
    return _Grid(rows, columns, grid.wide, grid.merged)


def _outside_header(
    words: Sequence[Word], columns: Sequence[float], bbox: BBox
) -> tuple[Row, float]:
    """Names of the columns right above the topmost rule, and the y of their top; empty if there are none.

    They are names if most columns have one and none crosses an edge of a column.
    """
    above = [w for w in words if 0 <= bbox[1] - w.bbox[3] + _NEAR_PT <= _OUTSIDE_HEADER_PT]
    above = [
        w for w in above if bbox[0] - _NEAR_PT <= w.bbox[0] and w.bbox[2] <= bbox[2] + _NEAR_PT
    ]
    if not above:
        return (), bbox[1]
    bottom = max(w.bbox[3] for w in above)
    line = [w for w in above if bottom - w.bbox[3] <= (w.bbox[3] - w.bbox[1]) / 2]
    if any(w.bbox[0] < x - _NEAR_PT and w.bbox[2] > x + _NEAR_PT for w in line for x in columns):
        return (), bbox[1]
    boxes = pairwise(columns)
    names = tuple(_joined([w for w in line if a <= w.centre[0] < b]) for a, b in boxes)
    named = 2 * sum(map(bool, names)) > len(names)
    return (names, min(w.bbox[1] for w in line)) if named else ((), bbox[1])


def _names_columns(rows: Sequence[Row]) -> bool:
    return has_header(rows) and all(rows[0]) and not any(map(_is_sentence, rows[0]))


def _is_sentence(cell: str) -> bool:
    return cell.endswith((".", ";")) and len(cell.split()) > _NAME_WORDS


def _has_numbers(row: Row) -> bool:
    filled = [cell for cell in row if cell]
    return 2 * sum(map(is_number, filled)) > len(filled)


def _is_sound(header: Sequence[Row], rows: Sequence[Row], width: int) -> bool:
    cells = [cell for row in (*header, *rows) for cell in row]
    filled = [cell for cell in cells if cell]
    return (
        width >= 2
        and len(rows) >= 1
        and len(cells) >= _MIN_CELLS
        and len(filled) >= _MIN_FILLED_SHARE * len(cells)
        and sum(map(len, filled)) <= _MAX_CELL_CHARS * len(filled)
    )


def _holds(inner: TableData, outer: TableData) -> bool:
    """Whether `inner` lies in a larger table (a nested grid would be told twice)."""
    if inner.bbox is None or outer.bbox is None:
        return False
    return area(outer.bbox) > area(inner.bbox) and share_inside(inner.bbox, outer.bbox) > 0.9
