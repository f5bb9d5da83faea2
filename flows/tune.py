"""Tuning what is published: recall against latency on its own bytes, and another choice of search parameters."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from flows import wiring
from flows.manifests import manifest_key
from flows.serving import open_snapshot
from flows.surroundings import new_run_id
from infra import pointer
from schemas.errors import ConfigError, ConflictError, GateError
from schemas.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore
    from schemas.config import Indexing
    from schemas.manifest import GateCheck, IndexManifest
    from stages.index.snapshot import OpenSnapshot
    from stages.index.tune import Tuned

_WAIT_S: Final = 3600.0  # for a run that is active
_TUNED_CHECKS: Final = ("recall_at_10", "latency_ms")  # what search parameters decide


@dataclass(frozen=True, slots=True)
class WhatToTune:
    """Which indices of which snapshot, and what they are to reach.

    Attributes:
        partition: Only this one; empty for all.
        space: Only this one, by name or key; empty for all.
        snapshot: Its id, the start of it, ``current`` or ``previous``.
        recall: Wanted recall@10; None for what the snapshot was checked against.
        latency_ms: Limit of the 99th percentile; None for what it was checked against, 0 for none.
    """

    partition: str = ""
    space: str = ""
    snapshot: str = "current"
    recall: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TunedIndex:
    """One index, tuned again.

    Attributes:
        entry: As it stands in the snapshot.
        space: Name of its space.
        wanted: Recall and latency (0: no limit) it was tuned to.
        tuned: What was found.
    """

    entry: IndexManifest
    space: str
    wanted: tuple[float, float]
    tuned: Tuned

    @property
    def changes(self) -> bool:
        """Whether another choice is better than the one in the snapshot."""
        return self.tuned.point.search != self.entry.search

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "partition": self.entry.partition,
            "space": self.space,
            "family": self.entry.family,
            "parameters": self.entry.parameters,
            "rows": self.entry.rows,
            "published": self.entry.search,
            "wanted_recall_at_10": self.wanted[0],
            "wanted_latency_ms": self.wanted[1],
            "met": self.tuned.met,
            "why": self.tuned.why,
            "chosen": asdict(self.tuned.point),
            "recalls": self.tuned.recalls,
            "curve": [asdict(point) for point in self.tuned.curve],
        }


@dataclass(frozen=True, slots=True)
class TunedSnapshot:
    """A snapshot, tuned again; `published` is the id of the one that was made of it, empty if none was."""

    snapshot: str
    indexes: tuple[TunedIndex, ...]
    published: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "snapshot": self.snapshot,
            "indexes": [index.as_dict() for index in self.indexes],
            "published": self.published,
        }


def tune_snapshot(
    lake_url: str, what: WhatToTune, config: Indexing, progress: Progress, *, publish: bool = False
) -> TunedSnapshot:
    """Measure the curve of published indices; with `publish` make the choice found here the published one.

    What gets published shares every file with the snapshot that it comes from, and differs in how it is searched.

    Args:
        lake_url: The lake.
        what: Which, and what they are to reach.
        config: Targets that the snapshot does not name.
        progress: Told which index comes next, how many are done, and of how many.
        publish: Whether to publish; nothing is where no other choice is better.

    Raises:
        ConfigError: Nothing is published, or the snapshot has no such index.
        GateError: To be published, but recall or latency cannot be reached; nothing was.
        IntegrityError: A file is missing or does not open.
    """
    blobs = wiring.open_blobs_of(lake_url)
    snapshot = open_snapshot(lake_url, what.snapshot)
    manifest = snapshot.manifest
    names = {space.key: space.name for space in manifest.spaces}
    found = []
    entries = chosen_entries(manifest, what)
    for done, entry in enumerate(entries):
        progress(entry.partition, done, len(entries))
        wanted = _wanted(entry, what, config)
        targets = config.model_copy(update={"recall_at_10": wanted[0], "latency_ms": wanted[1]})
        tuned = _tune_entry(snapshot, blobs, entry, targets)
        found.append(TunedIndex(entry, names[entry.space], wanted, tuned))
    result = TunedSnapshot(manifest.snapshot_id, tuple(found))
    return publish_tuned(lake_url, manifest, result) if publish else result


def chosen_entries(manifest: Manifest, what: WhatToTune) -> list[IndexManifest]:
    """The indices that are asked for.

    Raises:
        ConfigError: There are none; the message names those there are.
    """
    names = {space.key: space.name for space in manifest.spaces}
    found = [
        entry
        for entry in manifest.indexes
        if what.partition in ("", entry.partition)
        and what.space in ("", entry.space, names[entry.space])
    ]
    if not found:
        there = ", ".join(f"{e.partition} in {names[e.space]}" for e in manifest.indexes)
        raise ConfigError(
            f"snapshot {manifest.snapshot_id} has no index for --partition {what.partition or '(any)'}"
            f" --space {what.space or '(any)'}; it has {there}"
        )
    return found


def publish_tuned(lake_url: str, manifest: Manifest, result: TunedSnapshot) -> TunedSnapshot:
    """Publish a snapshot of the same files that is searched as was found here.

    Raises:
        GateError: An index does not reach what it was tuned to.
        ConflictError: Another snapshot is published.
    """
    missed = [i for i in result.indexes if not i.tuned.met]
    if missed:
        told = "; ".join(f"{i.entry.partition} in {i.space} {i.tuned.why}" for i in missed)
        raise GateError(f"{told}. Nothing was published; the snapshot in use stays")
    tuned = {(i.entry.partition, i.entry.space): i for i in result.indexes if i.changes}
    if not tuned:
        return result
    entries = tuple(
        retuned(tuned[place]) if (place := (entry.partition, entry.space)) in tuned else entry
        for entry in manifest.indexes
    )
    chosen = replace(
        manifest,
        snapshot_id=Manifest.identity(
            manifest.spaces,
            entries,
            manifest.sources,
            router=manifest.router,
            inverted=manifest.inverted,
            maps=manifest.maps,
        ),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=new_run_id(),
        indexes=entries,
    )
    lake = wiring.open_lake(lake_url)
    with lake.writer(
        chosen.run_id, wait_s=_WAIT_S
    ):  # maintenance must not take its files away meanwhile
        if pointer.current(lake.blobs) != manifest.snapshot_id:
            raise ConflictError(
                f"snapshot {manifest.snapshot_id} is not the published one (any more): tune that one"
            )
        lake.blobs.put_if_absent(manifest_key(chosen.snapshot_id), chosen.to_json().encode())
        pointer.publish(lake.blobs, chosen.snapshot_id, run_id=chosen.run_id, reason="tune")
    return replace(result, published=chosen.snapshot_id)


def retuned(index: TunedIndex) -> IndexManifest:
    """The entry of an index with what was found here."""
    from stages.index.gate import tuned_checks

    point, recalls = index.tuned.point, index.tuned.recalls
    kept = [c for c in index.entry.checks if not c.name.startswith(_TUNED_CHECKS)]
    return replace(
        index.entry,
        search=dict(point.search),
        recall_at_10=point.recall_at_10,
        recalls=dict(recalls),
        latency_ms_p50=point.latency_ms_p50,
        latency_ms_p99=point.latency_ms_p99,
        curve=index.tuned.curve,
        checks=(*kept, *tuned_checks(point, recalls, *index.wanted)),
    )


def _wanted(entry: IndexManifest, what: WhatToTune, config: Indexing) -> tuple[float, float]:
    """Recall and latency to tune to: as asked, else as the snapshot was checked, else as configured."""
    recall = _threshold(entry.checks, "recall_at_10", config.recall_at_10)
    latency_ms = _threshold(entry.checks, "latency_ms_p99", config.latency_ms)
    return (
        recall if what.recall is None else what.recall,
        latency_ms if what.latency_ms is None else what.latency_ms,
    )


def _threshold(checks: Sequence[GateCheck], name: str, default: float) -> float:
    return next((check.threshold for check in checks if check.name == name), default)


def _tune_entry(
    snapshot: OpenSnapshot, blobs: BlobStore, entry: IndexManifest, targets: Indexing
) -> Tuned:
    """Tune on the files of the snapshot."""
    from stages.index.build import IndexKind
    from stages.index.late.validate import tune_late
    from stages.index.truth import read_truth
    from stages.index.validate import tune_segments

    space = next(s for s in snapshot.manifest.spaces if s.key == entry.space)
    kind = IndexKind(
        entry.partition,
        entry.space,
        entry.family,
        entry.parameters,
        space.dim,
        entry.metric,
        space.normalised,
    )
    place, threads = (entry.parsed_partition, entry.space), len(os.sched_getaffinity(0))
    truth = read_truth(blobs.local_path(entry.truth.key))
    if entry.late is not None:
        index = snapshot.late_index(*place)
        encodings = replace(kind, dim=index.fde.dims, normalised=False)
        return tune_late(encodings, index, truth, targets, threads)
    return tune_segments(kind, snapshot.segments(*place), truth, targets, threads)
