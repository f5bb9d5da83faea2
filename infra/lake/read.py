"""A view of the lake as of one moment: every read through it sees the same live rows.

It takes `completions` first and every other table when it is first asked for. So whatever a completion names is there
already, and rows that came later are not named.
"""

from __future__ import annotations

from functools import cached_property
from sys import intern
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.lake import paths
from infra.lake.delta import read_table, table_dim
from infra.lake.hexkeys import HexKeys
from infra.lake.inputs import has_input, with_vector
from infra.lake.live import Live, as_array, by_source, digest_completions, is_latest, lookup
from infra.lake.state import EmbeddedInputs, KnownPath, LakeState, SourceFacts
from infra.lake.stream import LiveUnits, stream_live
from infra.lake.vectors import FoundVectors, VectorTable, embedding_of
from schemas.errors import IntegrityError, UnreadableError
from schemas.partition import Partition
from schemas.space import INPUT_COLUMNS
from schemas.tables import PARTITION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    from infra.lake.delta import DeltaTables
    from infra.lake.paths import TableSpec
    from schemas.space import Embedding, InputColumn

_PATH_COLUMNS: Final = [
    "uri",
    "root",
    "path",
    "source_id",
    "size_bytes",
    "mtime_ns",
    "etag",
    "content_hash",
    "outcome",
    "batch",
    "title",
]
_FACT_COLUMNS: Final = ["media_type", "title", "notes", "units"]


class LakeView:
    """Live rows only, except where a method says otherwise.

    Args:
        tables: Of the lake.
        versions: Table versions to read, as :meth:`versions` gave them (here or in a manifest); a table that is
            not among them is taken as empty. None: as of now.
    """

    def __init__(self, tables: DeltaTables, versions: Mapping[str, int] | None = None) -> None:
        self._tables = tables
        self._wanted = versions
        self._open: dict[str, DeltaTable | None] = {}
        self._datasets: dict[str, ds.Dataset] = {}
        self._handle(paths.COMPLETIONS)

    def versions(self) -> dict[str, int]:
        """Version of each table that exists, by name."""
        fixed = [paths.COMPLETIONS, paths.SOURCES, paths.UNITS, paths.REJECTS, paths.RUNS]
        specs = fixed + [paths.embeddings(key) for key in self.space_keys()]
        handles = {spec.name: self._handle(spec) for spec in specs}
        return {name: table.version() for name, table in sorted(handles.items()) if table}

    def space_keys(self) -> list[str]:
        """Spaces that any source was ever completed in, sorted."""
        rows = self._read(paths.COMPLETIONS, ["fingerprint"], pc.field("kind") == "space")
        return sorted(pc.unique(rows["fingerprint"]).to_pylist())

    def state(self) -> LakeState:
        """What is known, for planning the next run."""
        units, spaces = self.live.units, self.live.spaces
        sources = units["source_id"].to_pylist()
        done = zip(_interned(units["fingerprint"]), _interned(units["batch"]), strict=True)
        in_spaces = zip(
            spaces["source_id"].to_pylist(), _interned(spaces["fingerprint"]), strict=True
        )
        return LakeState(
            paths=self._paths(),
            units_done=dict(zip(sources, done, strict=True)),
            spaces_done=set(in_spaces),
            live_sources=set(self.live.sources.to_pylist()),
            derived_done=by_source(self.live.derived),
        )

    def facts(self, source_ids: Iterable[str]) -> dict[str, SourceFacts]:
        """What the latest complete rows say of contents, live or not; those never decoded are left out."""
        wanted = pc.field("source_id").isin(pa.array(source_ids, pa.string()))
        rows = self._visible(
            paths.SOURCES, [*_FACT_COLUMNS, "source_id", "batch", "outcome"], wanted
        )
        rows = rows.filter(pc.field("outcome") != "rejected").drop_columns("outcome")
        seq = lookup(self.live.batches["batch"], self.live.batches["seq_min"], rows["batch"])
        rows = rows.append_column("seq", seq).sort_by("seq").drop_columns(["batch", "seq"])
        return {
            row.pop("source_id"): SourceFacts(**row | {"notes": tuple(row["notes"])})
            for row in rows.to_pylist()
        }

    def embedded(self, space_key: str) -> EmbeddedInputs:
        """(modality, granularity, input_hash) of every vector that is complete, of live units or not."""
        rows = self._embeddings(space_key, [*PARTITION_COLUMNS, "input_hash"])
        inputs = EmbeddedInputs()
        for name in _count_partitions(rows):
            partition = Partition.parse(name)
            hashes = rows.filter(_in_partition(partition))["input_hash"].to_pylist()
            inputs.add_all(partition.modality, partition.granularity, hashes)
        return inputs

    def vectors_of(self, space_key: str, input_hashes: Iterable[str]) -> dict[str, Embedding]:
        """What contents became (dense: float32 [dim]), from whatever partition has it; unknown ones are left out."""
        wanted = pc.field("input_hash").isin(pa.array(input_hashes, pa.string()))
        columns = ["input_hash", "vector", "marks"]
        rows = self._visible(paths.embeddings(space_key), [*columns, "batch"], wanted)
        rows = rows.sort_by([("batch", "descending")])  # of repeats the first batch stays
        found = zip(*(rows[name].combine_chunks() for name in columns), strict=True)
        return {key.as_py(): embedding_of(vector, marks) for key, vector, marks in found}

    def live_units(
        self,
        partition: Partition | None = None,
        columns: list[str] | None = None,
        source_ids: pa.Array | None = None,
    ) -> pa.Table:
        """Units of the latest complete batch of each live source, sorted by unit_id, each once.

        Args:
            partition: Only of this one.
            columns: Which of the table's; None for all.
            source_ids: Only of these; None for all.
        """
        wanted = columns if columns is not None else paths.UNITS.schema.names
        live = self.live.live_units
        if source_ids is not None:
            live = live.filter(pc.is_in(live["source_id"], value_set=source_ids))
        where = pc.field("batch").isin(pc.unique(live["batch"]))
        where &= pc.field("source_id").isin(as_array(live["source_id"]))
        needed = list(dict.fromkeys([*wanted, "unit_id", "source_id", "batch"]))
        rows = self._read(paths.UNITS, needed, where & _in_partition(partition))
        kept = np.flatnonzero(is_latest(rows, "source_id", live))
        ids = HexKeys.of(rows["unit_id"].take(kept))
        order = ids.order()
        once = order[ids.take(order).firsts()]
        return rows.select(wanted).take(pa.array(kept[once]))

    def stream_units(
        self, partition: Partition, columns: list[str], input_column: InputColumn
    ) -> Iterator[pa.RecordBatch]:
        """Live units of a partition that have an input, in the order of the table.

        The order is the same each time a view is asked. A unit may stand there twice; its first row counts.

        Args:
            partition: Which partition.
            columns: Which of the table's; ``input_hash`` stands for `input_column`.
            input_column: Names what the space embeds: the units' text, their pixels or their sound.

        Raises:
            LakeError: A file is missing or broken.
        """
        table = self._handle(paths.UNITS)
        if table is None:
            return
        units = LiveUnits(
            self._dataset(paths.UNITS, table),
            paths.UNITS.name,
            _in_partition(partition),
            self.live.live_units,
            has_input(input_column),
        )
        sources = {name: input_column if name == "input_hash" else name for name in columns}
        yield from stream_live(units, {name: pc.field(source) for name, source in sources.items()})

    def find_vectors(self, space_key: str, partition: Partition, inputs: HexKeys) -> FoundVectors:
        """Vectors of inputs of a partition in a space.

        Raises:
            LakeError: A file is missing or broken.
        """
        spec = paths.embeddings(space_key)
        table = self._handle(spec)
        if table is None:
            return FoundVectors(None, inputs)
        batches = as_array(self.live.batches["batch"])
        where = _in_partition(partition)
        source = VectorTable(
            self._dataset(spec, table), spec.name, table_dim(table), batches, where
        )
        return FoundVectors(source, inputs)

    def require_rejected(
        self, unit_ids: pa.Array | pa.ChunkedArray, space_key: str, partition: Partition
    ) -> None:
        """Check that units without a vector stand in `rejects`.

        Raises:
            IntegrityError: Some do not; says how many.
        """
        if not len(unit_ids):
            return
        rejected = as_array(self.rejects()["unit_id"])
        lost = unit_ids.filter(pc.invert(pc.is_in(unit_ids, value_set=rejected)))
        if len(lost):
            raise IntegrityError(
                f"{len(lost)} live units of {partition} have no vector in {space_key}, {lost[0]} for one: ingest"
                " again with this space in the profile"
            )

    def rejects(self) -> pa.Table:
        """Rejects that hold, sorted by uri.

        Of a file: while it is the latest word on its uri. Of a part of a file: while the units that came of it
        are live, under whatever uri. Of a unit or its vector: while its source is live and was not cut anew since.
        """
        rows = self._visible(paths.REJECTS)
        keys = [*paths.REJECTS.sort_by, "batch"]
        return rows.filter(self.rejects_that_hold(rows)).sort_by([(k, "ascending") for k in keys])

    def rejects_that_hold(self, rows: pa.Table) -> pa.Array:
        """Mask of rows of the table; see :meth:`rejects`. Those of batches that are not complete do not hold."""
        live, batches = self.live.live_units, self.live.batches
        cut_seq = lookup(live["source_id"], live["seq"], rows["source_id"])
        seq = lookup(batches["batch"], batches["seq_min"], rows["batch"])
        of_unit = pc.fill_null(pc.greater_equal(seq, cut_seq), fill_value=False)
        of_path = is_latest(rows, "uri", self.live.paths)
        of_part = is_latest(rows, "source_id", live)
        holds = pc.if_else(pc.not_equal(rows["unit_id"], ""), of_unit, pc.or_(of_path, of_part))
        return pc.and_(holds, pc.is_valid(seq))

    def counts(self) -> dict[str, dict[str, int]]:
        """Live rows.

        Returns:
            ``paths`` by outcome, ``units`` by partition, ``vectors`` (units that have one) by
            ``partition @ space key``, ``rejects`` by code.
        """
        units = self._hashes()
        return {
            "paths": _count_values(self._path_rows()["outcome"]),
            "units": _count_partitions(units),
            "vectors": self._count_vectors(units),
            "rejects": _count_values(self.rejects()["code"]),
        }

    def vector_counts(self) -> dict[str, int]:
        """Live units that have a vector, by ``partition @ space key``."""
        return self._count_vectors(self._hashes())

    def live_sources(self) -> pa.Table:
        """source_id, path, uri and title of every path that shows something, sorted by uri."""
        rows = self._path_rows()
        shown = rows.filter(pc.field("outcome") != "rejected")
        return shown.select(["source_id", "path", "uri", "title"])

    def runs(self) -> pa.Table:
        """Every recorded run, in the order they were recorded."""
        return self._read(paths.RUNS).sort_by("seq")

    @cached_property
    def live(self) -> Live:
        """The completions, digested."""
        return digest_completions(self.completions())

    def all_rows(
        self, spec: TableSpec, columns: list[str], where: pc.Expression | None = None
    ) -> pa.Table:
        """Rows of a table whether they count or not: superseded ones and orphans too."""
        return self._read(spec, columns, where)

    def completions(self) -> pa.Table:
        """All of them, superseded ones included."""
        return self._read(paths.COMPLETIONS)

    def _hashes(self) -> pa.Table:
        """Partition and inputs of every live unit."""
        return self.live_units(columns=[*PARTITION_COLUMNS, *INPUT_COLUMNS.values()])

    def _count_vectors(self, units: pa.Table) -> dict[str, int]:
        vectors: dict[str, int] = {}
        for key in self.space_keys():
            embedded = self._embeddings(key, [*PARTITION_COLUMNS, "input_hash"])
            for name, count in _count_embedded(units, embedded).items():
                vectors[f"{name} @ {key}"] = count
        return vectors

    def _paths(self) -> dict[str, KnownPath]:
        failed = self._visible(paths.REJECTS).filter(pc.field("unit_id") == "")
        failed = failed.filter(is_latest(failed, "uri", self.live.paths)).sort_by("code")
        codes = dict(zip(failed["uri"].to_pylist(), failed["code"].to_pylist(), strict=True))
        return {row["uri"]: _known_path(row, codes) for row in self._path_rows().to_pylist()}

    def _path_rows(self) -> pa.Table:
        """The latest word on every path that is there, sorted by uri."""
        live = self.live.paths
        rows = self._visible(paths.SOURCES, _PATH_COLUMNS)
        rows = rows.filter(is_latest(rows, "uri", live))
        named = live.filter(pc.field("source_id") != "")["uri"]
        missing = named.filter(pc.invert(pc.is_in(named, value_set=as_array(rows["uri"]))))
        if len(missing):
            raise IntegrityError(
                f"{len(missing)} complete paths have no row in sources, {missing[0].as_py()} for one:"
                " files of the table sources were lost"
            )
        fingerprints = lookup(live["uri"], live["fingerprint"], rows["uri"])
        return rows.append_column("fingerprint", fingerprints).sort_by("uri")

    def _embeddings(self, space_key: str, columns: list[str]) -> pa.Table:
        return self._visible(paths.embeddings(space_key), columns)

    def _visible(
        self, spec: TableSpec, columns: list[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Rows of complete batches, superseded ones included."""
        complete = pc.field("batch").isin(as_array(self.live.batches["batch"]))
        return self._read(spec, columns, complete if where is None else complete & where)

    def _read(
        self, spec: TableSpec, columns: list[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        table = self._handle(spec)
        names = columns if columns is not None else spec.schema.names
        if table is None:
            return spec.schema.empty_table().select(names)
        return read_table(self._dataset(spec, table), spec.name, columns=names, where=where)

    def _dataset(self, spec: TableSpec, table: DeltaTable) -> ds.Dataset:
        """Always the same object, so that the files come in one order."""
        if spec.name not in self._datasets:
            self._datasets[spec.name] = self._tables.dataset(spec, table)
        return self._datasets[spec.name]

    def _handle(self, spec: TableSpec) -> DeltaTable | None:
        if spec.name not in self._open:
            absent = self._wanted is not None and spec.name not in self._wanted
            version = None if self._wanted is None else self._wanted.get(spec.name)
            self._open[spec.name] = None if absent else self._tables.open(spec, version)
        return self._open[spec.name]


def _in_partition(partition: Partition | None) -> pc.Expression:
    if partition is None:
        return pc.scalar(True)
    modality, granularity = PARTITION_COLUMNS
    return (pc.field(modality) == partition.modality) & (
        pc.field(granularity) == partition.granularity
    )


def _known_path(row: dict[str, Any], codes: dict[str, str]) -> KnownPath:
    shared = {name: intern(row[name]) for name in ("root", "outcome", "fingerprint", "batch")}
    code = codes.get(row["uri"], "")
    holds = row["outcome"] == "rejected" or code == UnreadableError.code
    return KnownPath(**{**row, **shared}, reject_code=code if holds else "")


def _interned(column: pa.ChunkedArray) -> list[str]:
    """Values of a column with few distinct ones, each held in memory once."""
    return [intern(value) for value in column.to_pylist()]


def _count_embedded(units: pa.Table, embedded: pa.Table) -> dict[str, int]:
    counts = {}
    for name in _count_partitions(embedded):
        inside = _in_partition(Partition.parse(name))
        hashes = as_array(embedded.filter(inside)["input_hash"])
        counts[name] = pc.sum(with_vector(units.filter(inside), hashes)).as_py() or 0
    return counts


def _count_partitions(rows: pa.Table) -> dict[str, int]:
    modality, granularity = (rows[name] for name in PARTITION_COLUMNS)
    return _count_values(pc.binary_join_element_wise(modality, granularity, "/"))


def _count_values(column: pa.ChunkedArray) -> dict[str, int]:
    counted = [(item["values"], item["counts"]) for item in pc.value_counts(column).to_pylist()]
    return dict(sorted(counted))
