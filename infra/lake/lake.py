"""The lake: one root with tables, blobs and one writer at a time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa

from infra.blobs import open_blobs
from infra.lake import paths
from infra.lake.align import align
from infra.lake.commit import CommitBatch, CommitStep, plan_steps
from infra.lake.delta import DeltaTables
from infra.lake.lock import WriterLock
from infra.lake.read import LakeView
from infra.lake.repair import Repairer
from infra.lake.spaces import SpaceBook
from infra.lake.sweep import Sweeper
from schemas.errors import ConflictError, LakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from infra.lake.inspect import Progress
    from infra.lake.state import EmbeddedInputs, LakeState, SourceFacts
    from schemas.blobs import BlobStore
    from schemas.partition import Partition
    from schemas.space import SpaceContract

FORMAT_VERSION: Final = 1


class Lake:
    """Everything under one root; open it with :meth:`open`.

    Every reading method looks at the lake anew; a :meth:`view` reads several things as of one moment.
    """

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._tables = DeltaTables(blobs)
        self._lock: WriterLock | None = None

    @classmethod
    def open(cls, url: str, *, create: bool) -> Self:
        """Open the lake at a URL.

        Args:
            url: Local path, ``file://`` or ``s3://`` (see :func:`infra.blobs.open_blobs`).
            create: Make it one if it is none yet.

        Raises:
            LakeError: It is no lake, or one of another format version; says what to do.
        """
        if url.startswith("memory:"):
            raise LakeError(
                "a lake has tables, which need a disk or a bucket: give a path or s3://"
            )
        if not create and not open_blobs(url, read_only=True).exists(paths.MARKER_KEY):
            raise LakeError(f"{url} is no lake: ingest into it first, or correct the URL")
        blobs = open_blobs(url)
        if create:
            marker = json.dumps({"format_version": FORMAT_VERSION}).encode()
            blobs.put_if_absent(paths.MARKER_KEY, marker)
        _check_marker(blobs)
        return cls(blobs)

    @property
    def url(self) -> str:
        """Absolute path, or URL without a trailing slash."""
        return self._blobs.url

    @property
    def blobs(self) -> BlobStore:
        """Segments, snapshots and the pointer."""
        return self._blobs

    @property
    def spaces(self) -> SpaceBook:
        """What its spaces are."""
        return SpaceBook(self._blobs)

    @contextmanager
    def writer(
        self, run_id: str, *, wait_s: float = 0.0, on_wait: Callable[[str], None] = lambda _: None
    ) -> Iterator[None]:
        """Be the one writer while inside.

        Args:
            run_id: Of this run, never used before: commits of one run id are told apart by their number alone.
            wait_s: How long to wait for another that is there.
            on_wait: Hears who is waited for.

        Raises:
            ConflictError: Another run is the writer; names it. A killed one does not count.
        """
        with self._leased(run_id, wait_s, on_wait) as lock:
            self._tables.fence(paths.COMPLETIONS, lock.number)
            yield

    @contextmanager
    def repairer(
        self,
        run_id: str,
        *,
        spaces: Mapping[str, SpaceContract],
        progress: Progress,
        wait_s: float = 0.0,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Iterator[Repairer]:
        """Be the one writer of a lake whose tables may not open, while inside.

        Args:
            run_id: Of this repair, never used before.
            spaces: What is known of each space, by its key.
            progress: Hears what is looked at.
            wait_s: How long to wait for another writer that is there.
            on_wait: Hears who is waited for.

        Raises:
            ConflictError: Another run is the writer; names it.
        """
        with self._leased(run_id, wait_s, on_wait) as lock:
            yield Repairer(
                self._blobs,
                self._tables,
                run_id,
                lock.number,
                spaces=spaces,
                progress=progress,
            )

    @contextmanager
    def _leased(
        self, run_id: str, wait_s: float, on_wait: Callable[[str], None]
    ) -> Iterator[WriterLock]:
        if self._lock is not None:
            raise ConflictError(f"run {self._lock.run_id} writes through this Lake already")
        name = paths.check_name(run_id, "run id")
        self._lock = WriterLock.acquire(
            self._blobs, name, wait_s=wait_s, on_wait=on_wait, highest=self._highest_token
        )
        try:
            yield self._lock
        finally:
            lock, self._lock = self._lock, None
            lock.release()

    def _highest_token(self) -> int:
        try:
            return self._tables.fenced(paths.COMPLETIONS)
        except LakeError:  # a table that does not open has no say; it is there to be repaired
            return 0

    def commit(self, batch: CommitBatch, *, run_id: str) -> None:
        """Commit a batch; nothing of it is visible before all of it is. Repeating it changes nothing.

        Raises:
            LakeError: Rows do not fit their schema or each other (nothing was written), or the store fails.
            VectorError: Vectors differ in dim or are not finite (nothing was written).
            ConflictError: Outside of :meth:`writer`, or another writer took over.
        """
        for step in self.commit_steps(batch, run_id=run_id):
            step.run()

    def commit_steps(self, batch: CommitBatch, *, run_id: str) -> list[CommitStep]:
        """The commit as single steps in order: sources, units, embeddings, rejects, completions.

        Running only the first ones is what a crash in between leaves. Raises as :meth:`commit`.
        """
        token = self._lock.number if self._lock else None
        steps = plan_steps(batch, run_id, self._tables, token)
        return [
            CommitStep(step.table, step.rows, lambda step=step: self._run(step, run_id))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            for step in steps
        ]

    def sweeper(self) -> Sweeper:
        """Maintenance of the tables as they are now, by the writer.

        Raises:
            ConflictError: Outside of :meth:`writer`.
        """
        lock = self._held()
        return Sweeper(self._tables, lock.run_id, lock.number, self.spaces.dropped())

    def record_run(self, row: Mapping[str, Any]) -> None:
        """Append a row to `runs`, once a run.

        Args:
            row: Keys as in ``schemas.tables.RUNS`` but ``seq``; times are aware datetimes.

        Raises:
            LakeError: It does not fit the schema, or the run was recorded before.
        """
        rows = _one_row({**row, "seq": 0})
        app_id = f"{row['run_id']}/{paths.RUNS.name}"
        if not self._tables.append(paths.RUNS, rows, app_id=app_id, number=0):
            raise LakeError(f"run {row['run_id']} was recorded before: give each run its own id")

    def view(self, versions: Mapping[str, int] | None = None) -> LakeView:
        """The lake as of now, or as of table versions from :meth:`versions`."""
        return LakeView(self._tables, versions)

    def state(self) -> LakeState:
        """See :meth:`LakeView.state`."""
        return self.view().state()

    def facts(self, source_ids: Iterable[str]) -> dict[str, SourceFacts]:
        """See :meth:`LakeView.facts`."""
        return self.view().facts(source_ids)

    def embedded(self, space_key: str) -> EmbeddedInputs:
        """See :meth:`LakeView.embedded`."""
        return self.view().embedded(space_key)

    def live_units(
        self, partition: Partition | None = None, columns: list[str] | None = None
    ) -> pa.Table:
        """See :meth:`LakeView.live_units`."""
        return self.view().live_units(partition, columns)

    def rejects(self) -> pa.Table:
        """See :meth:`LakeView.rejects`."""
        return self.view().rejects()

    def counts(self) -> dict[str, dict[str, int]]:
        """See :meth:`LakeView.counts`."""
        return self.view().counts()

    def versions(self) -> dict[str, int]:
        """See :meth:`LakeView.versions`."""
        return self.view().versions()

    def runs(self) -> pa.Table:
        """See :meth:`LakeView.runs`."""
        return self.view().runs()

    def space_keys(self) -> list[str]:
        """See :meth:`LakeView.space_keys`."""
        return self.view().space_keys()

    def _held(self) -> WriterLock:
        if self._lock is None:
            raise ConflictError("this changes the lake: do it inside Lake.writer")
        self._lock.check()
        return self._lock

    def _run(self, step: CommitStep, run_id: str) -> bool:
        if self._lock is None or self._lock.run_id != run_id:
            raise ConflictError(
                f"run {run_id} is not the writer: commit inside Lake.writer(run_id)"
            )
        self._lock.check()
        return step.run()


def _check_marker(blobs: BlobStore) -> None:
    try:
        version = json.loads(blobs.get(paths.MARKER_KEY))["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        whole = json.dumps({"format_version": FORMAT_VERSION})
        raise LakeError(
            f"{paths.MARKER_KEY} in {blobs.url} cannot be read ({error!r}): write {whole} into it"
        ) from error
    if version != FORMAT_VERSION:
        raise LakeError(
            f"{blobs.url} has format version {version}, this gristmill reads {FORMAT_VERSION}: use the"
            " version that wrote it"
        )


def _one_row(row: Mapping[str, Any]) -> pa.Table:
    try:
        rows = pa.table({name: [value] for name, value in row.items()})
        named = [f for f in paths.RUNS.schema if f.name in rows.column_names]
        rows = pa.table({n: [row[n]] for n in rows.column_names}, schema=pa.schema(named))
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise LakeError(f"{dict(row)} is no row of runs: {error}") from error
    return align(rows, paths.RUNS)
