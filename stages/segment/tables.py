"""Tables into rows (table/row) and whole tables (table/table)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import TABLE_ROW, TABLE_TABLE
from schemas.unit import Locator, Unit
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

    A row reads ``caption: header is cell, header is cell``; an empty cell stays as an empty value and an empty row
    stays a row. A whole table is its caption, its header and its rows as lines; above `document_tokens` it is cut
    between rows, with caption and header on every part.

    Args:
        source_id: Identity of the source.
        content: Its tables are cut.
        arrays: Not used; here because all segmenters are called alike.
        options: Sizes and the token counter.

    Returns:
        Rows and tables, table by table; a row's parent is the table part it is in.
    """
    del arrays
    units = []
    for number, table in enumerate(content.tables, start=1):
        context = "" if content.title == table.caption else content.title
        units += _units_of(source_id, table, number, context, options)
    return units


def row_text(table: TableData, row: Sequence[str]) -> str:
    """``caption: header is cell, header is cell``."""
    cells = ", ".join(f"{name} is {cell}" for name, cell in zip(table.header, row, strict=True))
    return f"{table.caption}: {cells}" if table.caption else cells


def _units_of(
    source_id: str, table: TableData, number: int, context: str, options: SegmentOptions
) -> list[Unit]:
    lines = [_line(row) for row in table.rows]
    head = "\n".join(filter(None, (table.caption, _line(table.header), _rule(table))))
    runs = _runs(lines, head, context, options)
    units = []
    for part, run in enumerate(runs, start=1):
        first_row = table.first_row + run.start
        whole = Unit(
            source_id,
            TABLE_TABLE,
            Locator(
                page=table.page,
                bbox=table.bbox,
                table=number,
                part=part if len(runs) > 1 else None,
            ),
            "\n".join((head, *(lines[i] for i in run))),
            context,
            attributes={"rows": f"{first_row}-{table.first_row + run.stop - 1}"} if run else {},
        )
        units.append(whole)
        parent_id = whole.unit_id
        for i in run:
            place = Locator(page=table.page, table=number, row=table.first_row + i)
            text = row_text(table, table.rows[i])
            units.append(Unit(source_id, TABLE_ROW, place, text, context, parent_id=parent_id))
    return units


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
