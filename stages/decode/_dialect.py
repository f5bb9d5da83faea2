"""How a table in text is separated.

`csv.Sniffer` guesses from letter frequencies and is often wrong, so the records are parsed with each delimiter
in turn, and the one that gives equal rows wins.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Final

DELIMITERS: Final = (",", "\t", ";", "|")
_RECORDS: Final = 200
_SAMPLE_CHARS: Final = 1 << 16
_SURE_RECORDS: Final = 3
_SURE_COMMA_RECORDS: Final = 4  # prose has commas too


@dataclass(frozen=True, slots=True)
class Dialect:
    """A delimiter, the usual number of cells, and the share of records that have it."""

    delimiter: str
    columns: int
    share: float
    records: int


def best_dialect(text: str) -> Dialect:
    """The delimiter that gives the most even table of at least two columns; a single column if none does."""
    sample = text[:_SAMPLE_CHARS]
    if len(text) > len(sample):
        sample = sample[: sample.rfind("\n") + 1] or sample
    found = [dialect for d in DELIMITERS if (dialect := _measure(sample, d)) is not None]
    return max(found, key=lambda d: (d.share, d.columns), default=Dialect(",", 1, 1.0, 0))


def find_dialect(text: str) -> Dialect | None:
    """The dialect of a text that is surely a table, with nothing but its content to go by; else None."""
    dialect = best_dialect(text)
    if dialect.share < 1 or dialect.records < _SURE_RECORDS:
        return None
    if dialect.delimiter == "," and (
        dialect.columns < 3 or dialect.records < _SURE_COMMA_RECORDS or ", " in text[:_SAMPLE_CHARS]
    ):
        return None
    return dialect


def _measure(sample: str, delimiter: str) -> Dialect | None:
    reader = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter)
    try:
        widths = Counter(len(record) for record in islice(reader, _RECORDS) if record)
    except csv.Error:  # a cell beyond csv's size limit: an unclosed quote under this delimiter
        return None
    wide = {columns: count for columns, count in widths.items() if columns > 1}
    if not wide:
        return None
    columns = max(wide, key=lambda n: (wide[n], n))
    total = sum(widths.values())
    return Dialect(delimiter, columns, wide[columns] / total, total)
