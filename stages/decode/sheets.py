"""Spreadsheets (xlsx, xlsm, xls, ods) by calamine: each sheet is a table, its cells as a person sees them."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Content, PartialReject
from schemas.errors import CorruptError, EncryptedError, LimitError
from stages.decode._archive import plain_copy
from stages.decode._grid import has_header, make_table
from stages.decode._normalise import squeeze
from stages.decode._spread import check_spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from schemas.config import Limits
    from schemas.content import TableData
    from stages.decode._grid import Row
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

    Merge = tuple[tuple[int, int], tuple[int, int]]  # the first and the last cell, as (row, column)

_PARTS: Final = (".xml", ".rels", "mimetype")
_OLE_TYPE: Final = "application/vnd.ms-excel"
_FILLED_CELLS: Final = 20_000_000  # merges that cover each other a thousand times are a bomb
_HEAD_ROWS: Final = 100  # titles and headers, at most
_DIGITS: Final = 15  # significant digits that spreadsheets keep and show
_LONG: Final = 1e15  # from here on spreadsheets write exponents
# Names that programs give, in the commoner languages: Sheet1, Tabelle1, Feuil1, Hoja1, Foglio1, Planilha1.
_USUAL_NAME: Final = re.compile(
    "(?:sheet|tabelle|feuil|feuille|hoja|foglio|planilha|folha|blad|ark|arkusz|list|munka|taul|sayfa"
    "|\u043b\u0438\u0441\u0442|\u5de5\u4f5c\u8868|\u30b7\u30fc\u30c8|\uc2dc\ud2b8)[ _]?\\d*",
    re.I,
)


def decode_sheets(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a workbook: one `TableData` a visible sheet that has cells.

    Rows above the header that hold one text become the caption, after the sheet's name if it is not the program's own.
    A merged cell's text stands in every cell that it covers (not in ods, where calamine does not tell). Blank rows and
    columns are left out. Numbers have the 15 digits that spreadsheets show, dates are ISO 8601; formats of numbers
    (percent, currency) are not applied. Formulas are their stored results. Macros are not even unpacked.

    Raises:
        LimitError: More rows than allowed, cells spread too wide, or it unpacks to more bytes than allowed.
        EncryptedError: It needs a password.
        CorruptError: It is no workbook or too damaged to read.
    """
    tables: list[TableData] = []
    notes: list[str] = []
    rejects: list[PartialReject] = []
    with _opened(path, media_type, options.limits) as book:
        for sheet in book.sheets_metadata:
            kind, shown = str(sheet.typ).rpartition(".")[2], str(sheet.visible).rpartition(".")[2]
            if kind != "WorkSheet" or shown != "Visible":
                notes.append(
                    f"sheet {sheet.name!r} left out: {'hidden' if shown != 'Visible' else kind}"
                )
                continue
            try:
                table, found = _read(book, sheet.name, path, options.limits)
            except CorruptError as error:
                rejects.append(PartialReject("decode", error.code, error.message))
                continue
            notes += found
            if table:
                tables.append(table)
    if rejects and not tables:
        raise CorruptError(rejects[0].reason)
    return Content(media_type, tables=tuple(tables), notes=tuple(notes), rejects=tuple(rejects)), ()


@contextmanager
def _opened(path: Path, media_type: str, limits: Limits) -> Iterator[Any]:
    from python_calamine import CalamineError, PasswordError, load_workbook

    with _source(path, media_type, limits) as file:
        try:
            with _panics_as(CorruptError(f"{path} is a workbook that makes its reader fail")):
                book = load_workbook(file)
        except PasswordError as error:
            raise EncryptedError(f"{path} needs a password; save it without one") from error
        except (CalamineError, OSError, ValueError) as error:
            raise CorruptError(f"{path} cannot be opened as a workbook: {error}") from error
        with book:
            yield book


@contextmanager
def _source(path: Path, media_type: str, limits: Limits) -> Iterator[BinaryIO]:
    """What calamine may read: a workbook of the old kind as it is, any other unpacked and checked."""
    if media_type == _OLE_TYPE:
        with path.open("rb") as file:
            yield file
        return
    with plain_copy(path, limits.expanded_bytes, _has_cells, _checked(path)) as copy:
        yield copy


def _has_cells(name: str) -> bool:
    return name.endswith(_PARTS)


def _checked(path: Path) -> Callable[[str, bytes], bytes]:
    def edit(name: str, data: bytes) -> bytes:
        check_spread(name, data, path)
        return data

    return edit


@contextmanager
def _panics_as(error: CorruptError) -> Iterator[None]:
    """A Rust library that gives up raises what is no Exception; here it is an error like others."""
    try:
        yield
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":
            raise
        raise error from panic


def _read(
    book: Any, name: str, path: Path, limits: Limits
) -> tuple[TableData | None, tuple[str, ...]]:
    from python_calamine import CalamineError

    damaged = f"{path}: sheet {name!r} cannot be read"
    try:
        with _panics_as(CorruptError(damaged)):
            sheet = book.get_sheet_by_name(name)
            rows = _rows(sheet, path, limits.rows)
            merges = sheet.merged_cell_ranges or ()
            left = (sheet.start or (0, 0))[
                1
            ]  # rows are told from the top, columns from the first used
    except (CalamineError, OSError, ValueError) as error:
        raise CorruptError(f"{damaged}: {error}") from error
    rows, notes = _merged(rows, merges, left)
    caption, rows = _caption([row for row in rows if any(row)])
    rows = _without_blank_columns(rows)
    if not _USUAL_NAME.fullmatch(name.strip()):
        caption = f"{squeeze(name)}: {caption}" if caption else squeeze(name)
    table, table_notes = make_table(caption, rows, _header_rows(rows), path, limits.rows)
    return table, (*notes, *table_notes)


def _rows(sheet: Any, path: Path, limit_rows: int) -> list[Row]:
    """All rows, blank ones too: merged cells are told by their numbers."""
    rows: list[Row] = []
    filled = 0
    for row in sheet.iter_rows():
        rows.append(tuple(map(_shown, row)))
        filled += any(rows[-1])
        if filled > limit_rows + _HEAD_ROWS:
            raise LimitError(f"{path} has a sheet of more than limits.rows = {limit_rows} rows")
    return rows


def _shown(value: Any) -> str:
    """A cell as a person sees it."""
    if isinstance(value, str):
        return squeeze(value)
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds" if value.second else "minutes")
    if isinstance(value, time):
        return value.isoformat("seconds" if value.second else "minutes")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return str(value)


def _number(value: float) -> str:
    """``3`` for 3.0, ``0.3`` for 0.1 + 0.2."""
    if value.is_integer() and abs(value) < _LONG:
        return str(int(value))
    return f"{value:.{_DIGITS}g}"


def _merged(
    rows: list[Row], merges: tuple[Merge, ...] | list[Merge], left: int
) -> tuple[list[Row], tuple[str, ...]]:
    """Rows with the text of merged cells in all cells that they cover; `left` is the number of the first column."""
    filled = [list(row) for row in rows]
    budget = _FILLED_CELLS
    for (top, first), (bottom, last) in merges:
        covered = filled[top : bottom + 1]
        columns = slice(max(0, first - left), max(0, last + 1 - left))
        width = len(covered[0][columns]) if covered else 0
        if first < left or not width:
            continue  # its text would stand outside of the cells that are used: there is none
        budget -= len(covered) * width
        if budget < 0:
            return [tuple(row) for row in filled], ("too many merged cells: not all are filled in",)
        text = covered[0][columns.start]
        for row in covered:
            row[columns] = [text] * width
    return [tuple(row) for row in filled], ()


def _without_blank_columns(rows: list[Row]) -> list[Row]:
    used = [i for i, column in enumerate(zip(*rows, strict=True)) if any(column)]
    return [tuple(row[i] for i in used) for row in rows]


def _caption(rows: list[Row]) -> tuple[str, list[Row]]:
    """Leading rows that hold a single text, above a wider row, and the rows after them."""
    head = 0
    while head < len(rows) and len({cell for cell in rows[head] if cell}) == 1:
        head += 1
    if head == len(rows):
        return "", rows
    return " ".join(next(filter(None, row)) for row in rows[:head]), rows[head:]


def _header_rows(rows: list[Row]) -> int | None:
    """Two where the first row groups the columns of the second: ``2023 2023 2024 2024`` above names."""
    if len(rows) < 3:
        return None
    first = rows[0]
    grouped = any(a and a == b for a, b in pairwise(first))
    below = [tuple(f"{a} {b}".strip() for a, b in zip(first, rows[1], strict=True)), *rows[2:]]
    return 2 if grouped and has_header(below) else None
