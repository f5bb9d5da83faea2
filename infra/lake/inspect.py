"""Looking at every file of the tables: is it there, has it the size, schema and rows of the log, does it decode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.lake.align import common_width, flat_values, vector_lengths
from infra.lake.delta import DIM_KEY, DeltaTables, file_rows, transaction_version
from infra.lake.log import LOG, read_log, table_specs
from infra.local_blobs import local_root
from schemas.errors import LakeError, VectorError
from schemas.tables import EMBEDDINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from infra.lake.log import LoggedFile, TableLog
    from infra.lake.paths import TableSpec
    from schemas.blobs import BlobStore

    Progress = Callable[[str, int, int], None]  # what is looked at, how many are done, of how many

_ROWS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A data file that is not as the log says."""

    file: LoggedFile
    wrong: str


@dataclass(slots=True)
class InspectedTable:
    """What was found.

    Attributes:
        log: The table's log.
        files: Number of data files looked at.
        rows: In those that are whole.
        damaged: The others.
        unnamed: Keys of data files that the log does not name.
    """

    log: TableLog
    files: int = 0
    rows: int = 0
    damaged: list[DamagedFile] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)

    @property
    def spec(self) -> TableSpec:
        """Which table."""
        return self.log.spec

    @property
    def is_whole(self) -> bool:
        """Whether it can be read, all of it."""
        return not (self.log.unknown or self.log.damaged or self.damaged or self.lacks_log)

    @property
    def lacks_log(self) -> bool:
        """Whether there are data files and nothing that names them."""
        return self.log.top < 0 and bool(self.unnamed)


def inspect_tables(blobs: BlobStore, progress: Progress) -> list[InspectedTable]:
    """Look at every table there is a file of.

    Raises:
        LakeError: The store cannot be reached.
    """
    return [inspect_table(blobs, spec, progress) for spec in table_specs(blobs.list("tables"))]


def inspect_table(blobs: BlobStore, spec: TableSpec, progress: Progress) -> InspectedTable:
    """Look at one table and every byte of it. A run may go on meanwhile: what it replaced is no damage.

    Raises:
        LakeError: The store cannot be reached.
    """
    found = InspectedTable(read_log(blobs, spec))
    dim = dim_of(found.log)
    for number, file in enumerate(found.log.files.values()):
        progress(spec.name, number, len(found.log.files))
        wrong, rows = check_file(blobs, spec, file.path, file, dim)
        found.files += 1
        found.rows += rows
        if wrong:
            found.damaged.append(DamagedFile(file, wrong))
    if found.damaged:
        named = read_log(blobs, spec).files
        found.damaged = [damaged for damaged in found.damaged if damaged.file.path in named]
    if not found.log.damaged and found.log.top >= 0 and (why := why_it_does_not_open(blobs, spec)):
        found.log.damaged[f"{spec.folder}/{LOG}"] = why
    found.unnamed = [
        key for key in data_keys(blobs, spec) if _below(key, spec) not in found.log.files
    ]
    return found


def why_it_does_not_open(blobs: BlobStore, spec: TableSpec) -> str:
    """What delta-rs has against a log in which we see nothing wrong; empty for nothing, or where there is no log."""
    try:
        table = DeltaTables(blobs).open(spec)
        if table is not None:
            transaction_version(table, "")  # delta-rs reads those parts of a log by themselves
            file_rows(table)
    except LakeError as error:
        return str(error)
    return ""


def data_keys(blobs: BlobStore, spec: TableSpec) -> list[str]:
    """Keys of the data files in a table's folder, named by its log or not."""
    keys = blobs.list(spec.folder)
    return [key for key in keys if key.endswith(".parquet") and f"/{LOG}/" not in key]


def dim_of(log: TableLog) -> int:
    """Dim of the vectors of a table, 0 for one without or where it is lost."""
    return int((log.metadata or {}).get("configuration", {}).get(DIM_KEY, 0))


def check_file(
    blobs: BlobStore, spec: TableSpec, path: str, said: LoggedFile | None, dim: int
) -> tuple[str, int]:
    """Read a data file to its end.

    Args:
        blobs: Of the lake.
        spec: Its table.
        path: Below the table's folder.
        said: What the log says of it; None where it says nothing.
        dim: Of the table's vectors; 0 for unknown, or no vectors.

    Returns:
        What is wrong, empty if nothing is; number of rows, 0 if anything is.

    Raises:
        LakeError: The store cannot be reached.
    """
    key = f"{spec.folder}/{path}"
    size_bytes = blobs.size_bytes(key)
    if size_bytes is None:
        return "is missing", 0
    if said is not None and size_bytes != said.size_bytes:
        return f"has {size_bytes} bytes, the log says {said.size_bytes}", 0
    rows = 0
    try:
        with pq.ParquetFile(_source(blobs, key), page_checksum_verification=True) as file:
            if wrong := _wrong_schema(file.schema_arrow, spec):
                return wrong, 0
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                batch.validate(full=True)
                rows += batch.num_rows
                if "vector" in batch.schema.names and (wrong := _wrong_vectors(batch, dim)):
                    return wrong, 0
    except (pa.ArrowException, OSError, ValueError, VectorError) as error:
        return f"cannot be read: {str(error).partition(chr(10))[0]}", 0
    if said is not None and said.rows is not None and rows != said.rows:
        return f"has {rows} rows, the log says {said.rows}", 0
    return "", rows


def read_file(blobs: BlobStore, spec: TableSpec, path: str, columns: Sequence[str]) -> pa.Table:
    """Columns of a whole data file; the table's partition columns come from its path.

    Raises:
        LakeError: The store cannot be reached.
    """
    stored = [name for name in columns if name not in spec.partition_by]
    with pq.ParquetFile(_source(blobs, f"{spec.folder}/{path}")) as file:
        rows = file.read(stored)
    for name, value in partition_of(path).items():
        if name in columns:
            rows = rows.append_column(name, pa.repeat(pa.scalar(value), rows.num_rows))
    for name in set(columns) - set(rows.column_names):  # one that came to the schema later
        rows = rows.append_column(name, pa.nulls(rows.num_rows, spec.schema.field(name).type))
    return rows.select(list(columns))


def row_keys(rows: pa.Table, spec: TableSpec) -> pa.ChunkedArray:
    """What tells the rows of a table apart, as one string each."""
    names = key_columns(spec)
    parts = [pc.fill_null(rows[name].cast(pa.string()), "") for name in names]
    return pc.binary_join_element_wise(*parts, "\x1f")


def key_columns(spec: TableSpec) -> list[str]:
    """Columns that together tell the rows of a table apart."""
    more = [name for name in ("batch", "seq") if name in spec.schema.names]
    return list(dict.fromkeys([*spec.sort_by, *more]))


def partition_of(path: str) -> dict[str, str]:
    """Values of the partition columns in a path: ``modality=text/granularity=paragraph/...``."""
    return dict(_pairs(path))


def _pairs(path: str) -> Iterator[tuple[str, str]]:
    for part in path.split("/")[:-1]:
        name, _, value = part.partition("=")
        yield name, value


def _source(blobs: BlobStore, key: str) -> Any:
    root = local_root(blobs.url)
    return pa.BufferReader(blobs.get(key)) if root is None else str(root / key)


def _wrong_schema(found: pa.Schema, spec: TableSpec) -> str:
    """A column that came later may be absent, since Delta reads it as null; what tells rows apart may not."""
    stored = [name for name in spec.schema.names if name not in spec.partition_by]
    for field_ in found:
        if field_.name not in stored:
            return f"has a column {field_.name}, the table has none"
        if field_.type != spec.schema.field(field_.name).type:
            return f"has {field_.type} in column {field_.name}, the table {spec.schema.field(field_.name).type}"
    needed = {*spec.sort_by, *({"batch"} & set(stored))} - set(spec.partition_by)
    missing = sorted(needed - set(found.names))
    return f"lacks the columns {', '.join(missing)}" if missing else ""


def _wrong_vectors(batch: pa.RecordBatch, dim: int) -> str:
    marks = batch.column("marks") if "marks" in batch.schema.names else _no_marks(batch.num_rows)
    lengths, counts = vector_lengths(batch.column("vector"), marks)
    wanted = dim or common_width(lengths, counts)
    if (lengths != wanted * counts).any():
        return f"has vectors that are not of the table's dim {wanted}"
    return (
        ""
        if np.isfinite(flat_values(batch.column("vector"))).all()
        else "has numbers that are not finite"
    )


def _no_marks(rows: int) -> pa.Array:
    """Of a table that was written before there were any."""
    return pa.nulls(rows, EMBEDDINGS.field("marks").type)


def _below(key: str, spec: TableSpec) -> str:
    return key.removeprefix(f"{spec.folder}/")
