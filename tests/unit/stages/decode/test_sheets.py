from __future__ import annotations

import zipfile
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from schemas.config import Limits
from schemas.errors import CorruptError, LimitError, UnsupportedError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from tests.documents import ods, ods_row, rezipped, xls, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

ROWS = [("Mill", "Built", "Yield"), ("Upper", 1810.0, 0.1 + 0.2), ("Lower", 1850.0, 12.5)]
SHOWN = (("Upper", "1810", "0.3"), ("Lower", "1850", "12.5"))


def read(path: Path, **limits: int) -> Content:
    content, arrays = decode(path, path.suffix[1:], DecodeOptions(limits=Limits(**limits)))
    assert arrays == ()
    return content


@pytest.mark.parametrize("kind", ["xlsx", "xls", "ods"])
def test_a_sheet_is_a_table_in_every_kind_of_workbook(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind == "xls":
        xls(path, ROWS)
    elif kind == "ods":
        ods(path, "".join(ods_row(*row) for row in ROWS) + ods_row("", repeated=1_000_000))
    else:
        with xlsxwriter.Workbook(str(path)) as book:
            sheet = book.add_worksheet("Mills")
            for r, row in enumerate(ROWS):
                sheet.write_row(r, 0, row)
    (table,) = read(path).tables
    assert (table.caption, table.header, table.rows) == ("Mills", ROWS[0], SHOWN)


def test_cells_read_as_a_person_sees_them(tmp_path: Path) -> None:
    values = [
        (date(2024, 3, 1), "yyyy-mm-dd", "2024-03-01"),
        (
            datetime(2024, 3, 1, 12, 30),
            "yyyy-mm-dd hh:mm",
            "2024-03-01 12:30",
        ),  # a sheet has no zones
        (time(8, 5), "hh:mm", "08:05"),
        (timedelta(hours=30, minutes=2), "[h]:mm", "30:02:00"),
        (True, None, "TRUE"),
        (1e20, None, "1e+20"),
        (-3.0, None, "-3"),
        ("  two\n lines ", None, "two lines"),
    ]
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx"), {"remove_timezone": True}) as book:
        sheet = book.add_worksheet()
        for row, (value, shape, _) in enumerate(values, 1):
            sheet.write(row, 0, f"row {row}")
            sheet.write(row, 1, value, book.add_format({"num_format": shape}) if shape else None)
        sheet.write_row(0, 0, ("what", "value"))
    (table,) = read(tmp_path / "a.xlsx").tables
    assert table.caption == ""  # "Sheet1" is nobody's name for it
    assert [row[1] for row in table.rows] == [text for _, _, text in values]


def test_titles_merges_groups_and_blanks(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        sheet = book.add_worksheet("Yields")
        sheet.merge_range(1, 1, 1, 6, "Sacks of flour")
        sheet.merge_range(3, 2, 3, 3, 2023)
        sheet.merge_range(3, 5, 3, 6, 2024)
        sheet.write_row(4, 1, ("Mill", "wheat", "rye", None, "wheat", "rye"))
        sheet.write_row(5, 1, ("Upper", 1, 2, None, 3, 4))
        sheet.write_row(7, 1, ("Lower", 5, None, None, 7, 8))
        sheet.merge_range(8, 1, 9, 1, "Both")
        sheet.write(8, 2, 9)
        sheet.write(9, 2, 10)
    (table,) = read(tmp_path / "a.xlsx").tables
    assert table.caption == "Yields: Sacks of flour"
    assert table.header == ("Mill", "2023 wheat", "2023 rye", "2024 wheat", "2024 rye")
    assert table.rows == (
        ("Upper", "1", "2", "3", "4"),
        ("Lower", "5", "", "7", "8"),
        ("Both", "9", "", "", ""),
        ("Both", "10", "", "", ""),
    )


def test_every_visible_sheet_is_read(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        for name in ("One", "Hidden", "Empty", "Two"):
            sheet = book.add_worksheet(name)
            if name != "Empty":
                sheet.write_row(0, 0, (name, "x"))
        book.get_worksheet_by_name("Hidden").hide()
        book.add_chartsheet("Chart")
    content = read(tmp_path / "a.xlsx")
    assert [table.caption for table in content.tables] == ["One", "Two"]
    assert content.notes == (
        "sheet 'Hidden' left out: hidden",
        "sheet 'Chart' left out: ChartSheet",
    )


def test_cells_at_far_corners_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "a")
        sheet.write(1_048_575, 16_383, "b")
    with pytest.raises(LimitError, match="spans 17179869184 cells"):
        read(path)
    with pytest.raises(LimitError, match="spans 40000000 cells"):
        read(ods(tmp_path / "a.ods", ods_row("x", "y", repeated=20_000_000)))


def test_limits_macros_and_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        for row in range(20):
            sheet.write_row(row, 0, (f"name {row}", row))
    with pytest.raises(LimitError, match=r"limits\.rows = 10"):
        read(path, rows=10)
    with pytest.raises(LimitError, match=r"limits\.expanded_bytes"):
        read(path, expanded_bytes=1000)
    assert read(
        rezipped(path, {"xl/vbaProject.bin": b"\0" * 5_000_000}), expanded_bytes=1_000_000
    ).tables
    with zipfile.ZipFile(path) as archive:
        xml = archive.read("xl/worksheets/sheet1.xml")
    with pytest.raises(CorruptError, match="Sheet1"):
        read(rezipped(path, {"xl/worksheets/sheet1.xml": xml[: len(xml) // 2]}))
    with pytest.raises(CorruptError, match="cannot be opened as a workbook"):
        read(rezipped(path, {"xl/workbook.xml": b"<"}))
    binary = zipped(tmp_path / "a.xlsb", {"[Content_Types].xml": "", "xl/workbook.bin": ""})
    with pytest.raises(UnsupportedError, match=r"save it as \.xlsx"):
        read(binary)
