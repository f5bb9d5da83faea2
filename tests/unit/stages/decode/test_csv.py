from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Limits
from schemas.errors import LimitError
from stages.decode.csv import decode_csv
from stages.decode.options import DecodeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content, TableData


def read(path: Path, text: str, **limits: int) -> Content:
    path.write_text(text, newline="")
    return decode_csv(path, "text/csv", DecodeOptions(limits=Limits(**limits)))[0]


def table_of(tmp_path: Path, text: str) -> TableData:
    (table,) = read(tmp_path / "file", text).tables
    return table


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiters_and_quotes(tmp_path: Path, delimiter: str) -> None:
    rows = [["Name", "Note"], ["Al", f"a{delimiter} b"], ["Bo", 'two\n"lines"'], ["Cy", ""]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    table = table_of(tmp_path, buffer.getvalue())
    assert table.header == ("Name", "Note")
    expected = "a b" if delimiter == "\t" else f"a{delimiter} b"
    assert table.rows == (("Al", expected), ("Bo", 'two "lines"'), ("Cy", ""))


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("name,age\nAl,3\nBo,4\n", ("name", "age")),
        ("town,2019,2020\nX,1,2\nY,3,4\n", ("town", "2019", "2020")),
        ("1,2\n3,4\n", ("column 1", "column 2")),
        ("2019-01-02,4.5\n2019-01-03,4\n", ("column 1", "column 2")),
        ("Al,x\nBo,y\nAl,z\n", ("column 1", "column 2")),
        ("a,a\n1,2\n", ("column 1", "column 2")),
        ("id,,note\n1,2,x\n", ("id", "column 2", "note")),
        ("only\none\ncolumn\n", ("only",)),
    ],
)
def test_headers(tmp_path: Path, text: str, header: tuple[str, ...]) -> None:
    assert table_of(tmp_path, text).header == header


def test_ragged_rows_are_filled_and_noted_and_no_row_vanishes(tmp_path: Path) -> None:
    content = read(tmp_path / "file", "a,b,c\n1,2\n,,\n1,2\n\n4,5,6,7\n")
    (table,) = content.tables
    assert table.header == ("a", "b", "c", "column 4")
    assert table.rows == (
        ("1", "2", "", ""),
        ("", "", "", ""),
        ("1", "2", "", ""),
        ("4", "5", "6", "7"),
    )
    assert content.notes == ("short rows of a table filled up with empty cells: 3",)


def test_lines_above_the_header_are_the_caption(tmp_path: Path) -> None:
    table = table_of(tmp_path, "# Sales of 2020;;\n;;\nName;Sum;Note\nAl;1,5;x\nBo;2,5;y\n")
    assert (table.caption, table.header, len(table.rows)) == (
        "Sales of 2020",
        ("Name", "Sum", "Note"),
        2,
    )


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    text = "name,age\nAl,3\n"
    assert read(tmp_path / "one.csv", text) == read(tmp_path / "two.csv", text)


def test_an_unclosed_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    content = read(tmp_path / "file", 'a,b\n"x,1\n' + "y,2\n" * 2000)
    (table,) = content.tables
    assert len(table.rows) == 2001
    assert "quote" in content.notes[0]


def test_long_cells_are_whole_and_the_process_limit_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    table = table_of(tmp_path, f"a,b\n{'x' * 200_000},1\n")
    assert len(table.rows[0][0]) == 200_000
    assert csv.field_size_limit() == before


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read(path, "a,b\n1,2\n3,4\n", rows=2).tables
    with pytest.raises(LimitError, match="rows = 1"):
        read(path, "a,b\n1,2\n3,4\n", rows=1)
    with pytest.raises(LimitError, match="uneven"):
        read(path, "," * 30_000 + "\n" + "a\n" * 1000)


CELLS = st.text(alphabet='ab1,;"\n é', max_size=8)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8))
def test_every_record_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("Xa", "Xb", "Xc"), *rows])
    path = tmp_path_factory.getbasetemp() / "any.csv"
    (table,) = read(path, buffer.getvalue()).tables
    assert table.header == ("Xa", "Xb", "Xc")
    assert table.rows == tuple(tuple(" ".join(cell.split()) for cell in row) for row in rows)
