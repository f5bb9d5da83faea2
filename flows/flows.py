"""The flows: plan, ingest, index, publish. Prefect holds this coarse work, Ray does what is inside.

Nothing here retries: the executor retries an item, the committer retries a conflict.
"""

from __future__ import annotations

import json
import secrets
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import wiring
from flows.build import SnapshotBuilder, read_manifest
from flows.ingest import Ingest
from flows.listing import check_sources, list_sources
from flows.memory import PeakMemory
from flows.plan import Planned, check_gone, choose_rejects, make_plan, make_retry_plan
from flows.prefect_settings import prefect_settings
from flows.progress import ProgressWatcher
from flows.report import write_report
from infra import pointer
from schemas.balance import Balance, StageTime
from schemas.partition import ALL_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from infra.lake import Lake
    from schemas.config import Config
    from schemas.engine import Session
    from schemas.manifest import IndexManifest, Manifest
    from schemas.partition import Partition
    from schemas.space import SpaceContract

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run gives.

    Attributes:
        run_id: The run.
        balance: What became of every file.
        manifest: The published snapshot; None if there was nothing to publish.
        report: Path or key of the HTML report.
    """

    run_id: str
    balance: Balance
    manifest: Manifest | None
    report: str

    def as_dict(self) -> dict[str, Any]:
        """What ``run --json`` prints; the balance comes last."""
        published = [
            {
                "partition": entry.partition,
                "space": entry.space,
                "rows": entry.rows,
                "family": entry.family,
                "segments": [segment.digest for segment in entry.segments],
                "recall_at_10": entry.recall_at_10,
            }
            for entry in (self.manifest.indexes if self.manifest else ())
        ]
        return {
            "run_id": self.run_id,
            "snapshot": self.manifest.snapshot_id if self.manifest else None,
            "published": published,
            "report": self.report,
            "balance": self.balance.as_dict(),
        }


class Surroundings:
    """What the tasks of one run share. An opaque object to Prefect, so that it looks into none of it.

    The engine starts in the background: what needs no actors goes on meanwhile.
    """

    def __init__(self, lake: Lake, config: Config, watcher: ProgressWatcher, run_id: str) -> None:
        self.lake = lake
        self.config = config
        self.watcher = watcher
        self.run_id = run_id
        self.spaces: tuple[SpaceContract, ...] = wiring.contracts(config)
        self.fingerprint = wiring.fingerprint(config)
        self.balance = Balance()
        self._starter = ThreadPoolExecutor(1, "engine-start")
        self._session = self._starter.submit(self._open)

    @property
    def session(self) -> Session:
        """The running pools; waits until the engine is up."""
        session = self._session.result()
        # Ray's core puts a crash handler of its own on SIGTERM; this gives it back to the handler Python knows of.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        return session

    def close(self) -> None:
        """End every actor, and the engine if it was started here; what they did goes into the balance."""
        self._starter.shutdown(wait=True)
        if self._session.exception() is None:
            session = self._session.result()
            for name, stats in session.stats().items():
                self.balance.stages[name] = StageTime(
                    stats.items, stats.busy_s, stats.wait_s, stats.setup_s, stats.restarts
                )
            session.__exit__(None, None, None)

    def _open(self) -> Session:
        executor = wiring.make_executor(self.config)
        return executor.open(wiring.stage_specs(self.config)).__enter__()


def new_run_id() -> str:
    """Sorts by time, unique: ``20261121T093000-1f2e3d4c``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def run(
    sources: Sequence[str], lake_url: str, config: Config, *, quiet: bool = False
) -> RunSummary:
    """Ingest, index and publish.

    Args:
        sources: Files and folders.
        lake_url: The lake, made if it is not there.
        config: See schemas/config.py.
        quiet: Show no progress.

    Raises:
        GristmillError: See schemas/errors.py; what was committed before stays.
    """
    check_sources(sources)
    manifest, around = _in_surroundings(
        "run", lake_url, config, quiet, lambda around: run_flow(around, list(sources))
    )
    rejects = around.lake.rejects().to_pylist()
    report = write_report(around.lake.blobs, around.run_id, around.balance, manifest, rejects)
    return RunSummary(around.run_id, around.balance, manifest, report)


def ingest(
    sources: Sequence[str], lake_url: str, config: Config, *, quiet: bool = False
) -> Balance:
    """Bring the tables up to date with the sources; publish nothing."""
    check_sources(sources)
    _, around = _in_surroundings(
        "ingest", lake_url, config, quiet, lambda around: ingest_flow(around, list(sources))
    )
    return around.balance


def retry(
    lake_url: str,
    config: Config,
    names: Sequence[str],
    codes: Sequence[str],
    *,
    quiet: bool = False,
) -> Balance:
    """Read rejected files again: the named ones, those with a code, or else the retryable ones; publish nothing.

    Raises:
        ConfigError: A name or a code matches no reject.
    """
    _, around = _in_surroundings(
        "retry", lake_url, config, quiet, lambda around: retry_flow(around, names, codes)
    )
    return around.balance


def index(lake_url: str, config: Config, *, quiet: bool = False) -> Manifest:
    """Build and validate a snapshot of what the tables hold; the pointer stays."""
    manifest, _ = _in_surroundings("index", lake_url, config, quiet, index_flow)
    return manifest


def _in_surroundings(
    command: str,
    lake_url: str,
    config: Config,
    quiet: bool,
    flow_of: Callable[[Surroundings], T],
) -> tuple[T, Surroundings]:
    """Run a flow as the lake's one writer, with the engine up; record the run whatever comes of it."""
    lake = wiring.open_lake(lake_url, create=command in ("run", "ingest"))
    run_id, started = new_run_id(), datetime.now(UTC)
    watcher = ProgressWatcher(quiet=quiet)
    with (
        lake.writer(
            run_id,
            wait_s=config.runs.wait_s,
            on_wait=lambda holder: watcher.note(f"waiting for {holder} to let go of {lake.url}"),
        ),
        PeakMemory() as memory,
    ):
        around = Surroundings(lake, config, watcher, run_id)
        succeeded = False
        try:
            with prefect_settings():
                result = flow_of(around)
            succeeded = True
        finally:
            around.close()
            around.balance.seconds = (datetime.now(UTC) - started).total_seconds()
            around.balance.peak_memory_bytes = memory.peak_bytes
            _record(around, command, started, succeeded)
    return result, around


def _record(around: Surroundings, command: str, started: datetime, succeeded: bool) -> None:
    around.lake.record_run(
        {
            "run_id": around.run_id,
            "command": command,
            "started_at": started,
            "finished_at": datetime.now(UTC),
            "succeeded": succeeded,
            "config": around.config.model_dump_json(),
            "balance": json.dumps(around.balance.as_dict()),
        }
    )


@flow(name="gristmill-run", validate_parameters=False)
def run_flow(around: Surroundings, sources: list[str]) -> Manifest | None:
    """plan, ingest, index every partition in every space, publish."""
    ingest_task(around, plan_task(around, sources))
    if not around.lake.counts()["units"]:
        return None
    manifest = snapshot_task(around, index_all(around))
    publish_task(around, manifest)
    return manifest


@flow(name="gristmill-ingest", validate_parameters=False)
def ingest_flow(around: Surroundings, sources: list[str]) -> Balance:
    """plan, ingest."""
    return ingest_task(around, plan_task(around, sources))


@flow(name="gristmill-retry", validate_parameters=False)
def retry_flow(around: Surroundings, names: Sequence[str], codes: Sequence[str]) -> Balance:
    """Plan from the rejects, ingest."""
    state = around.lake.state()
    chosen = choose_rejects(around.lake.rejects().to_pylist(), names, codes)
    return ingest_task(around, Planned(make_retry_plan(chosen, state), state))


@flow(name="gristmill-index", validate_parameters=False)
def index_flow(around: Surroundings) -> Manifest:
    """Index every partition in every space; publish nothing."""
    return snapshot_task(around, index_all(around))


def index_all(around: Surroundings) -> list[IndexManifest]:
    """One task for each partition and space that has vectors."""
    published = pointer.current(around.lake.blobs)
    previous = read_manifest(around.lake.blobs, published) if published else None
    builder = _builder(around, previous)
    built = [
        index_task.with_options(task_run_name=f"index {partition} in {space.name}")(
            around, builder, partition, space
        )
        for space in around.spaces
        for partition in ALL_PARTITIONS
    ]
    return [entry for entry in built if entry is not None]


def _builder(around: Surroundings, previous: Manifest | None) -> SnapshotBuilder:
    return SnapshotBuilder(around.lake, around.session, around.config.indexing, previous)


@task(name="plan", cache_policy=NO_CACHE)
def plan_task(around: Surroundings, sources: list[str]) -> Planned:
    """List the sources and compare them with what the lake knows."""
    listing = list_sources(sources, exclude=wiring.local_root(around.lake.url))
    state = around.lake.state()
    spaces = [space.key for space in around.spaces]
    plan = make_plan(listing, state, around.fingerprint, spaces)
    check_gone(plan, listing, state, around.config.runs.max_gone_share)
    return Planned(plan, state)


@task(name="ingest", cache_policy=NO_CACHE)
def ingest_task(around: Surroundings, planned: Planned) -> Balance:
    """Decode, embed and commit what the plan says; the balance must add up."""
    with around.watcher:
        work = Ingest(
            around.lake,
            around.session,
            spaces=around.spaces,
            fingerprint=around.fingerprint,
            run_id=around.run_id,
            engine=around.config.engine,
            watcher=around.watcher,
        )
        around.balance = work.balance
        work.run(planned.plan, planned.state)
    around.balance.check()
    return around.balance


@task(name="index", cache_policy=NO_CACHE)
def index_task(
    around: Surroundings, builder: SnapshotBuilder, partition: Partition, space: SpaceContract
) -> IndexManifest | None:
    """Build and validate one partition in one space."""
    entry = builder.build_index(partition, space)
    if entry is not None:
        around.watcher.note(
            f"indexed {partition} in {space.name}: {entry.rows} rows, {entry.family},"
            f" recall@10 {entry.recall_at_10:.3f}"
        )
    return entry


@task(name="snapshot", cache_policy=NO_CACHE)
def snapshot_task(around: Surroundings, entries: list[IndexManifest]) -> Manifest:
    """Write the manifest of what was built."""
    return _builder(around, None).finish(around.run_id, around.spaces, entries)


@task(name="publish", cache_policy=NO_CACHE)
def publish_task(around: Surroundings, manifest: Manifest) -> None:
    """Move the pointer, if it does not point there already."""
    pointer.publish(around.lake.blobs, manifest.snapshot_id, run_id=around.run_id, reason="run")
