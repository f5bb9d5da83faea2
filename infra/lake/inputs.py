"""What spaces embed of units: each kind of input is named by a column of their table."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from schemas.derived import GENERATOR
from schemas.space import INPUT_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from schemas.space import InputColumn

# As canonical JSON has the key; within a string its quotes would be escaped.
_DERIVED: Final = f'"{GENERATOR}":'


def has_input(column: InputColumn) -> pc.Expression:
    """Whether a row of the table of units has what this column names, if its partition has.

    A derived unit has the place of its parent and text of its own: the sound of the place is its parent's.
    """
    if column == INPUT_COLUMNS["sound"]:
        return ~pc.match_substring(pc.field("attributes"), _DERIVED)
    return pc.field(column) != ""


def with_vector(units: pa.Table, inputs: pa.Array) -> pa.ChunkedArray:
    """Mask of units one of whose inputs is among these; they have all columns that name some."""
    found = (pc.is_in(units[name], value_set=inputs) for name in INPUT_COLUMNS.values())
    return reduce(pc.or_, found)
