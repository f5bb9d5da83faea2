"""Tables of HTML: spans are filled out, header rows and captions found, tables made for layout told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stages.decode._grid import make_table
from stages.decode._normalise import squeeze

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.content import TableData
    from stages.decode._grid import Row

    Element = Any  # lxml has no types of its own

_MAX_COLUMNS: Final = 1000  # the HTML standard clamps colspan to this
_LAYOUT_CELL_CHARS: Final = 1000
_BREAKS: Final = ("br", "p", "div", "li", "tr", "dd", "dt")
_HEADINGS: Final = ("h1", "h2", "h3", "h4", "h5", "h6")


def is_data_table(table: Element) -> bool:
    """Whether a table holds data; one made for layout has tables, headings or long texts in its cells."""
    if (
        table.get("role") in ("presentation", "none")
        or next(table.iterdescendants("table"), None) is not None
    ):
        return False
    rows = [sum(1 for _ in _cells(row)) for row in table.iter("tr")]
    if any(rows) and next(table.iter("th", "caption"), None) is not None:
        return True
    if sum(width > 1 for width in rows) < 2 or next(table.iter(*_HEADINGS), None) is not None:
        return False
    return all(sum(map(len, cell.itertext())) <= _LAYOUT_CELL_CHARS for cell in table.iter("td"))


def read_table(
    table: Element, path: Path, limit_rows: int
) -> tuple[TableData | None, tuple[str, ...]]:
    """Read a data table; a cell that spans rows or columns stands in each of them.

    Raises:
        LimitError: It has more rows than allowed.
    """
    caption = _text(next(table.iter("caption"), None))
    trs = [tr for tr in table.iter("tr") if next(_cells(tr), None) is not None]
    rows = list(_filled(trs))
    header_rows = _header_rows(trs)
    # One cell over all columns, above the header, names the table.
    if not caption and header_rows > 1 and len(set(rows[0])) == 1:
        caption, rows, header_rows = rows[0][0], rows[1:], header_rows - 1
    if trs and not header_rows and _is_name_value(trs):
        rows, header_rows = [("name", "value"), *rows], 1
    return make_table(caption, rows, header_rows or None, path, limit_rows)


def _cells(tr: Element) -> Iterator[Element]:
    return (cell for cell in tr if cell.tag in ("td", "th"))


def _header_rows(trs: list[Element]) -> int:
    """Leading rows that are in the table's head or have header cells only."""
    count = 0
    for tr in trs:
        if tr.getparent().tag != "thead" and any(cell.tag == "td" for cell in _cells(tr)):
            break
        count += 1
    return count if count < len(trs) else min(1, len(trs))


def _is_name_value(trs: list[Element]) -> bool:
    return all([cell.tag for cell in _cells(tr)] == ["th", "td"] for tr in trs)


def _filled(trs: list[Element]) -> Iterator[Row]:
    hanging: dict[
        int, tuple[int, str]
    ] = {}  # column -> (rows still to fill, text), from cells above
    for tr in trs:
        row: list[str] = []
        for cell in _cells(tr):
            _hang(row, hanging)
            text = _text(cell)
            for _ in range(max(1, min(_span(cell, "colspan"), _MAX_COLUMNS - len(row)))):
                if _span(cell, "rowspan") > 1:
                    hanging[len(row)] = (_span(cell, "rowspan") - 1, text)
                row.append(text)
        _hang(row, hanging)
        yield tuple(row)


def _hang(row: list[str], hanging: dict[int, tuple[int, str]]) -> None:
    """Put what hangs down from above at the end of the row."""
    while len(row) in hanging:
        left, text = hanging.pop(len(row))
        if left > 1:
            hanging[len(row)] = (left - 1, text)
        row.append(text)


def _span(cell: Element, name: str) -> int:
    value = cell.get(name, "1").strip()
    return max(1, int(value)) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _text(cell: Element | None) -> str:
    if cell is None:
        return ""
    for element in cell.iter(*_BREAKS):
        if element is not cell:
            element.tail = f"\n{element.tail or ''}"
    return squeeze("".join(cell.itertext()))
