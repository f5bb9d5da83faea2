"""The Parquet files of the tables, and what the log says of each."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.lake.paths import TableSpec

ROWS_PER_FILE: Final = 1 << 16  # 100 MB of vectors of dim 384
_ROWS_PER_GROUP: Final = 1 << 14
_BOUND_CHARS: Final = 32  # of a string in the statistics, as Spark has it
_LAST_CHAR: Final = "\U0010ffff"


def parquet_bytes(rows: pa.Table) -> bytes:
    """Equal rows give equal bytes. Vectors stay raw: they hardly compress, and reading them is then a copy."""
    plain = {name for name in rows.column_names if name == "vector"}
    columns = [f"{name}.list.element" if name in plain else name for name in rows.column_names]
    sink = io.BytesIO()
    pq.write_table(
        rows,
        sink,
        row_group_size=_ROWS_PER_GROUP,
        compression={c: "none" if c.startswith("vector.") else "zstd" for c in columns},
        use_dictionary=[name for name in rows.column_names if name not in plain],
        write_page_checksum=True,  # so that `gristmill verify` sees a bit that flipped
    )
    return sink.getvalue()


def file_stats(rows: pa.Table) -> str:
    """Statistics of every column but lists: delta-rs' datasets take a column without bounds for one of nulls.

    They come as in the Delta protocol, section "Per-file Statistics".
    """
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in rows.column_names:
        column = rows.column(name)
        nulls[name] = column.null_count
        if pa.types.is_nested(column.type) or nulls[name] == rows.num_rows:
            continue
        bounds = pc.min_max(column)
        least[name] = _lower_bound(bounds["min"].as_py())
        most[name] = _upper_bound(bounds["max"].as_py())
    return json.dumps(
        {
            "numRecords": rows.num_rows,
            "minValues": least,
            "maxValues": most,
            "nullCount": nulls,
        },
        sort_keys=True,
    )


def _lower_bound(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value[:_BOUND_CHARS] if isinstance(value, str) else value


def _upper_bound(value: Any) -> Any:
    if isinstance(value, datetime):
        return _lower_bound(value + timedelta(milliseconds=1))
    if not isinstance(value, str) or len(value) <= _BOUND_CHARS or _LAST_CHAR in value:
        return value
    return value[:_BOUND_CHARS] + _LAST_CHAR


def file_parts(
    spec: TableSpec, rows: pa.Table, stem: str
) -> Iterator[tuple[str, dict[str, str], pa.Table]]:
    """Cut rows into files: (name below the table's folder, partition values, rows without them)."""
    for values, part in _by_partition(spec, rows):
        folder = "".join(f"{name}={value}/" for name, value in values.items())
        for number, start in enumerate(range(0, part.num_rows, ROWS_PER_FILE)):
            yield f"{folder}{stem}-{number:04}.parquet", values, part.slice(start, ROWS_PER_FILE)


def _by_partition(spec: TableSpec, rows: pa.Table) -> Iterator[tuple[dict[str, str], pa.Table]]:
    if not spec.partition_by:
        yield {}, rows
        return
    names = list(spec.partition_by)
    found = rows.select(names).group_by(names).aggregate([])
    for values in found.sort_by([(name, "ascending") for name in names]).to_pylist():
        masks = [pc.equal(rows.column(name), value) for name, value in values.items()]
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.and_(mask, other)
        yield values, rows.filter(mask).drop_columns(names)
