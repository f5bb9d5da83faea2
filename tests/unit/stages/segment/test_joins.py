"""Tables that go over a page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.content import Block, Content, TableData, TablePart
from schemas.partition import TABLE_ROW
from stages.segment._joins import join_tables, place_of
from stages.segment.options import SegmentOptions
from stages.segment.tables import segment_tables

HEADER = (("mill", "sacks"),)
COLUMNS = (60.0, 160.0, 260.0)


def table(page, rows, *, caption="", header=HEADER, bbox=(60.0, 80.0, 260.0, 760.0), **fields):
    names = tuple(
        " ".join(dict.fromkeys(c for c in column if c)) for column in zip(*header, strict=True)
    )
    fields = {"columns_pt": COLUMNS, **fields}
    return TableData(
        caption, names or ("", ""), tuple(rows), page, bbox, header_rows=header, **fields
    )


FIRST = table(1, [("North", "12"), ("South", "7")], caption="Table 1: Mills")
SECOND = table(2, [("West", "9")])


def test_a_repeated_header_is_told_once():
    (joined,) = join_tables([FIRST, SECOND], [])
    assert joined.rows == (("North", "12"), ("South", "7"), ("West", "9"))
    assert joined.header == ("mill", "sacks")
    assert joined.parts == (TablePart(2, SECOND.bbox, 3),)
    assert [place_of(joined, row)[0] for row in (1, 2, 3)] == [1, 1, 2]


def test_what_was_taken_for_a_header_becomes_a_row():
    more = table(2, [("East", "4")], header=(("West", "9"),))
    (joined,) = join_tables([FIRST, more], [])
    assert joined.rows[2:] == (("West", "9"), ("East", "4"))


def test_three_pages_and_two_header_rows():
    header = (("mill", "sacks"), ("", "a day"))
    parts = [table(page, [(str(page), "5")], header=header) for page in (3, 4, 5)]
    (joined,) = join_tables(parts, [])
    assert joined.rows == (("3", "5"), ("4", "5"), ("5", "5"))
    assert [(part.page, part.first_row) for part in joined.parts] == [(4, 2), (5, 3)]


@pytest.mark.parametrize("caption", ["Table 1 (continued)", "Table 1: Mills", "Table 1. cont."])
def test_a_caption_that_says_so(caption):
    assert len(join_tables([FIRST, replace(SECOND, caption=caption)], [])) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(SECOND, caption="Table 2: Rivers"),
        replace(SECOND, page=3),
        replace(SECOND, columns_pt=(60.0, 110.0, 260.0)),
        table(2, [("West", "9")], header=(("river", "length"),)),
        table(
            2,
            [("West", "9", "1")],
            header=(("mill", "sacks", "x"),),
            columns_pt=(60, 120, 180, 260),
        ),
    ],
)
def test_another_table_stays_another_table(other):
    assert join_tables([FIRST, other], []) == [FIRST, other]


def test_text_between_them_keeps_them_apart():
    above = Block("paragraph", "So much for mills.", page=2, bbox=(60, 50, 260, 70))
    below = Block("paragraph", "So much for mills.", page=1, bbox=(60, 770, 260, 790))
    beside = Block("paragraph", "Elsewhere.", page=1, bbox=(300, 770, 500, 790))
    continued = Block("caption", "Table 1 (continued)", page=2, bbox=(60, 50, 260, 70))
    assert len(join_tables([FIRST, SECOND], [above])) == 2
    assert len(join_tables([FIRST, SECOND], [below])) == 2
    assert len(join_tables([FIRST, SECOND], [beside, continued])) == 1


def test_mirrored_margins_are_no_other_columns():
    more = replace(SECOND, columns_pt=tuple(x + 40 for x in COLUMNS), bbox=(100, 80, 300, 760))
    assert len(join_tables([FIRST, more], [])) == 1


def test_tables_without_pages_stay_as_they_are():
    plain = TableData("", ("a",), (("1",),))
    assert join_tables([plain, plain], []) == [plain, plain]


def test_units_of_a_joined_table_know_their_pages_and_their_rows_go_on():
    content = Content("application/pdf", tables=(FIRST, SECOND))
    units = segment_tables("source", content, (), SegmentOptions())
    rows = [unit for unit in units if unit.partition == TABLE_ROW]
    assert [unit.locator.as_text() for unit in rows] == [
        "page 1, table 1, row 1",
        "page 1, table 1, row 2",
        "page 2, table 1, row 3",
    ]
    assert rows[2].text == "Table 1: Mills: mill is West, sacks is 9"
    (whole,) = [unit for unit in units if unit.partition != TABLE_ROW]
    assert whole.attributes == {"rows": "1-3", "pages": "1-2"}
    assert whole.text.count("| mill | sacks |") == 1
