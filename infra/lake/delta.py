"""Delta tables by delta-rs: open at a version, scan with pyarrow, append files as one transaction.

delta-rs only records application transactions, it refuses no repetition (its issues 2580 and 3821), and concurrent
appends can exhaust its own retries (3166, 3736). So its retries are off, and :meth:`DeltaTables.append` is the only
retry layer: read what is committed, decide, write, commit; after a conflict from the start.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from infra.lake.align import with_constant
from infra.lake.files import file_parts, file_stats, parquet_bytes
from infra.lake.paths import spec_of, storage_options
from infra.local_blobs import full_disk, local_root, out_of_space
from schemas.errors import ConflictError, IntegrityError, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow.dataset as ds

    from infra.lake.paths import TableSpec
    from schemas.blobs import BlobStore

_ATTEMPTS: Final = 8
_FIRST_PAUSE_S: Final = 0.05
_LOG: Final = "/_delta_log/"
DIM_KEY: Final = "gristmill.dim"
_FENCE: Final = "gristmill.writer"


class DeltaTables:
    """The tables of one lake."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._options = storage_options(blobs.url)

    def specs(self) -> list[TableSpec]:
        """Every table there is, whether anything complete names it or not; by name."""
        logs = (key.partition(_LOG) for key in self._blobs.list("tables"))
        names = {folder.removeprefix("tables/") for folder, found, _ in logs if found}
        return [spec_of(name) for name in sorted(names)]

    def open(self, spec: TableSpec, version: int | None = None) -> DeltaTable | None:
        """A handle to the table as of `version` (None: as of now); None where the table is not there yet.

        Raises:
            LakeError: The table cannot be read, or not as of that version.
        """
        url = f"{self._blobs.url}/{spec.folder}"
        try:
            return DeltaTable(url, version=version, storage_options=self._options)
        except TableNotFoundError as error:
            if any(key.endswith(".parquet") for key in self._blobs.list(spec.folder)):
                raise LakeError(
                    f"the log of the table {url} is gone: gristmill verify --repair"
                ) from error
            return None
        except (DeltaError, OSError) as error:
            wanted = "" if version is None else f" as of version {version}"
            cause = str(error).partition("\n")[0]
            raise LakeError(
                f"cannot read the table {url}{wanted}: {cause}. gristmill verify says what is damaged"
            ) from error

    def dataset(self, spec: TableSpec, table: DeltaTable) -> ds.Dataset:
        """The files of an open table as a pyarrow dataset of the canonical schema."""
        root = local_root(self._blobs.url)
        filesystem = None  # delta-rs' own, through its storage options
        if root is not None:
            local = pyarrow.fs.LocalFileSystem()
            filesystem = pyarrow.fs.SubTreeFileSystem(str(root / spec.folder), local)
        try:
            return table.to_pyarrow_dataset(filesystem=filesystem, schema=spec.schema)
        except (DeltaError, OSError) as error:
            raise LakeError(f"cannot list the files of {spec.name}: {error}") from error

    def fence(self, spec: TableSpec, token: int) -> None:
        """Shut out every writer with a lower token: no commit of theirs to this table succeeds from now on.

        The token lies in the table's own log, and a commit becomes exactly the version after the one it was checked
        against. So there is no moment between the check and the commit in which an ousted writer could slip through.

        Raises:
            ConflictError: A higher token is there: this writer is the one that was ousted.
        """
        for pause_s in _pauses():
            table = self._open_or_create(spec, 0)
            known = self._check_fence(spec, table, token)
            if known == token or self._commit_actions(spec, table, [], Transaction(_FENCE, token)):
                return
            time.sleep(pause_s)
        raise self._lost(spec)

    def fenced(self, spec: TableSpec) -> int:
        """The highest token of a writer that a table knows of; 0 where there was none."""
        return ((table := self.open(spec)) and transaction_version(table, _FENCE)) or 0

    def append(
        self,
        spec: TableSpec,
        rows: pa.Table,
        *,
        app_id: str,
        number: int,
        dim: int = 0,
        token: int | None = None,
    ) -> bool:
        """Commit rows once, however often this is called.

        Args:
            spec: Where to.
            rows: Aligned (see :mod:`infra.lake.align`), at least one, all of one batch. A column ``seq`` is
                set to the version of the table that they become.
            app_id: Name of a series of commits.
            number: Place in the series. Numbers ascend; one that is not above the last is taken for a repetition.
            dim: Of the vectors among the rows; the table remembers its first.
            token: Of the writer; None where the table is not fenced.

        Returns:
            False when the same rows were there already.

        Raises:
            ConflictError: Others committed in between on every attempt, or the writer was ousted.
            IntegrityError: The number was used for other rows, or the dim is not the table's.
            LakeError: The table cannot be read or written.
        """
        for pause_s in _pauses():
            table = self._open_or_create(spec, dim)
            if token is not None:
                self._check_fence(spec, table, token)
            last = transaction_version(table, app_id)
            if last is not None and last >= number:
                self._check_repetition(spec, table, rows, app_id)
                return False
            if self._commit(spec, table, rows, Transaction(app_id, number)):
                return True
            time.sleep(pause_s)
        raise self._lost(spec)

    def _check_fence(self, spec: TableSpec, table: DeltaTable, token: int) -> int | None:
        known = transaction_version(table, _FENCE)
        if known is not None and known > token:
            raise ConflictError(
                f"another writer took over {self._blobs.url}: this one was not heard of for too long, and may not"
                f" commit to {spec.name} any more. What it committed before stays; run it again to go on"
            )
        return known

    def _lost(self, spec: TableSpec) -> ConflictError:
        return ConflictError(
            f"others committed to {spec.name} in {self._blobs.url} during each of {_ATTEMPTS} attempts:"
            " let one writer at a time use the lake (Lake.writer)"
        )

    def rewrite(
        self,
        spec: TableSpec,
        table: DeltaTable,
        *,
        removed: Sequence[Mapping[str, Any]],
        added: Iterable[pa.Table],
        name: str,
        token: int,
    ) -> None:
        """Replace files of a table by others, in one commit.

        Args:
            spec: Which table.
            table: Open at its latest version.
            removed: Rows of :func:`file_rows`.
            added: Rows of the canonical schema, a file for each and each partition in it.
            name: Unique in the table; the new files are called so.
            token: Of the writer.

        Raises:
            ConflictError: Somebody else committed meanwhile, which nobody may: this writer was ousted.
            LakeError: The table cannot be read or written.
        """
        self._check_fence(spec, table, token)
        now_ms = time.time_ns() // 1_000_000
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(
                row["path"],
                True,
                now_ms,
                row["size_bytes"],
                {column: row[f"partition.{column}"] for column in spec.partition_by},
            )
            for row in removed
        ]
        for number, rows in enumerate(added):
            parts = file_parts(spec, rows, f"{name}-{number:06}")
            actions.extend(self._write_file(spec, *part) for part in parts)
        if not self._commit_actions(spec, table, actions, Transaction(name, 0)):
            raise self._lost(spec)

    def vacuum(self, spec: TableSpec, *, dry_run: bool, token: int) -> list[str]:
        """Delete the files that the table as of now does not need; gives their names.

        Not delta-rs' own vacuum: that asks the clock how old a file is, and one that jumps makes it leave files.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: The table cannot be read or written.
        """
        table = self.open(spec)
        if table is None:
            return []
        self._check_fence(spec, table, token)
        needed = {f"{spec.folder}/{row['path']}" for row in file_rows(table)}
        there = self._blobs.list(spec.folder)
        found = [key for key in there if key not in needed and _LOG not in key]
        for key in [] if dry_run else found:
            self._blobs.delete(key)
        return found

    def drop_history(self, spec: TableSpec, *, token: int) -> None:
        """Leave nothing of the table but its present: no older version can be read, no file of one is left.

        Raises:
            ConflictError: This writer was ousted.
            LakeError: The table cannot be read or written.
        """
        self.vacuum(spec, dry_run=False, token=token)
        table = self.open(spec)
        if table is None:
            return
        try:
            table.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise self._failed(f"write a checkpoint of {spec.name}", error) from error
        for key in self._blobs.list(f"{spec.folder}{_LOG}"):
            number = key.rpartition("/")[2].partition(".")[0]
            if number.isdigit() and int(number) < table.version():
                self._blobs.delete(key)

    def _open_or_create(self, spec: TableSpec, dim: int) -> DeltaTable:
        table = self.open(spec)
        if table is None:
            table = self._create(spec, dim)
        if dim and (known := table.metadata().configuration.get(DIM_KEY)) != str(dim):
            raise IntegrityError(
                f"vectors of dim {dim} for {spec.name}, which holds vectors of dim {known}:"
                " a space has one dim; give the encoder another contract"
            )
        return table

    def _create(self, spec: TableSpec, dim: int) -> DeltaTable:
        url = f"{self._blobs.url}/{spec.folder}"
        try:
            return DeltaTable.create(
                url,
                spec.schema,
                mode="error",
                partition_by=list(spec.partition_by),
                configuration={DIM_KEY: str(dim)} if dim else None,
                storage_options=self._options,
                # A retry would write a second description over another creator's.
                commit_properties=CommitProperties(max_commit_retries=0),
                raise_if_key_not_exists=False,
            )
        except (DeltaError, OSError) as error:
            table = self.open(spec)
            if table is None:
                raise self._failed(f"create the table {url}", error) from error
            return table

    def _commit(
        self, spec: TableSpec, table: DeltaTable, rows: pa.Table, transaction: Transaction
    ) -> bool:
        if "seq" in rows.column_names:
            # Without retries of delta-rs' own, the commit becomes this version or fails.
            rows = with_constant(rows, "seq", table.version() + 1)
        actions: list[AddAction | RemoveAction] = [
            self._write_file(spec, *part)
            for part in file_parts(spec, rows, _stem(rows, transaction))
        ]
        return self._commit_actions(spec, table, actions, transaction)

    def _commit_actions(
        self,
        spec: TableSpec,
        table: DeltaTable,
        actions: list[AddAction | RemoveAction],
        transaction: Transaction,
    ) -> bool:
        """Commit as the next version of `table`; False when another commit became that."""
        try:
            table.create_write_transaction(
                actions,
                "append",
                spec.schema,
                list(spec.partition_by),
                commit_properties=CommitProperties(
                    app_transactions=[transaction], max_commit_retries=0
                ),
            )
        except CommitFailedError:
            return False
        except (DeltaError, OSError) as error:
            raise self._failed(f"commit to {spec.name}", error) from error
        return True

    def _failed(self, what: str, error: Exception) -> LakeError:
        if out_of_space(error):
            return full_disk(self._blobs.url, error)
        return LakeError(f"cannot {what}: {error}")

    def _write_file(
        self, spec: TableSpec, name: str, values: dict[str, str], rows: pa.Table
    ) -> AddAction:
        data = parquet_bytes(rows)
        self._blobs.put(f"{spec.folder}/{name}", data)
        return AddAction(
            path=name,
            size=len(data),
            partition_values=values,
            modification_time=time.time_ns() // 1_000_000,
            data_change=True,
            stats=file_stats(rows),
        )

    def _check_repetition(
        self, spec: TableSpec, table: DeltaTable, rows: pa.Table, app_id: str
    ) -> None:
        if "batch" not in spec.schema.names:
            return
        batch = rows.column("batch")[0].as_py()
        keys = list(spec.sort_by)
        there = read_table(
            self.dataset(spec, table), spec.name, columns=keys, where=pc.field("batch") == batch
        ).sort_by([(key, "ascending") for key in keys])
        if not there.equals(rows.select(keys)):
            raise IntegrityError(
                f"batch {batch} of {app_id} was committed to {spec.name} before with other rows, or a later"
                " one of its run was: use a new run id for a new run, and commit its batches in order"
            )


def read_table(
    dataset: ds.Dataset, name: str, *, columns: Any = None, where: pc.Expression | None = None
) -> pa.Table:
    """Read a dataset into memory, in the order of its files.

    Raises:
        LakeError: A file is missing or broken.
    """
    try:
        return dataset.to_table(columns=columns, filter=where)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"cannot read the files of {name}: {error}") from error


def file_rows(table: DeltaTable) -> list[dict[str, Any]]:
    """What the log says of each file of an open table, in order of path."""
    found = pa.table(table.get_add_actions(flatten=True)).sort_by("path")
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def table_dim(table: DeltaTable) -> int:
    """Dim of the vectors in an embeddings table."""
    return int(table.metadata().configuration[DIM_KEY])


def _pauses() -> Iterator[float]:
    """How long to wait after each attempt, doubling."""
    return (_FIRST_PAUSE_S * 2**attempt for attempt in range(_ATTEMPTS))


def transaction_version(table: DeltaTable, app_id: str) -> int | None:
    """Last number that an application committed under; None for none.

    Raises:
        LakeError: The log cannot be read.
    """
    try:
        version: int | None = table.transaction_version(app_id)
    except (DeltaError, OSError) as error:
        raise LakeError(f"cannot read the transactions of {table.table_uri}: {error}") from error
    return version


def _stem(rows: pa.Table, transaction: Transaction) -> str:
    """Name of the files of a commit: of its batch where there is one."""
    if "batch" in rows.column_names:
        batch: str = rows.column("batch")[0].as_py()
        return batch
    return f"{transaction.app_id.replace('/', '.')}-{transaction.version:06}"
