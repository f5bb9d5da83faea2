"""Tables that go over a page: their parts on each page become one table."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from schemas.content import TablePart
from stages.decode._grid import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.content import BBox, Block, TableData

    Row = tuple[str, ...]

_EDGE_PT: Final = 6.0  # by which the edges of columns may differ
_EDGE_SHARE: Final = 0.03  # of the width of the table
_NAMED_EDGE_SHARE: Final = (
    0.1  # where the header is the same, and columns are as wide as their text
)
_DATA_SHARE: Final = 0.8
_CONTINUED: Final = re.compile(
    r"\bcont(?:inued|inuation|['\u2019]?d|\.)|\bfortsetzung\b|\bsuite\b", re.I
)
_NUMBER: Final = re.compile(r"^\D{0,20}?([\dIVX]+(?:[.\-]\d+)*)")


def join_tables(tables: Sequence[TableData], blocks: Sequence[Block]) -> list[TableData]:
    """Join the parts of tables that go over a page.

    A table goes on if the next page begins with a table of the same columns, with nothing but page furniture between
    them, and no caption or header of its own. A header that is repeated is dropped, and what the table finder took
    for a header where there is none becomes a row.

    Args:
        tables: In page order; those without pages stay as they are.
        blocks: Running text of the pages, without page furniture.

    Returns:
        Tables in order; `parts` says where joined ones go on, and their rows are numbered through.
    """
    if not any(table.columns_pt for table in tables):
        return list(tables)
    by_page: dict[int | None, list[Block]] = {}
    for block in blocks:
        by_page.setdefault(block.page, []).append(block)
    joined: list[TableData] = []
    for table in tables:
        rows = _rows_that_go_on(joined[-1], table, by_page) if joined else None
        if rows is None:
            joined.append(table)
        else:
            joined[-1] = _joined(joined[-1], table, rows)
    return joined


def place_of(table: TableData, row: int) -> tuple[int | None, BBox | None]:
    """Page and box of the part of a table in which the row with this number stands."""
    page, bbox = table.page, table.bbox
    for part in table.parts:
        if row >= part.first_row:
            page, bbox = part.page, part.bbox
    return page, bbox


def _joined(table: TableData, more: TableData, rows: Sequence[Row]) -> TableData:
    if more.page is None or more.bbox is None:
        return table
    part = TablePart(more.page, more.bbox, table.first_row + len(table.rows))
    return replace(table, rows=(*table.rows, *rows), parts=(*table.parts, part))


def _rows_that_go_on(
    table: TableData, more: TableData, by_page: Mapping[int | None, Sequence[Block]]
) -> list[Row] | None:
    """The data rows of `more` if it continues `table`, else None."""
    page, bbox = place_of(table, table.first_row + len(table.rows))
    if page is None or bbox is None or more.bbox is None or more.page != page + 1:
        return None
    if not _same_caption(table.caption, more.caption):
        return None
    raw = [*more.header_rows, *more.rows]
    repeated = len(table.header_rows)
    named = repeated > 0 and _keys(raw[:repeated]) == _keys(table.header_rows)
    if not _same_columns(table, more, bbox, named=named):
        return None
    if any(_stands_below(b, bbox) for b in by_page.get(page, ())) or any(
        _stands_above(b, more.bbox, more.caption) for b in by_page.get(more.page, ())
    ):
        return None
    if named:
        return raw[repeated:]
    return raw if all(_is_data(row, table.rows) for row in more.header_rows) else None


def _same_caption(first: str, second: str) -> bool:
    if not second or second == first or _CONTINUED.search(second):
        return True
    a, b = _NUMBER.match(first), _NUMBER.match(second)
    return a is not None and b is not None and a[0].casefold() == b[0].casefold()


def _same_columns(table: TableData, more: TableData, bbox: BBox, *, named: bool) -> bool:
    a, b = table.columns_pt, more.columns_pt
    if len(a) != len(b) or len(a) < 2:
        return False
    share = _NAMED_EDGE_SHARE if named else _EDGE_SHARE
    most = max(_EDGE_PT, share * (bbox[2] - bbox[0]))
    # Margins may be mirrored on left and right pages.
    return all(abs((x - a[0]) - (y - b[0])) <= most for x, y in zip(a, b, strict=True))


def _keys(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [tuple("".join(cell.casefold().split()) for cell in row) for row in rows]


def _is_data(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a row has numbers where the columns of the rows have numbers, and only there."""
    filled = [(i, cell) for i, cell in enumerate(row) if cell]
    alike = sum(is_number(cell) == _is_of_numbers([r[i] for r in rows]) for i, cell in filled)
    return bool(filled) and alike >= _DATA_SHARE * len(filled)


def _is_of_numbers(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return 2 * sum(map(is_number, filled)) > len(filled)


def _stands_below(block: Block, bbox: BBox) -> bool:
    return block.bbox is not None and block.bbox[1] >= bbox[3] and _beside(block.bbox, bbox)


def _stands_above(block: Block, bbox: BBox, caption: str) -> bool:
    if block.bbox is None or block.bbox[3] > bbox[1] or not _beside(block.bbox, bbox):
        return False
    return not (_CONTINUED.search(block.text) or (caption and block.text.startswith(caption)))


def _beside(a: BBox, b: BBox) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0])
