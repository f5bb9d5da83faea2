"""The flows: plan, ingest, index, publish. Prefect holds this coarse work, Ray does what is inside.

Nothing here retries: the executor retries an item, the committer retries a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import wiring
from flows.beside import complete
from flows.build import Before, SnapshotBuilder
from flows.forget import Proof, Target, begin, check_proof, find_target, hide, prepare, purge
from flows.ingest import Ingest
from flows.kept import spare_decoding, spare_recutting
from flows.listing import check_sources, list_sources
from flows.maintain import Collected, collect
from flows.plan import Planned, check_gone, choose_rejects, make_plan, make_retry_plan
from flows.prefect_settings import prefect_settings
from flows.progress import ProgressWatcher
from flows.reindex import require_complete
from flows.report import write_report
from flows.surroundings import Surroundings, in_surroundings, new_run_id
from infra import pointer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reindex import Reindexing
    from schemas.balance import Balance
    from schemas.config import Config
    from schemas.manifest import IndexManifest, Manifest
    from schemas.partition import Partition
    from schemas.space import SpaceContract

T = TypeVar("T")


class Unseen(Generic[T]):
    """A parameter that Prefect cannot write into its database, where nobody would look for what is forgotten."""

    __slots__ = ("value",)  # Prefect writes down what it finds in `vars`

    def __init__(self, value: T) -> None:
        self.value = value


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


def run(
    sources: Sequence[str], lake_url: str, config: Config, *, quiet: bool = False
) -> RunSummary:
    """Ingest, index and publish.

    Args:
        sources: Files, folders, objects and prefixes (``s3://bucket/prefix``).
        lake_url: The lake, made if it is not there.
        config: See schemas/config.py.
        quiet: Show no progress.

    Raises:
        GristmillError: See schemas/errors.py; what was committed before stays.
    """
    check_sources(sources)
    manifest, around = in_surroundings(
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
    _, around = in_surroundings(
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
    _, around = in_surroundings(
        "retry", lake_url, config, quiet, lambda around: retry_flow(around, Unseen((names, codes)))
    )
    return around.balance


def index(lake_url: str, config: Config, *, quiet: bool = False) -> Manifest:
    """Build and validate a snapshot of what the tables hold; the pointer stays."""
    manifest, _ = in_surroundings("index", lake_url, config, quiet, index_flow)
    return manifest


def reindex(lake_url: str, config: Config, what: Reindexing, *, quiet: bool = False) -> RunSummary:
    """Embed the units there are in another space, or cut their sources anew; index and, unless told not to, publish.

    No source is listed, and only what was not kept is decoded. The snapshot in use serves until the swap.

    Raises:
        ConfigError: There is no such space.
        GateError: Not every source could be embedded, or an index failed its gate; nothing was published.
    """
    manifest, around = in_surroundings(
        "reindex", lake_url, config, quiet, lambda around: reindex_flow(around, what), what.choose
    )
    rejects = around.lake.rejects().to_pylist()
    report = write_report(around.lake.blobs, around.run_id, around.balance, manifest, rejects)
    return RunSummary(around.run_id, around.balance, manifest, report)


def gc(lake_url: str, config: Config, *, dry_run: bool = False, quiet: bool = False) -> Collected:
    """Expire snapshots, delete what nothing needs, compact the tables; see flows/maintain.py."""
    watcher = ProgressWatcher(quiet=quiet)
    with prefect_settings():
        return gc_flow(lake_url, config, watcher, dry_run=dry_run)


def forget(
    lake_url: str,
    names: Sequence[str],
    config: Config,
    *,
    purged: bool,
    even_protected: bool = False,
    quiet: bool = False,
) -> Proof:
    """Hide sources from the next snapshot; when `purged`, publish one without them and leave no trace of them.

    Args:
        lake_url: The lake.
        names: Paths (``*`` and ``?`` match), uris or source_ids.
        config: See schemas/config.py.
        purged: Also rewrite tables with their history, drop every snapshot that knows them, and search for the rest.
        even_protected: Drop protected snapshots too.
        quiet: Show no progress.

    Raises:
        ConfigError: A name matches nothing, or a protected snapshot holds what is to be forgotten.
        IntegrityError: A trace was found after all.
    """
    lake = wiring.open_lake(lake_url)
    if purged:
        target = prepare(lake, names, even_protected=even_protected)
        proof, _ = in_surroundings(
            "forget", lake_url, config, quiet, lambda around: forget_flow(around, Unseen(target))
        )
        check_proof(proof)
        return proof
    target = find_target(lake.view(), names)
    run_id = new_run_id()
    with lake.writer(run_id, wait_s=config.runs.wait_s):
        hide(lake, target, run_id)
    current = pointer.current(lake.blobs)
    return Proof(list(target.source_ids), list(target.uris), list(target.elsewhere), current)


@flow(name="gristmill-run", validate_parameters=False)
def run_flow(around: Surroundings, sources: list[str]) -> Manifest | None:
    """plan, ingest, index every partition in every space, publish."""
    ingest_task(around, plan_task(around, sources))
    if not around.lake.counts()["units"]:
        return None
    manifest = build_snapshot(around)
    publish_task(around, manifest)
    return manifest


@flow(name="gristmill-ingest", validate_parameters=False)
def ingest_flow(around: Surroundings, sources: list[str]) -> Balance:
    """plan, ingest."""
    return ingest_task(around, plan_task(around, sources))


@flow(name="gristmill-retry", validate_parameters=False)
def retry_flow(
    around: Surroundings, wanted: Unseen[tuple[Sequence[str], Sequence[str]]]
) -> Balance:
    """Plan from the rejects of these names and codes, ingest."""
    state = around.lake.state()
    chosen = choose_rejects(around.lake.rejects().to_pylist(), *wanted.value)
    return ingest_task(around, Planned(make_retry_plan(chosen, state), state))


@flow(name="gristmill-index", validate_parameters=False)
def index_flow(around: Surroundings) -> Manifest:
    """Index every partition in every space; publish nothing."""
    return build_snapshot(around)


@flow(name="gristmill-reindex", validate_parameters=False)
def reindex_flow(around: Surroundings, what: Reindexing) -> Manifest | None:
    """Plan from the tables, ingest, index every partition in every space that is complete, publish."""
    ingest_task(around, replan_task(around, what))
    if what.space:
        require_complete(around.lake, around.spaces[0])
    if not around.lake.counts()["units"]:
        return None
    manifest = build_snapshot(around)
    if what.publish:
        publish_task(around, manifest)
    return manifest


@flow(name="gristmill-gc", validate_parameters=False)
def gc_flow(lake_url: str, config: Config, watcher: ProgressWatcher, *, dry_run: bool) -> Collected:
    """Maintenance."""
    return collect(lake_url, config, new_run_id(), dry_run=dry_run, note=watcher.note)


@flow(name="gristmill-forget", validate_parameters=False)
def forget_flow(around: Surroundings, target: Unseen[Target]) -> Proof:
    """Hide, publish what remains, purge, search."""
    wanted = target.value
    begin(around.lake, wanted, around.run_id)
    manifest = None
    if around.lake.counts()["units"]:
        manifest = build_snapshot(around, expunge=True)
        publish_task(around, manifest)
    return purge(around.lake, wanted, manifest.snapshot_id if manifest else None)


def build_snapshot(around: Surroundings, *, expunge: bool = False) -> Manifest:
    """One task for each partition and space, and one for what holds them together."""
    spaces = (*around.spaces, *complete(around.lake.view(), around.beside, around.watcher.note))
    builder = SnapshotBuilder(
        around.lake,
        lambda: around.session,
        spaces,
        around.config.indexing,
        wiring.workers(around.config),
        Before.of(around.lake.blobs, expunge=expunge),
    )
    built = [
        index_task.with_options(task_run_name=f"index {partition} in {space.name}")(
            around, builder, partition, space
        )
        for partition, space in builder.places()
    ]
    return snapshot_task(around, builder, [entry for entry in built if entry is not None])


@task(name="plan", cache_policy=NO_CACHE)
def plan_task(around: Surroundings, sources: list[str]) -> Planned:
    """List the sources and compare them with what the lake knows."""
    listing = list_sources(sources, exclude=around.lake.url)
    state = around.lake.state()
    spaces = [space.key for space in around.spaces]
    generators = [generator.key for generator in around.generators]
    plan = make_plan(listing, state, around.fingerprint, spaces, generators)
    check_gone(plan, listing, state, around.config.runs.max_gone_share)
    spare_decoding(plan, around.lake, state, around.fingerprint, around.spaces, around.generators)
    spare_recutting(plan, wiring.kept_contents(around.lake, around.config).kept())
    return Planned(plan, state)


@task(name="plan", cache_policy=NO_CACHE)
def replan_task(around: Surroundings, what: Reindexing) -> Planned:
    """Compare the units of the lake with what they are to be."""
    state = around.lake.state()
    return Planned(what.plan(around.lake, state, around.config, around.spaces), state)


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
            generators=around.generators,
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
def snapshot_task(
    around: Surroundings, builder: SnapshotBuilder, entries: list[IndexManifest]
) -> Manifest:
    """Write the manifest of what was built."""
    return builder.finish(around.run_id, entries)


@task(name="publish", cache_policy=NO_CACHE)
def publish_task(around: Surroundings, manifest: Manifest) -> None:
    """Move the pointer, if it does not point there already."""
    pointer.publish(around.lake.blobs, manifest.snapshot_id, run_id=around.run_id, reason="run")
