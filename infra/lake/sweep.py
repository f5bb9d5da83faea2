"""Maintenance of the tables: what nothing needs any more goes, and small files become large ones.

`completions` is rewritten first. So a sweep that dies half-way leaves rows in the other tables that are not named any
more, which nobody sees, and never a name without its rows. The next sweep takes them away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.lake import paths
from infra.lake.delta import file_rows
from infra.lake.files import ROWS_PER_FILE
from infra.lake.live import BATCH_KIND, as_array, is_latest, joined
from infra.lake.read import LakeView
from schemas.errors import LakeError
from schemas.partition import AUDIO_SEGMENT
from schemas.space import INPUT_COLUMNS
from schemas.tables import COMPLETIONS, PARTITION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    from infra.lake.delta import DeltaTables
    from infra.lake.paths import TableSpec
    from schemas.space import InputColumn

_SMALL_ROWS: Final = ROWS_PER_FILE // 2


@dataclass(frozen=True, slots=True)
class TableSweep:
    """What a sweep of one table does, or would do.

    Attributes:
        table: Its name.
        rows: Rows before.
        dropped_rows: Rows that nothing needs.
        files: Files before.
        rewritten_files: Files whose needed rows move into new ones.
    """

    table: str
    rows: int
    dropped_rows: int
    files: int
    rewritten_files: int


class Sweeper:
    """Looks at the lake as of now, and sweeps table after table.

    Args:
        tables: Of the lake.
        run_id: Of this sweep; names its files.
        token: Of the writer.
        dropped: Keys of spaces of which nothing is needed any more.
    """

    def __init__(
        self, tables: DeltaTables, run_id: str, token: int, dropped: Collection[str] = ()
    ) -> None:
        self._tables = tables
        self._run_id = run_id
        self._token = token
        self._dropped = dropped
        self._view = LakeView(tables)
        self._hashes = {column: self._hashes_of(column) for column in INPUT_COLUMNS.values()}

    def specs(self) -> list[TableSpec]:
        """Every table there is, `completions` first."""
        return sorted(self._tables.specs(), key=lambda spec: spec is not paths.COMPLETIONS)

    def sweep(self, spec: TableSpec, *, dry_run: bool) -> TableSweep:
        """Drop what nothing needs from one table, and join its small files.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: A file is missing or broken.
        """
        if not dry_run:
            self._tables.fence(spec, self._token)
        table = self._open(spec)
        dataset = self._tables.dataset(spec, table)
        files = file_rows(table)
        if spec is paths.COMPLETIONS:
            before = dataset.count_rows()
            kept = self._completions()
            chosen = files if len(files) > 1 or kept.num_rows < before else []
            dropped, added = before - kept.num_rows, iter([kept] if kept.num_rows else [])
        else:
            chosen, before, dropped = self._choose(spec, dataset, files)
            added = self._kept(spec, dataset, {row["path"] for row in chosen})
        if chosen and not dry_run:
            self._tables.rewrite(
                spec,
                table,
                removed=chosen,
                added=added,
                name=f"{self._run_id}-sweep",
                token=self._token,
            )
        return TableSweep(spec.name, before, dropped, len(files), len(chosen))

    def vacuum(self, *, dry_run: bool) -> int:
        """Delete the files that the tables as of now do not need; older versions cannot be read after that.

        Returns:
            How many files that were, or would be.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: A table cannot be read or written.
        """
        return sum(
            len(self._tables.vacuum(spec, dry_run=dry_run, token=self._token))
            for spec in self.specs()
        )

    def drop_history(self) -> None:
        """Leave nothing of the tables but their present; no older version of any can be read after that.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: A table cannot be read or written.
        """
        for spec in self.specs():
            self._tables.drop_history(spec, token=self._token)

    def _open(self, spec: TableSpec) -> DeltaTable:
        table = self._tables.open(spec)
        if table is None:
            raise LakeError(f"the table {spec.name} vanished: restore it, or start a new lake")
        return table

    def _choose(
        self, spec: TableSpec, dataset: ds.Dataset, files: Sequence[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], int, int]:
        """The files to rewrite, rows of the table, and rows that are not needed."""
        rows = dropped = 0
        chosen: dict[str, dict[str, Any]] = {}
        small: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        by_path = {row["path"]: row for row in files}
        for path, fragment in _fragments(dataset):
            needed = self._needed(spec, _read(fragment, dataset, self._key_columns(spec)))
            rows += len(needed)
            dropped += int((~needed).sum())
            if not needed.all():
                chosen[path] = by_path[path]
            if needed.sum() < _SMALL_ROWS:
                place = tuple(by_path[path][f"partition.{name}"] for name in spec.partition_by)
                small.setdefault(place, []).append(by_path[path])
        for together in small.values():
            if len(together) > 1:
                chosen.update((row["path"], row) for row in together)
        return [chosen[path] for path in sorted(chosen)], rows, dropped

    def _kept(self, spec: TableSpec, dataset: ds.Dataset, chosen: set[str]) -> Iterator[pa.Table]:
        """The needed rows of some files, in tables of about the size of a file."""
        held: list[pa.Table] = []
        for path, fragment in _fragments(dataset):
            if path not in chosen:
                continue
            rows = _read(fragment, dataset, spec.schema.names)
            held.append(rows.filter(pa.array(self._needed(spec, rows))))
            if sum(table.num_rows for table in held) >= ROWS_PER_FILE:
                yield _sorted(spec, held)
                held = []
        if sum(table.num_rows for table in held):
            yield _sorted(spec, held)

    def _key_columns(self, spec: TableSpec) -> list[str]:
        wanted = ["uri", "source_id", "unit_id", "input_hash", "batch", *PARTITION_COLUMNS]
        return [name for name in wanted if name in spec.schema.names] or spec.schema.names[:1]

    def _needed(self, spec: TableSpec, rows: pa.Table) -> np.ndarray:
        """Mask, bool [rows], of what live rows and rejects that hold consist of."""
        live = self._view.live
        if spec is paths.SOURCES:
            mask = is_latest(rows, "uri", self._named_paths)
        elif spec is paths.UNITS:
            mask = is_latest(rows, "source_id", live.live_units)
        elif spec is paths.REJECTS:
            mask = self._view.rejects_that_hold(rows)
        elif spec is paths.RUNS:
            mask = pa.repeat(pa.scalar(value=True), rows.num_rows)
        elif spec.name.removeprefix("embeddings/") in self._dropped:
            mask = pa.repeat(pa.scalar(value=False), rows.num_rows)
        else:
            complete = pc.is_in(rows["batch"], value_set=as_array(live.batches["batch"]))
            mask = pc.and_(complete, self._is_used(rows))
        found = mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask
        needed: np.ndarray = found.to_numpy(zero_copy_only=False).astype(bool)
        return needed

    def _is_used(self, rows: pa.Table) -> pa.ChunkedArray:
        """Whether a live unit of the same partition has this content."""
        keys = joined(rows, "input_hash")
        found = (pc.is_in(keys, value_set=hashes) for hashes in self._hashes.values())
        return reduce(pc.or_, found)

    def _hashes_of(self, column: InputColumn) -> pa.Array:
        partition = AUDIO_SEGMENT if column == INPUT_COLUMNS["sound"] else None
        units = self._view.live_units(partition, [*PARTITION_COLUMNS, column])
        return as_array(pc.unique(joined(units.filter(pc.field(column) != ""), column)))

    @cached_property
    def _named_paths(self) -> pa.Table:
        """Latest rows of `path` that name something: content, or a reject."""
        latest = self._view.live.paths
        known = pa.array(sorted(self._view.state().paths), pa.string())
        return latest.filter(pc.is_in(latest["uri"], value_set=known))

    def _completions(self) -> pa.Table:
        """The completions that are left: the latest of each live key, and a name for each batch still needed."""
        rows = self._view.completions()
        live = self._view.live
        is_path = pc.and_(pc.equal(rows["kind"], "path"), is_latest(rows, "uri", self._named_paths))
        of_live = pc.is_in(rows["source_id"], value_set=live.sources)
        is_units = pc.and_(
            pc.equal(rows["kind"], "units"), is_latest(rows, "source_id", live.live_units)
        )
        gone = pc.is_in(rows["fingerprint"], value_set=pa.array(sorted(self._dropped), pa.string()))
        is_current = [
            pc.and_(
                pc.equal(rows["kind"], kind),
                pc.is_in(
                    _pair(rows, rows["seq"]), value_set=as_array(_pair(current, current["seq"]))
                ),
            )
            for kind, current in (("space", live.spaces), ("derived", live.derived))
        ]
        of_units = pc.and_(pc.and_(of_live, pc.or_(*is_current)), pc.invert(gone))
        kept = rows.filter(pc.or_(pc.or_(is_path, is_units), of_units))
        return pa.concat_tables([kept, self._batch_rows(kept)]).sort_by(
            [(name, "ascending") for name in paths.COMPLETIONS.sort_by]
        )

    def _batch_rows(self, kept: pa.Table) -> pa.Table:
        """A row of kind `batch` for each batch that only vectors and rejects still name."""
        needed = set()
        for spec in self.specs():
            if spec is paths.REJECTS or spec.name.startswith("embeddings/"):
                dataset = self._tables.dataset(spec, self._open(spec))
                for _, fragment in _fragments(dataset):
                    found = _read(fragment, dataset, self._key_columns(spec))
                    mask = pa.array(self._needed(spec, found))
                    needed.update(pc.unique(found["batch"].filter(mask)).to_pylist())
        needed -= set(pc.unique(kept["batch"]).to_pylist())
        seqs = self._view.live.batches
        seq_of = dict(zip(seqs["batch"].to_pylist(), seqs["seq_min"].to_pylist(), strict=True))
        return batch_names({batch: seq_of[batch] for batch in sorted(needed)})


def batch_names(seq_of: Mapping[str, int]) -> pa.Table:
    """Completions that keep batches complete (name -> seq) of which nothing else is left to say."""
    blank = {"kind": BATCH_KIND, "uri": "", "source_id": "", "fingerprint": ""}
    rows = [blank | {"batch": batch, "seq": seq} for batch, seq in seq_of.items()]
    return pa.Table.from_pylist(rows, COMPLETIONS)


def _pair(rows: pa.Table, seq: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(
        rows["source_id"], rows["fingerprint"], seq.cast(pa.string()), "/"
    )


def _fragments(dataset: ds.Dataset) -> Iterator[tuple[str, ds.Fragment]]:
    """(path below the table's folder, file), in order of path."""
    found = {fragment.path: fragment for fragment in dataset.get_fragments()}
    return ((path, found[path]) for path in sorted(found))


def _read(fragment: ds.Fragment, dataset: ds.Dataset, columns: list[str]) -> pa.Table:
    try:
        return fragment.to_table(schema=dataset.schema, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"cannot read {fragment.path}: {error}") from error


def _sorted(spec: TableSpec, held: Sequence[pa.Table]) -> pa.Table:
    rows = pa.concat_tables(held).select(spec.schema.names).cast(spec.schema)
    return rows.sort_by([(name, "ascending") for name in spec.sort_by])
