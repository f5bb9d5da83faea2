"""Tables by the alignment of their text alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.decode._aligned import Piece, find_aligned, grid_of

HEIGHT = 12.0


def pieces_of(rows, xs, y0=100.0, step=15.0):
    """A table set at `xs`, each character 5 wide; an empty cell has no piece."""
    return [
        Piece(cell, (x, y0 + r * step, x + 5 * len(cell), y0 + r * step + HEIGHT))
        for r, row in enumerate(rows)
        for x, cell in zip(xs, row, strict=True)
        if cell
    ]


ROWS = [
    ("Mill", "Built", "Stones"),
    ("North", "1701", "4"),
    ("South", "1755", ""),
    ("West", "1810", "2"),
]


def test_rows_columns_header_and_empty_cells():
    (table,) = find_aligned(pieces_of(ROWS, (50, 150, 250)))
    assert table.rows == tuple(ROWS)
    assert table.header_rows == 1
    assert table.bbox == (50, 100, 280, 157)
    assert len(table.columns) == 4
    assert table.columns[0] == 50
    assert 70 < table.columns[1] < 150


def test_running_text_around_it_is_no_part_of_it():
    line = "a long line of running text that goes from one margin to the other one of the page"
    before = [Piece(line, (50, 55 + 15 * i, 460, 67 + 15 * i)) for i in range(3)]
    after = [Piece(line, (50, 160 + 15 * i, 460, 172 + 15 * i)) for i in range(3)]
    (table,) = find_aligned([*before, *pieces_of(ROWS, (50, 150, 250)), *after])
    assert table.rows == tuple(ROWS)


def test_wrapped_cells_are_put_together():
    pieces = pieces_of([("Term", "Meaning", "No")], (50, 150, 400))
    for i, term in enumerate(("burr", "hopper", "sluice")):
        y = 130 + 40 * i
        pieces += [
            Piece(term, (50, y, 90, y + HEIGHT)),
            Piece("what it is and", (150, y, 250, y + HEIGHT)),
            Piece("what it does", (150, y + 13, 240, y + 13 + HEIGHT)),
            Piece(str(i), (400, y, 405, y + HEIGHT)),
        ]
    (table,) = find_aligned(pieces)
    assert table.rows[1:] == tuple(
        (term, "what it is and what it does", str(i))
        for i, term in enumerate(("burr", "hopper", "sluice"))
    )


def test_the_first_rule_between_rows_ends_the_header():
    rows = [("", "Rye", "Rye"), ("Mill", "first", "second"), *[("x", "a", "b")] * 3]
    (table,) = find_aligned(pieces_of(rows, (50, 150, 250)), rules=[90.0, 128.0, 190.0])
    assert table.header_rows == 2


def test_prose_in_two_columns_is_no_table():
    text = "and the wheel begins to turn slowly while the grain runs"
    rows = [(text, text)] * 20
    assert find_aligned(pieces_of(rows, (50, 400))) == []


def test_two_tables_apart_are_two():
    pieces = pieces_of(ROWS, (50, 150, 250)) + pieces_of(ROWS, (50, 150, 250), y0=300)
    assert [table.rows for table in find_aligned(pieces)] == [tuple(ROWS)] * 2


def test_nothing_comes_of_nothing():
    assert grid_of([]) is None
    assert find_aligned([]) == []


cells = st.text("abc123", min_size=1, max_size=8)


@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(
            st.lists(cells, min_size=width, max_size=width), min_size=3, max_size=12
        )
    ),
    st.randoms(use_true_random=False),
)
def test_a_full_grid_comes_out_as_it_went_in_whatever_the_order(rows, random):
    xs = [50 + 80 * i for i in range(len(rows[0]))]
    pieces = pieces_of(rows, xs)
    random.shuffle(pieces)
    grid = grid_of(pieces)
    assert grid is not None
    assert grid.rows == tuple(map(tuple, rows))


@given(
    st.lists(st.tuples(cells, st.integers(0, 400), st.integers(0, 400)), min_size=0, max_size=60)
)
def test_no_text_is_lost_or_told_twice(placed):
    pieces = [Piece(text, (x, y, x + 5 * len(text), y + HEIGHT)) for text, x, y in placed]
    grid = grid_of(pieces)
    if grid is None:
        return
    told = "".join(sorted("".join("".join(row) for row in grid.rows).replace(" ", "")))
    assert told == "".join(sorted("".join(text for text, _, _ in placed)))
    assert {len(row) for row in grid.rows} == {len(grid.columns) - 1}
