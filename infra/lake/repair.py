"""Taking what is damaged out of the tables, so that they are exact about what they have; the next run does the rest.

What is lost is withdrawn from `completions`: the names of a content stay, its units do not, so the next run that finds
the file reads it again. Vectors belong to contents, so only those that are lost are embedded again.

The order makes a repair that is killed one that can be run again: whatever is needed to know what was lost goes last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from infra.aside import set_aside
from infra.lake import paths
from infra.lake.delta import file_rows
from infra.lake.inspect import inspect_table, key_columns, read_file, row_keys
from infra.lake.invariants import check_invariants
from infra.lake.log import read_log, table_specs
from infra.lake.mend import candidates, first_seen, mend_log
from infra.lake.read import LakeView
from infra.lake.sweep import batch_names
from schemas.errors import IntegrityError
from schemas.tables import COMPLETIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.lake.delta import DeltaTables
    from infra.lake.inspect import DamagedFile, InspectedTable, Progress
    from infra.lake.invariants import Broken
    from infra.lake.paths import TableSpec
    from schemas.blobs import BlobStore
    from schemas.space import SpaceContract

_ROUNDS = 4  # what is withdrawn in one may show more in the next; two are the most ever seen


@dataclass(slots=True)
class Repaired:
    """What a repair of the tables did.

    Attributes:
        done: A line for each thing.
        withdrawn: uri of each name whose content the next run has to read again.
    """

    done: list[str] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)


class Repairer:
    """Repairs the tables of a lake, as its writer.

    Args:
        blobs: Of the lake.
        tables: The same as tables.
        run_id: Of this repair.
        token: Of the writer.
        spaces: What is known of each space, by its key.
        progress: Hears what is looked at.
    """

    def __init__(
        self,
        blobs: BlobStore,
        tables: DeltaTables,
        run_id: str,
        token: int,
        *,
        spaces: Mapping[str, SpaceContract],
        progress: Progress,
    ) -> None:
        self._blobs = blobs
        self._tables = tables
        self._run_id = run_id
        self._token = token
        self._spaces = spaces
        self._progress = progress
        self._rewrites = 0
        self._found = Repaired()

    def repair(self) -> Repaired:
        """Do all of it.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: The store cannot be reached, or what is left cannot be read.
        """
        mended = self._mend_logs()
        inspected = [inspect_table(self._blobs, s, self._progress) for s in self._specs()]
        by_name = {table.spec.name: table for table in inspected}
        lost = {name: table.damaged for name, table in by_name.items() if table.damaged}
        if paths.COMPLETIONS.name in {*lost, *mended}:
            self._save_completions(by_name)
        if rejects := lost.get(paths.REJECTS.name):
            self._read_again(rejects)
        for name, damaged in lost.items():
            if name != paths.COMPLETIONS.name:
                self._take_out(by_name[name].spec, damaged)
        self._forget_spaces({*lost, *mended})
        self._restore_invariants()
        return self._found

    def _specs(self) -> list[TableSpec]:
        found = table_specs(self._blobs.list("tables"))
        return sorted(found, key=lambda spec: spec is not paths.COMPLETIONS)

    def _mend_logs(self) -> set[str]:
        """Names of the tables whose logs were damaged; all of them are this writer's afterwards."""
        mended = set()
        for spec in self._specs():
            done = mend_log(self._blobs, spec, self._run_id)
            self._found.done += done
            if done:
                mended.add(spec.name)
        for spec in self._specs():
            self._tables.fence(spec, self._token)
        return mended

    def _save_completions(self, inspected: Mapping[str, InspectedTable]) -> None:
        """Keep what can be read, and the names of batches whose vectors are there: those need not be embedded again."""
        table = inspected[paths.COMPLETIONS.name]
        damaged = {d.file.path: d for d in table.damaged}
        whole = [path for path in table.log.files if path not in damaged]
        rows = [self._read(paths.COMPLETIONS, path, COMPLETIONS.names) for path in whole]
        kept = pa.concat_tables([COMPLETIONS.empty_table(), *rows])
        batches: dict[str, int] = {}
        for name, other in inspected.items():
            if name.startswith("embeddings/"):
                bad = {d.file.path for d in other.damaged}
                for path in other.log.files.keys() - bad:
                    found = self._read(other.spec, path, ["batch"])["batch"]
                    batches.update(dict.fromkeys(pc.unique(found).to_pylist(), 0))
        self._rewrite_completions(kept, batches)
        self._adopt(paths.COMPLETIONS)
        self._say_taken_out(paths.COMPLETIONS, list(damaged.values()))

    def _read_again(self, damaged: list[DamagedFile]) -> None:
        """Have read again what the lost rejects may have been about: nobody knows which parts of it were lost.

        Its units stay: as if they had been cut in another way, they are replaced once it was read.
        """
        rows = LakeView(self._tables).completions()
        stale = pc.equal(rows["kind"], "nothing")
        for lost in damaged:
            inside = pc.equal(rows["kind"], "units")
            for column in ("batch", "source_id"):
                inside = pc.and_(inside, _between(rows[column], lost, column))
            stale = pc.or_(stale, inside)
        index = rows.schema.get_field_index("fingerprint")
        again = pc.if_else(stale, "", rows["fingerprint"])
        self._withdrawn(rows["source_id"].filter(stale).to_pylist(), [])
        self._rewrite_completions(rows.set_column(index, rows.field(index), again), {})

    def _take_out(self, spec: TableSpec, damaged: list[DamagedFile]) -> None:
        gone = {d.file.path for d in damaged}
        self._rewrite(spec, lambda path: path in gone, [])
        self._adopt(spec)
        self._say_taken_out(spec, damaged)

    def _forget_spaces(self, tables: set[str]) -> None:
        """Nobody can say who needs what was lost of a space that no contract is known of: nothing is complete in it."""
        keys = {
            name.removeprefix("embeddings/") for name in tables if name.startswith("embeddings/")
        }
        if not keys - self._spaces.keys():
            return
        view = LakeView(self._tables)
        rows = view.completions()
        of_space = _among(rows, "kind", ["space"], "fingerprint", keys - self._spaces.keys())
        self._rewrite_completions(rows.filter(pc.invert(of_space)), _batches(view))

    def _say_taken_out(self, spec: TableSpec, damaged: list[DamagedFile]) -> None:
        for lost in damaged:
            key = f"{spec.folder}/{lost.file.path}"
            set_aside(self._blobs, self._run_id, key)
            self._found.done.append(f"took {key} out: it {lost.wrong}")

    def _adopt(self, spec: TableSpec) -> bool:
        """Take in what lies unnamed in the table's folder and stands nowhere else: its commit may have vanished."""
        table = self._tables.open(spec)
        if table is None:
            return False
        log = read_log(self._blobs, spec)
        seen: list[pa.Array] = []
        for path in log.files:
            first_seen(row_keys(self._read(spec, path, key_columns(spec)), spec), seen)
        added = []
        for path in candidates(self._blobs, log):
            rows = self._read(spec, path, spec.schema.names)
            rows = rows.filter(pa.array(first_seen(row_keys(rows, spec), seen)))
            if rows.num_rows:
                added.append(rows)
        if added:
            self._rewrite(spec, lambda _: False, added)
            count = sum(rows.num_rows for rows in added)
            self._found.done.append(f"took {count} rows of {spec.name} in that no version named")
        return bool(added)

    def _restore_invariants(self) -> None:
        for number in range(_ROUNDS):
            view = LakeView(self._tables)
            broken = check_invariants(view, self._spaces)
            if broken.holds:
                return
            if number == 0:
                adopted = [self._adopt(spec) for spec in _short_of(broken)]
                if any(adopted):
                    continue
            for name in broken.repeated:
                self._drop_repeats(paths.spec_of(name))
            self._withdraw(LakeView(self._tables), broken)
        raise IntegrityError(
            f"the tables of {self._blobs.url} still contradict each other after a repair: this is a bug in gristmill,"
            " please report it"
        )

    def _withdraw(self, view: LakeView, broken: Broken) -> None:
        """Take back completions that do not hold; every batch stays complete, for the sake of its vectors."""
        uris = [*broken.unplaced, *broken.unexplained]
        sources = {*broken.partial, *(s for lost in broken.unembedded.values() for s in lost)}
        if not uris and not sources:
            return
        self._withdrawn(sources, uris)
        rows = view.completions()
        of_path = _among(rows, "kind", ["path"], "uri", uris)
        of_source = _among(rows, "kind", ["units", "space", "derived"], "source_id", sources)
        kept = rows.filter(pc.invert(pc.or_(of_path, of_source)))
        self._rewrite_completions(kept, _batches(view))
        for what, names in (("names", uris), ("contents", sources)):
            if names:
                self._found.done.append(
                    f"withdrew {len(names)} {what}, of which something is lost: the next run reads them again"
                )

    def _withdrawn(self, sources: set[str] | list[str], uris: list[str]) -> None:
        latest = LakeView(self._tables).live.paths
        named = pc.is_in(latest["source_id"], value_set=pa.array(sources, pa.string()))
        self._found.withdrawn |= {*latest["uri"].filter(named).to_pylist(), *uris}

    def _drop_repeats(self, spec: TableSpec) -> None:
        seen: list[pa.Array] = []
        chosen: dict[str, pa.Table] = {}
        for row in self._files(spec):
            keys = row_keys(self._read(spec, row["path"], key_columns(spec)), spec)
            once = first_seen(keys, seen)
            if not once.all():
                rows = self._read(spec, row["path"], spec.schema.names)
                chosen[row["path"]] = rows.filter(pa.array(once))
        added = [rows.select(spec.schema.names) for rows in chosen.values() if rows.num_rows]
        self._rewrite(spec, lambda path: path in chosen, added)
        self._found.done.append(f"dropped rows of {spec.name} that stood there twice")

    def _rewrite_completions(self, kept: pa.Table, batches: Mapping[str, int]) -> None:
        """Replace all of them; a batch (name -> seq) that is named no more gets a row of its own kind."""
        named = set(pc.unique(kept["batch"]).to_pylist())
        more = batch_names({b: seq for b, seq in batches.items() if b not in named})
        rows = pa.concat_tables([kept.cast(COMPLETIONS), more])
        ordered = rows.sort_by([(name, "ascending") for name in paths.COMPLETIONS.sort_by])
        self._rewrite(paths.COMPLETIONS, lambda _: True, [ordered] if ordered.num_rows else [])

    def _rewrite(
        self, spec: TableSpec, removes: Callable[[str], bool], added: list[pa.Table]
    ) -> None:
        table = self._tables.open(spec)
        if table is None:
            return
        self._rewrites += 1
        self._tables.rewrite(
            spec,
            table,
            removed=[row for row in file_rows(table) if removes(row["path"])],
            added=added,
            name=f"{self._run_id}-repair-{self._rewrites:02}",
            token=self._token,
        )

    def _files(self, spec: TableSpec) -> list[dict[str, str]]:
        table = self._tables.open(spec)
        return file_rows(table) if table else []

    def _read(self, spec: TableSpec, path: str, columns: list[str]) -> pa.Table:
        return read_file(self._blobs, spec, path, columns)


def _short_of(broken: Broken) -> list[TableSpec]:
    """Tables that something is missing from."""
    found = [paths.SOURCES] if broken.unplaced or broken.partial else []
    found += [paths.UNITS] if broken.partial else []
    found += [paths.REJECTS] if broken.unexplained else []
    return found + [paths.embeddings(key) for key in broken.unembedded]


def _batches(view: LakeView) -> dict[str, int]:
    """`seq` of each complete batch."""
    return {row["batch"]: row["seq_min"] for row in view.live.batches.to_pylist()}


def _between(column: pa.ChunkedArray, lost: DamagedFile, name: str) -> pa.ChunkedArray:
    """Whether a value may be in a lost file, by the bounds that the log gave of it."""
    least, most = lost.file.least.get(name), lost.file.most.get(name)
    if least is None or most is None:
        return pc.is_valid(column)
    return pc.and_(pc.greater_equal(column, least), pc.less_equal(column, most))


def _among(
    rows: pa.Table, kind: str, kinds: list[str], key: str, wanted: set[str] | list[str]
) -> pa.ChunkedArray:
    of_kind = pc.is_in(rows[kind], value_set=pa.array(kinds))
    return pc.and_(of_kind, pc.is_in(rows[key], value_set=pa.array(wanted, pa.string())))
