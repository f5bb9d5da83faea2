"""Tables into rows (table/row) and whole tables (table/table)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.partition import TABLE_ROW, TABLE_TABLE
from schemas.unit import Locator, Unit
from stages.segment._joins import join_tables, place_of
from stages.segment._language import language_of_cells, language_of_content
from stages.segment._split import pack
from stages.segment._tokens import token_measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content, TableData
    from stages.segment.options import SegmentOptions


def segment_tables(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """Cut tables into rows, and into parts of whole tables.

    A row reads ``caption: header is cell, header is cell``; a column without a name gives its cell alone, an empty
    cell stays as an empty value and an empty row stays a row. A whole table is its caption, its header and its rows
    as lines; above `document_tokens` it is cut between rows, with caption and header on every part. The parts of a
    table that goes over a page are one table. The language is that of the sentences in the cells, or the document's.

    Args:
        source_id: Identity of the source.
        content: Its tables are cut.
        arrays: Not used; here because all segmenters are called alike.
        options: Sizes and the token counter.

    Returns:
        Rows and tables, table by table; a row's parent is the table part it is in.
    """
    del arrays
    units: list[Unit] = []
    language = language_of_content(content)
    for number, table in enumerate(join_tables(content.tables, content.blocks), start=1):
        context = "" if content.title == table.caption else content.title
        cells = (cell for row in ((table.caption,), table.header, *table.rows) for cell in row)
        told = language_of_cells(cells, language)
        units += (
            replace(unit, language=told)
            for unit in _units_of(source_id, table, number, context, options)
        )
    return units


def row_text(table: TableData, row: Sequence[str]) -> str:
    """``caption: header is cell, header is cell``."""
    named = zip(table.header, row, strict=True)
    cells = ", ".join(f"{name} is {cell}" if name else cell for name, cell in named)
    return f"{table.caption}: {cells}" if table.caption else cells


def _units_of(
    source_id: str, table: TableData, number: int, context: str, options: SegmentOptions
) -> list[Unit]:
    lines = [_line(row) for row in table.rows]
    head = "\n".join(filter(None, (table.caption, _line(table.header), _rule(table))))
    runs = _runs(lines, head, context, options)
    units = []
    for part, run in enumerate(runs, start=1):
        first_row, last_row = table.first_row + run.start, table.first_row + run.stop - 1
        page, bbox = place_of(table, first_row)
        whole = Unit(
            source_id,
            TABLE_TABLE,
            Locator(page=page, bbox=bbox, table=number, part=part if len(runs) > 1 else None),
            "\n".join((head, *(lines[i] for i in run))),
            context,
            attributes=_rows_and_pages(table, first_row, last_row) if run else {},
        )
        units.append(whole)
        parent_id = whole.unit_id
        for i in run:
            row = table.first_row + i
            place = Locator(page=place_of(table, row)[0], table=number, row=row)
            text = row_text(table, table.rows[i])
            units.append(Unit(source_id, TABLE_ROW, place, text, context, parent_id=parent_id))
    return units


def _rows_and_pages(table: TableData, first_row: int, last_row: int) -> dict[str, str]:
    """``1-40``, and ``3-5`` if they go over a page."""
    facts = {"rows": f"{first_row}-{last_row}"}
    first_page, last_page = (place_of(table, row)[0] for row in (first_row, last_row))
    if first_page != last_page:
        facts["pages"] = f"{first_page}-{last_page}"
    return facts


def _runs(lines: list[str], head: str, context: str, options: SegmentOptions) -> list[range]:
    """Rows of each part; a table without rows is one part of its header alone."""
    if not lines:
        return [range(0)]
    measure, overhead = token_measure(options.count_tokens)
    limit = options.segmentation.document_tokens
    taken = sum(measure([head, context])) + overhead
    budget = max(limit - taken, limit // 2)
    return list(pack(measure(lines), budget))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(table: TableData) -> str:
    return "|" + " --- |" * len(table.header)
