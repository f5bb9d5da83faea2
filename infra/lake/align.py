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

_NULLABLE: Final = frozenset({"page", "second", "finished_at"})


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
        Their dim.

    Raises:
        VectorError: They differ in dim, are empty, or a number is not finite; names the first input at fault.
    """
    vectors = rows.column("vector").combine_chunks()
    lengths = pc.list_value_length(vectors).to_numpy(zero_copy_only=False)
    dim = int(lengths[0])
    if dim == 0 or (lengths != dim).any():
        row = int(np.argmax(lengths != dim)) if dim else 0
        raise VectorError(
            f"vectors for {space_key} must have one dim: input {rows['input_hash'][row].as_py()} has"
            f" {int(lengths[row])} numbers, the first row {dim}"
        )
    values = flat_values(vectors)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values))) // dim
        raise VectorError(
            f"the vector of input {rows['input_hash'][row].as_py()} for {space_key} is not finite:"
            " check vectors before they are committed"
        )
    return dim


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
