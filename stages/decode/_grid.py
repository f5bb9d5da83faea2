"""Rows of cells into a table: header, caption, equal widths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.content import TableData
from schemas.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = tuple[str, ...]

_AMOUNT: Final = r"[-+(]?[$€£¥]?\s?\d[\d\s.,'\u2019]*(?:[eE][-+]?\d+)?\s?[%€$£]?\)?"
_DATE: Final = r"\d{1,4}[-/.:]\d{1,2}(?:[-/.:]\d{1,4})?(?:[T ][\d:.]+Z?)?"
_NUMBER: Final = re.compile(f"{_AMOUNT}|{_DATE}")
_YEAR: Final = re.compile(r"(?:1[89]|20)\d\d")
_HEADER_CELL_CHARS: Final = 80
_SAMPLE_ROWS: Final = 200
_PADDING_CELLS: Final = 20_000_000  # a line of a million commas above a million lines is a bomb


def make_table(
    caption: str, rows: Sequence[Row], header_rows: int | None, path: Path, limit_rows: int
) -> tuple[TableData | None, tuple[str, ...]]:
    """A table from its rows.

    Args:
        caption: Its caption, or empty.
        rows: Rows of cells, header first; widths may differ.
        header_rows: How many rows are header; None to look at them.
        path: The file, for messages.
        limit_rows: `limits.rows`.

    Returns:
        The table (None if there is no data row and no header) and notes for a person.

    Raises:
        LimitError: There are more data rows than allowed.
    """
    if not rows:
        return None, ()
    if header_rows is None:
        header_rows = 1 if has_header(rows) else 0
    header_rows = min(header_rows, len(rows) - 1) if len(rows) > 1 else header_rows
    if len(rows) - header_rows > limit_rows:
        raise LimitError(f"{path} has a table of more than limits.rows = {limit_rows} rows")
    width = max(map(len, rows))
    missing = width * len(rows) - sum(map(len, rows))
    if missing > _PADDING_CELLS:
        raise LimitError(
            f"{path} has a table so uneven that {missing} cells would have to be added"
        )
    ragged = sum(len(row) != width for row in rows[header_rows:])
    body = tuple(_padded(row, width) for row in rows[header_rows:])
    header = _names([_padded(row, width) for row in rows[:header_rows]], width)
    notes = (f"short rows of a table filled up with empty cells: {ragged}",) if ragged else ()
    return TableData(caption, header, body), notes


def has_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns.

    It does if all its cells are short, different and no numbers (years may be names), and none of them comes again
    below it. `csv.Sniffer.has_header` decides by the length of cells, which is wrong for most tables of text.
    """
    first = [cell for cell in rows[0] if cell]
    if not first or len(rows) < 2 or len(set(first)) < len(first):
        return False
    if any(len(cell) > _HEADER_CELL_CHARS for cell in first):
        return False
    if any(is_number(cell) and not _YEAR.fullmatch(cell) for cell in first):
        return False
    if all(_YEAR.fullmatch(cell) for cell in first):
        return False
    below = rows[1:_SAMPLE_ROWS]
    return not any(
        cell and cell in (r[i] for r in below if i < len(r)) for i, cell in enumerate(rows[0])
    )


def is_number(cell: str) -> bool:
    """Whether a cell is a number, an amount of money, a percentage, a date or a time."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def _padded(row: Row, width: int) -> Row:
    return row + ("",) * (width - len(row))


def header_names(header: Sequence[Row], width: int) -> Row:
    """One name a column: header rows from top to bottom, a repeated name once; empty where there is none."""
    columns = (dict.fromkeys(row[i] for row in header if row[i]) for i in range(width))
    return tuple(" ".join(parts) for parts in columns)


def _names(header: list[Row], width: int) -> Row:
    """As `header_names`, with "column 3" where there is none."""
    names = header_names(header, width)
    return tuple(name or f"column {i}" for i, name in enumerate(names, start=1))
