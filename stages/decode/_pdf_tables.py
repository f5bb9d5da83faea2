"""Tables of a PDF page by PyMuPDF's find_tables, on those pages only that could have one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from schemas.content import TableData
from stages.decode._pdf_regions import find_caption, find_title, is_thin
from stages.decode._pdf_text import TEXT_FLAGS
from stages.decode.layout import area, clean_text, join_lines, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_regions import Drawn
    from stages.decode._pdf_text import PageText

# find_tables costs some 60 to 90 ms a page (and 300 to 400 with the layout model it would use by default) where text
# and render together cost 10, so it must be kept from pages that have no ruling lines.
_MIN_RULE_PT: Final = 6.0  # rules are often drawn cell by cell
_MIN_GRID_PT: Final = 60.0
_MIN_ROWS: Final = 2
_MAX_PATHS: Final = 4000  # a map or a plot: find_tables compares lines pairwise
_MIN_CELLS: Final = 4
_MIN_FILLED_SHARE: Final = 0.3
_MAX_CELL_CHARS: Final = 400  # on average: longer cells are a page layout, not a table


def find_tables(page: Any, drawn: Drawn, text: PageText) -> list[TableData]:
    """Tables with ruling lines, from top to bottom.

    Args:
        page: A pymupdf.Page.
        drawn: What is drawn on it.
        text: Its text, for captions.

    Returns:
        At least two columns and one data row each; an empty or merged cell is ``""``.
    """
    if not _worth_a_look(drawn, text):
        return []
    found = page.find_tables(use_layout=False)
    words = _words(page) if found.tables else []
    tables = [table for raw in found.tables if (table := _table(raw, words, text))]
    kept = [t for t in tables if not any(_holds(t, other) for other in tables if other is not t)]
    return sorted(kept, key=lambda table: (table.bbox or (0.0,) * 4)[1::-1])


def _worth_a_look(drawn: Drawn, text: PageText) -> bool:
    """Whether a rule or an edge of a box stands between words of the same line, twice at least.

    A frame has words on one side of its edges only. A grid that is one path shows its outer edges alone, so a
    drawn outline with some lines of text in it is looked at as well.
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
class _Word:
    """A word, its centre, and its place in the text layer (block, line, word)."""

    x: float
    y: float
    text: str
    place: tuple[int, ...]


def _words(page: Any) -> list[_Word]:
    # The finder's own extract() sorts characters by position, which loses blanks and displaces punctuation.
    words = page.get_text("words", flags=TEXT_FLAGS)
    return [
        _Word((x0 + x1) / 2, (y0 + y1) / 2, word, tuple(place))
        for x0, y0, x1, y1, word, *place in words
    ]


def _table(raw: Any, words: Sequence[_Word], text: PageText) -> TableData | None:
    x0, y0, x1, y1 = raw.bbox
    bbox: BBox = (x0, y0, x1, y1)
    rows = [tuple(_cell(cell, words) for cell in row.cells) for row in raw.rows]
    header, body = rows[0], rows[1:]
    if raw.header.external:
        # The finder takes any line above for a header; one that names most columns is.
        outside = tuple(_cell(cell, words) for cell in raw.header.cells)
        if len(outside) == len(header) and 2 * sum(map(bool, outside)) > len(header):
            header, body = outside, rows
    header, body = _without_empty_columns(header, body)
    caption = find_caption(bbox, text, above=True)
    if (
        body and sum(map(bool, header)) == 1 and len(header) > 1
    ):  # one cell over all columns: a title
        caption, header = caption or "".join(header), ("",) * len(header)
    caption = caption or find_title(bbox, text)
    if not _is_sound(header, body):
        return None
    return TableData(caption, header, tuple(body), text.number, bbox)


def _cell(cell: BBox | None, words: Sequence[_Word]) -> str:
    """Text of the words whose centre lies in the cell; a part of a merged cell (None) has none."""
    if cell is None:
        return ""
    x0, y0, x1, y1 = cell
    inside = [w for w in words if x0 <= w.x < x1 and y0 <= w.y < y1]
    lines = groupby(sorted(inside, key=lambda w: w.place), key=lambda w: w.place[:2])
    return clean_text(join_lines(" ".join(w.text for w in line) for _, line in lines))


def _without_empty_columns(
    header: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns that are empty from top to bottom come from double rules; empty cells elsewhere stay."""
    wide = [row for row in rows if len(row) == len(header)]
    kept = [i for i, name in enumerate(header) if name or any(row[i] for row in wide)]
    return tuple(header[i] for i in kept), [tuple(row[i] for i in kept) for row in wide]


def _is_sound(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bool:
    cells = [cell for row in (header, *rows) for cell in row]
    filled = [cell for cell in cells if cell]
    return (
        len(header) >= 2
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
