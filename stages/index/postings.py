"""Postings: for every term the rows of one segment that have it, with a weight each. Needs numpy and pyarrow alone.

``<sha>.arrow`` is an uncompressed Arrow IPC file of one batch, a row for each term in ascending order: ``term``
(string, or int32 for the terms of a sparse encoder), ``rows`` (ascending row numbers) and ``weights`` (how often,
uint16, or float32). It is a sparse matrix by columns, and stays mapped: a search touches the lists of its terms alone.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from schemas.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_OFTEN: Final = np.iinfo(
    np.uint16
).max  # a term that is there more often counts as often as this
Term = str | int
Postings = tuple[np.ndarray, np.ndarray]  # rows, int32 ascending, and their weights
_NONE: Final[Postings] = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))


def lexical_schema() -> pa.Schema:
    """Of a file of words and how often each is in a row."""
    return _schema(pa.string(), pa.uint16())


def sparse_schema() -> pa.Schema:
    """Of a file of a sparse encoder's terms and weights."""
    return _schema(pa.int32(), pa.float32())


def _schema(term: pa.DataType, weight: pa.DataType) -> pa.Schema:
    rows, weights = (pa.large_list(pa.field("element", kind)) for kind in (pa.int32(), weight))
    return pa.schema([("term", term), ("rows", rows), ("weights", weights)])


def postings_bytes(
    schema: pa.Schema, terms: Sequence[Term], starts: np.ndarray, lists: Postings
) -> np.ndarray:
    """The file, uint8. Equal postings give equal bytes.

    Args:
        schema: One of the two above.
        terms: Ascending, each once.
        starts: int64 [terms + 1]: the list of term i is from starts[i] to starts[i + 1].
        lists: Rows and weights of all terms, one list after the other.
    """
    offsets = pa.array(starts, pa.int64())
    kinds = [schema.field(name).type.value_type for name in ("rows", "weights")]
    values = [pa.array(part, kind) for part, kind in zip(lists, kinds, strict=True)]
    columns = [pa.LargeListArray.from_arrays(offsets, part) for part in values]
    batch = pa.record_batch(
        [
            pa.array(terms, schema.field("term").type),
            *(c.cast(schema.field(i + 1).type) for i, c in enumerate(columns)),
        ],
        schema=schema,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression=None)) as out:
        out.write_batch(batch)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class OpenPostings:
    """A file of postings, memory-mapped.

    Attributes:
        terms: Ascending.
        starts: int64 [terms + 1].
        rows: int32, of all terms.
        weights: uint16 or float32, of all terms.
    """

    terms: pa.Array
    starts: np.ndarray
    rows: np.ndarray
    weights: np.ndarray

    @classmethod
    def open(cls, path: Path, schema: pa.Schema) -> OpenPostings:
        """Map the file.

        Raises:
            IntegrityError: It is missing, no Arrow file, or has other columns.
        """
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(f"cannot open {path}: {error}") from error
        if not table.schema.equals(schema) or table.column("term").num_chunks != 1:
            raise IntegrityError(f"{path} has other columns or batches than this gristmill reads")
        rows, weights = (table.column(name).chunk(0) for name in ("rows", "weights"))
        return cls(
            table.column("term").chunk(0),
            rows.offsets.to_numpy(),
            rows.values.to_numpy(),
            weights.values.to_numpy(),
        )

    def find(self, term: Term) -> Postings:
        """Rows and weights of a term; empty arrays for one that is not there."""
        at = bisect_left(range(len(self.terms)), term, key=self._term)
        if at == len(self.terms) or self._term(at) != term:
            return _NONE
        return self.list_at(at)

    def list_at(self, number: int) -> Postings:
        """Rows and weights of the term with this number."""
        part = slice(self.starts[number], self.starts[number + 1])
        return self.rows[part], self.weights[part]

    def _term(self, number: int) -> Term:
        found: Term = self.terms[number].as_py()
        return found
