from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Segmentation
from schemas.content import Content, TableData
from schemas.partition import TABLE_ROW, TABLE_TABLE
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment
from stages.segment.tables import segment_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.unit import Unit

TABLE = TableData("Mills", ("name", "built"), (("Old", "1700"), ("New", ""), ("New", "")))


def cut(
    tables: Sequence[TableData], title: str = "", tokens: int = 512
) -> tuple[list[Unit], list[Unit]]:
    content = Content("text/csv", title=title, tables=tuple(tables))
    options = SegmentOptions(Segmentation(document_tokens=tokens))
    units = segment_tables("source", content, (), options)
    rows = [unit for unit in units if unit.partition == TABLE_ROW]
    return rows, [unit for unit in units if unit.partition == TABLE_TABLE]


def test_rows_name_their_columns_and_keep_empty_cells() -> None:
    rows, _ = cut([TABLE], title="Guide")
    assert [unit.text for unit in rows] == [
        "Mills: name is Old, built is 1700",
        "Mills: name is New, built is ",
        "Mills: name is New, built is ",
    ]
    assert {unit.context for unit in rows} == {"Guide"}
    assert [unit.locator.as_text() for unit in rows] == [f"table 1, row {n}" for n in (1, 2, 3)]


def test_equal_rows_stay_two() -> None:
    units = segment("source", Content("text/csv", tables=(TABLE,)), (), SegmentOptions())
    assert sum(unit.partition == TABLE_ROW for unit in units) == 3


def test_a_whole_table_has_caption_header_and_rows() -> None:
    rows, (table,) = cut([TABLE])
    assert (
        table.text
        == "Mills\n| name | built |\n| --- | --- |\n| Old | 1700 |\n| New |  |\n| New |  |"
    )
    assert table.locator.as_dict() == {"table": 1}
    assert {unit.parent_id for unit in rows} == {table.unit_id}


def test_a_long_table_is_cut_between_rows_with_its_header_on_every_part() -> None:
    data = TableData(
        "Mills",
        ("name", "built"),
        tuple((f"m{i}", str(i)) for i in range(100)),
        page=4,
        first_row=11,
    )
    rows, tables = cut([TABLE, data], tokens=100)
    parts = [unit for unit in tables if unit.locator.table == 2]
    assert len(parts) > 1
    assert [unit.locator.part for unit in parts] == list(range(1, len(parts) + 1))
    assert all(unit.text.startswith("Mills\n| name | built |\n") for unit in parts)
    lines = [line for unit in parts for line in unit.text.split("\n")[3:]]
    assert lines == [f"| m{i} | {i} |" for i in range(100)]
    assert parts[0].attributes["rows"].startswith("11-")
    assert parts[-1].attributes["rows"].endswith("-110")
    texts = {unit.unit_id: unit.text for unit in parts}
    for unit in rows[3:]:
        name = unit.text.split("name is ")[1].split(",")[0]
        assert f"| {name} |" in texts[unit.parent_id]
        assert unit.locator.page == 4
    assert rows[3].locator.row == 11


def test_a_table_without_rows_and_a_caption_that_is_the_title() -> None:
    rows, (table,) = cut([TableData("Mills", ("name",), ())], title="Mills")
    assert rows == []
    assert table.text == "Mills\n| name |\n| --- |"
    assert table.context == ""


@given(
    st.lists(
        st.lists(st.sampled_from(["", "a", "b c"]), min_size=2, max_size=2).map(tuple), max_size=40
    ),
    st.integers(32, 80),
)
def test_every_row_is_one_unit_in_one_part(cells: list[tuple[str, str]], tokens: int) -> None:
    data = TableData("", ("x", "y"), tuple(cells))
    rows, tables = cut([data], tokens=tokens)
    assert len({unit.unit_id for unit in rows}) == len(cells)
    assert sum(len(unit.text.split("\n")) - 2 for unit in tables) == len(cells)
    assert {unit.parent_id for unit in rows} <= {unit.unit_id for unit in tables}
