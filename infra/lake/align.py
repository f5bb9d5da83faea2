"""Rows against the canonical schemas: everything is checked before anything is written, nothing is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.lake.paths import check_name
from schemas.errors import LakeError, VectorError

if TYPE_CHECKING:
    from infra.lake.paths import TableSpec

_NULLABLE: Final = frozenset({"page", "second", "finished_at", "marks"})


def align(rows: pa.Table, spec: TableSpec) -> pa.Table:
    """Bring `rows` into the table's canonical schema and row order.

    Columns may come in any order, strings and lists in any of Arrow's layouts (large, view, fixed size); any other
    difference is an error.

    Returns:
        Table of ``spec.schema``, sorted by ``spec.sort_by``.

    Raises:
        LakeError: A column is missing, unknown, of another type or null; the message names it.
    """
    missing = sorted(set(spec.schema.names) - set(rows.column_names))
    extra = sorted(set(rows.column_names) - set(spec.schema.names))
    if missing or extra or rows.num_columns != len(spec.schema):
        raise LakeError(
            f"rows for the table {spec.name} have other columns than it: missing {missing},"
            f" unknown {extra} (or one twice); build them with its schema in schemas/tables.py"
        )
    columns = [_cast(rows.column(field.name), field, spec.name) for field in spec.schema]
    table = pa.Table.from_arrays(columns, schema=spec.schema)
    _check_partitions(table, spec)
    return table.sort_by([(name, "ascending") for name in spec.sort_by])


def check_vectors(rows: pa.Table, space_key: str) -> int:
    """Check the vectors of an embeddings table.

    Returns:
        Their width: the dim of a dense space, the numbers to each mark in others.

    Raises:
        VectorError: They differ in width, are empty, or a number is not finite; names the first input at fault.
    """
    vectors = rows.column("vector").combine_chunks()
    lengths, counts = vector_lengths(vectors, rows.column("marks").combine_chunks())
    width = common_width(lengths, counts)
    off = lengths != width * counts
    if width == 0 or off.any():
        row = int(np.argmax(off)) if width else 0
        raise VectorError(
            f"vectors for {space_key} must have one dim: input {rows['input_hash'][row].as_py()} has"
            f" {int(lengths[row])} numbers for {int(counts[row])} vectors, others {width} for each"
        )
    values = flat_values(vectors)
    if not np.isfinite(values).all():
        number = int(np.argmin(np.isfinite(values)))
        row = int(np.searchsorted(np.cumsum(lengths), number, side="right"))
        raise VectorError(
            f"the vector of input {rows['input_hash'][row].as_py()} for {space_key} is not finite:"
            " check vectors before they are committed"
        )
    return width


def vector_lengths(vectors: pa.ListArray, marks: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row how many numbers it has, and how many vectors they are: int64 [n] each; 1 where marks are null."""
    lengths = pc.list_value_length(vectors).fill_null(-1).to_numpy(zero_copy_only=False)
    counts = pc.list_value_length(marks).fill_null(1).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64), counts.astype(np.int64)


def common_width(lengths: np.ndarray, counts: np.ndarray) -> int:
    """Numbers to a vector in the first row that has some; 1 where none has: then they are sparse."""
    some = np.flatnonzero(counts)
    return int(lengths[some[0]] // counts[some[0]]) if len(some) else 1


def flat_values(vectors: pa.ListArray) -> np.ndarray:
    """All numbers of a list column in row order, float32 [sum of lengths], not copied."""
    if vectors.flatten().null_count:
        raise VectorError("a vector has a null among its numbers")
    values: np.ndarray = vectors.flatten().to_numpy(zero_copy_only=True)
    return values


def _cast(column: pa.ChunkedArray, field: pa.Field, table: str) -> pa.ChunkedArray:
    if column.null_count and field.name not in _NULLABLE:
        raise LakeError(
            f"column {field.name} of rows for the table {table} has {column.null_count} nulls:"
            " write an empty value instead"
        )
    if column.type == field.type:
        return column
    if not _same_kind(column.type, field.type):
        raise LakeError(
            f"column {field.name} of rows for the table {table} is {column.type}, not {field.type}"
        )
    return column.cast(field.type)


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    if _is_string(given) or not _is_list(given):
        return _is_string(given) and _is_string(wanted)
    return _is_list(wanted) and (
        given.value_type == wanted.value_type or _same_kind(given.value_type, wanted.value_type)
    )


def _is_string(type_: pa.DataType) -> bool:
    return any(
        check(type_)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    )


def _is_list(type_: pa.DataType) -> bool:
    return any(
        check(type_)
        for check in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_fixed_size_list,
            pa.types.is_list_view,
        )
    )


def _check_partitions(table: pa.Table, spec: TableSpec) -> None:
    for name in spec.partition_by:
        for value in pc.unique(table.column(name)).to_pylist():
            check_name(value, name)


def with_constant(rows: pa.Table, name: str, value: int) -> pa.Table:
    """The rows with one value in all of a column that they have."""
    index = rows.schema.get_field_index(name)
    return rows.set_column(index, rows.field(index), pa.repeat(pa.scalar(value), rows.num_rows))
