"""How many cells a sheet spans: calamine lays it out as a full grid, and two cells at far corners fill the memory."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from schemas.errors import LimitError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_CELLS: Final = 30_000_000  # at 32 bytes a cell, half of `limits.decode_memory_bytes`
_XLSX_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml")
_XLSX_CELL: Final = re.compile(rb"""\sr\s*=\s*["']([A-Z]{0,7})(\d{1,9})["']""")
# Beyond column Z or row 999,999; without one, the grid is small enough whatever is in it.
_XLSX_FAR: Final = re.compile(rb"""\sr\s*=\s*["'](?:[A-Z]{2}|[A-Z]?\d{7})""")
_ODS_ROW: Final = re.compile(rb"<table:table-row\b")
_ODS_CELL: Final = re.compile(rb"<table:(?:covered-)?table-cell\b([^<>]*)>")
_ODS_REPEATED: Final = re.compile(rb'table:number-(?:rows|columns)-repeated="(\d{1,12})"')
_ODS_FILLED: Final = re.compile(rb"office:value|office:date-value|office:string-value|<text:p")


def check_spread(name: str, data: bytes, path: Path) -> None:
    """Refuse a sheet that spans too many cells.

    Args:
        name: Name of the part in its workbook.
        data: The part.
        path: The workbook, for messages.

    Raises:
        LimitError: It spans more cells than fit into memory.
    """
    if _XLSX_SHEET.fullmatch(name):
        cells = _xlsx_cells(data)
    elif name == "content.xml":
        cells = _ods_cells(data)
    else:
        return
    if cells > _MOST_CELLS:
        raise LimitError(
            f"{path}: {name!r} spans {cells} cells, more than the {_MOST_CELLS} that fit into memory"
        )


def _xlsx_cells(data: bytes) -> int:
    """Rows times columns, both up to the last one named; 0 for a sheet that cannot be too large."""
    if not _XLSX_FAR.search(data):
        return 0
    rows = columns = 0
    for match in _XLSX_CELL.finditer(data):
        rows = max(rows, int(match[2]))
        columns = max(columns, _column(match[1]))
    return rows * columns


def _column(letters: bytes) -> int:
    """Number of a column: A is 1, Z 26, AA 27."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _ods_cells(data: bytes) -> int:
    """Cells up to the last one with content, each as often as it is repeated; empty ones after it are not laid out."""
    total = 0
    starts = [match.start() for match in _ODS_ROW.finditer(data)]
    for start, end in pairwise([*starts, len(data)]):
        row = data[start:end]
        if not _ODS_FILLED.search(row):
            continue
        repeated = _ODS_REPEATED.search(row, 0, row.find(b">"))
        total += (int(repeated[1]) if repeated else 1) * _ods_row_cells(row)
    return total


def _ods_row_cells(row: bytes) -> int:
    cells, filled = 0, 0
    matches = list(_ODS_CELL.finditer(row))
    ends = [*(match.start() for match in matches[1:]), len(row)]
    for match, end in zip(matches, ends[: len(matches)], strict=True):
        repeated = _ODS_REPEATED.search(match[1])
        cells += int(repeated[1]) if repeated else 1
        inside = row[match.start() : end]
        if _ODS_FILLED.search(inside):
            filled = cells
    return filled
