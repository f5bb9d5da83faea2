"""Tables in text: comma, tab, semicolon or bar between cells."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from schemas.content import Content
from schemas.errors import CorruptError, LimitError
from stages.decode._dialect import best_dialect
from stages.decode._encoding import read_text
from stages.decode._grid import make_table
from stages.decode._normalise import squeeze

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.config import Limits
    from stages.decode._grid import Row
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

_CELL_LINES: Final = 1000  # more lines in one cell mean that a quote was never closed


def decode_csv(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a table of separated values into one `TableData`.

    Lines above the header that have text in their first cell only become the caption; blank lines are no rows;
    short rows are filled up, with a note.

    Raises:
        LimitError: More rows or characters than allowed.
        CorruptError: It cannot be read as records.
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    limits = options.limits
    text, notes = read_text(path, limits.text_chars)
    dialect = best_dialect(text)
    rows = _records(text, dialect.delimiter, csv.QUOTE_MINIMAL, path, limits)
    if any(cell.count("\n") > _CELL_LINES for row in rows for cell in row):
        rows = _records(text, dialect.delimiter, csv.QUOTE_NONE, path, limits)
        notes = (*notes, "a quote is never closed: quotes were read as ordinary characters")
    cleaned = [tuple(map(squeeze, row)) for row in rows]
    caption, cleaned = _caption(cleaned, dialect.columns)
    table, table_notes = make_table(caption, cleaned, None, path, limits.rows)
    tables = (table,) if table else ()
    return Content(media_type, tables=tables, notes=(*notes, *table_notes)), ()


def _records(text: str, delimiter: str, quoting: int, path: Path, limits: Limits) -> list[Row]:
    rows: list[Row] = []
    with _cells_up_to(limits.text_chars):
        try:
            for record in csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting):  # type: ignore[arg-type]  # an int is what it is
                if record:
                    rows.append(tuple(record))
                if len(rows) > limits.rows + 1:  # one may be the header
                    raise LimitError(f"{path} has more rows than limits.rows = {limits.rows}")
        except csv.Error as error:
            raise CorruptError(f"{path} cannot be read as a table: {error}") from error
    return rows


@contextmanager
def _cells_up_to(chars: int) -> Iterator[None]:
    """The csv module keeps its limit on cells for the whole process, so it is put back."""
    before = csv.field_size_limit(chars)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _caption(rows: list[Row], columns: int) -> tuple[str, list[Row]]:
    """Leading lines of a single cell above a wider table, and the rows after them; empty rows there are padding."""
    head = 0
    while columns > 1 and head < len(rows) and not any(rows[head][1:]):
        head += 1
    if head == len(rows):  # nothing wide follows: these are rows
        return "", rows
    return " ".join(filter(None, (row[0].lstrip("# ") for row in rows[:head]))), rows[head:]
