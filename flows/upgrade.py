"""Going over to another text encoder at once.

A sample is embedded in the new space, a map into the old one is fitted, measured and published, and queries of the new
encoder search the old indices until there are new ones.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from prefect import flow

from flows.beside import is_installed
from flows.manifests import manifest_key
from flows.pools import EMBED, INDEX, Pool
from flows.questions import Questions
from flows.sampling import Embedded, choose_sample, embed_sample, paired
from flows.segment_store import file_ref
from flows.surroundings import in_surroundings
from infra import pointer
from schemas.errors import ConfigError, GateError
from schemas.manifest import Manifest
from schemas.space_map import MappedPartition, SpaceMap
from stages.index.maps import AffineMap
from stages.index.snapshot import OpenSnapshot
from stages.index.truth import GENERAL
from stages.route.calibrate import calibrate
from stages.route.evaluate import read_questions
from stages.route.search import routed_by
from stages.upgrade.request import MapRequest, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.sampling import Sampled
    from flows.surroundings import Surroundings
    from schemas.config import Config
    from schemas.space import SpaceContract
    from stages.index.truth import Queries
    from stages.upgrade.request import MapAnswer


@dataclass(frozen=True, slots=True)
class WhatToUpgrade:
    """From which space of the published snapshot (name or key) to which registered one; `dry_run` publishes nothing."""

    old: str
    new: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade found.

    Attributes:
        old, new: Keys of the spaces.
        map: As it stands in the manifest, or would.
        embedded: Units that were embedded for the sample.
        failed: Units that could not be.
        fit_s: Seconds to fit and measure.
        threshold: Recall that every partition must reach.
        snapshot: Published; empty for a dry run.
    """

    old: str
    new: str
    map: SpaceMap
    embedded: int
    failed: int
    fit_s: float
    threshold: float
    snapshot: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def upgrade(lake_url: str, what: WhatToUpgrade, config: Config, *, quiet: bool = False) -> Upgraded:
    """Publish the current snapshot again with a map by which queries of a new space search its old indices.

    Args:
        lake_url: The lake.
        what: The spaces.
        config: Of it `upgrade`, `indexing.queries` and `engine`.
        quiet: Show no progress.

    Raises:
        ConfigError: Nothing is published in the old space, a space is of no use here, or the sample is too small.
        GateError: The map finds less than `upgrade.recall_at_10`; nothing was published, the sample's vectors stay.
    """
    # The engine embeds in the new space; those of the published snapshot are at hand anyway.
    alone = config.model_copy(
        update={"profile": config.profile.model_copy(update={"spaces": (what.new,)})}
    )
    found, _ = in_surroundings(
        "upgrade", lake_url, alone, quiet, lambda around: upgrade_flow(around, what)
    )
    return found


@flow(name="gristmill-upgrade", validate_parameters=False)
def upgrade_flow(around: Surroundings, what: WhatToUpgrade) -> Upgraded:
    """Sample, embed, fit, measure, publish."""
    return Upgrade(around, what).run()


class Upgrade:
    """One upgrade.

    Args:
        around: The lake as its writer, and the engine.
        what: Which spaces.

    Raises:
        ConfigError: Nothing is published in the old space, or a map between the two is of no use.
    """

    def __init__(self, around: Surroundings, what: WhatToUpgrade) -> None:
        if around.published is None:
            raise ConfigError(f"{around.lake.url} has no published snapshot to upgrade")
        self._around = around
        self._what = what
        self._published = around.published
        self._config = around.config.upgrade
        self._old = find_old(self._published, what.old)
        (self._new,) = around.spaces
        check_pair(self._old, self._new)
        file = around.config.indexing.queries
        asked = list(dict.fromkeys(read_questions(Path(file)))) if file else []
        self._asking = Questions(Pool(lambda: around.session, EMBED), asked)

    def run(self) -> Upgraded:
        """Do it.

        Raises:
            ConfigError: The sample is too small.
            GateError: The map finds too little.
        """
        around = self._around
        view = around.lake.view()
        partitions = [
            entry.parsed_partition
            for entry in self._published.indexes
            if entry.space == self._old.key
        ]
        sample = choose_sample(view, partitions, self._old, self._config.sample)
        done = embed_sample(around, sample, self._new)
        around.watcher.note(f"sampled {sum(map(len, sample))} units, embedded {done.vectors}")
        parts, new, old = paired(around.lake.view(), sample, self._old, self._new)
        asked_new, asked_old = self._questions()
        started_s = time.monotonic()
        answer, data = self._fit(parts, (new, old), asked_new, asked_old)
        fit_s = time.monotonic() - started_s
        space_map = self._described(answer, data, asked_new)
        found = self._told(space_map, answer, done, fit_s)
        check_recall(found)
        if self._what.dry_run:
            return found
        return replace(found, snapshot=self._publish(space_map, data))

    def _questions(self) -> tuple[Queries, np.ndarray]:
        """Questions in the new space; and in the old one, none of them where its encoder is not installed."""
        new = self._asking.of(self._new)
        if not is_installed(self._old):
            return new, np.zeros((0, self._old.dim), np.float32)
        return new, self._asking.of(self._old).vectors

    def _fit(
        self,
        parts: Sequence[Sampled],
        pairs: tuple[np.ndarray, np.ndarray],
        asked_new: Queries,
        asked_old: np.ndarray,
    ) -> tuple[MapAnswer, bytes]:
        held = np.concatenate([part.held for part in parts])
        names = tuple(str(part.partition) for part in parts for _ in range(len(part)))
        metrics = (self._new.metric, self._old.metric)
        request = MapRequest(names, asked_new.kinds, metrics, self._old.normalised)
        arrays = Sample(*pairs, held, asked_new.vectors, asked_old)
        pool = Pool(lambda: self._around.session, INDEX)
        _, answer, (data,) = pool.ask(f"the map into {self._old.key}", request, arrays)
        return answer, data.tobytes()

    def _described(self, answer: MapAnswer, data: bytes, asked: Queries) -> SpaceMap:
        """As the manifest has it, calibrated on the very indices that it leads to."""
        applied = AffineMap.from_bytes(data, normalised=self._old.normalised)
        general = applied.apply(asked.vectors[asked.of_kind(GENERAL)])
        snapshot = OpenSnapshot(self._published, self._around.lake.blobs.local_path)
        parts = []
        for entry in self._published.indexes:
            if entry.space != self._old.key:
                continue
            recalls = answer.partitions.get(entry.partition)
            near = snapshot.neighbours(entry.parsed_partition, entry.space, general, 1)
            parts.append(
                MappedPartition(
                    entry.partition,
                    recalls.rows if recalls else 0,
                    recalls.mapped if recalls else {},
                    recalls.before if recalls else {},
                    calibrate(near.similarity[:, 0]),
                )
            )
        fitted = answer.fitted
        return SpaceMap(
            self._new.key,
            self._old.key,
            file_ref(data, "npy"),
            self._old.normalised,
            fitted.method,
            fitted.pairs,
            tuple(sorted(parts, key=lambda part: part.partition)),
        )

    def _told(
        self, space_map: SpaceMap, answer: MapAnswer, done: Embedded, fit_s: float
    ) -> Upgraded:
        return Upgraded(
            old=self._old.key,
            new=self._new.key,
            map=space_map,
            embedded=done.vectors,
            failed=done.failed,
            fit_s=round(fit_s, 3),
            threshold=self._config.recall_at_10,
            snapshot="",
        )

    def _publish(self, space_map: SpaceMap, data: bytes) -> str:
        """The published snapshot with this map in place of any other into the old space."""
        before, blobs = self._published, self._around.lake.blobs
        kept = [m for m in before.maps if m.target != space_map.target]
        maps = tuple(sorted([*kept, space_map], key=lambda m: m.target))
        contracts = {space.key: space for space in (*before.spaces, self._new)}
        reached = {entry.space for entry in before.indexes} | {m.source for m in maps}
        reached |= {entry.encoder for entry in before.inverted}
        spaces = tuple(contracts[key] for key in sorted(contracts) if key in reached)
        by = before.router.get("space")
        first = self._new.key if by == self._old.key else by
        mapped = {m.target for m in maps}
        asked = sorted((s for s in spaces if s.key not in mapped), key=lambda s: s.key != first)
        router = routed_by(asked)
        manifest = replace(
            before,
            snapshot_id=Manifest.identity(
                spaces,
                before.indexes,
                before.sources,
                router=router,
                inverted=before.inverted,
                maps=maps,
            ),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            run_id=self._around.run_id,
            spaces=spaces,
            router=router,
            maps=maps,
            probes={**before.probes, self._new.key: self._asking.probe(self._new)},
        )
        blobs.put(space_map.file.key, data)
        blobs.put_if_absent(manifest_key(manifest.snapshot_id), manifest.to_json().encode())
        pointer.publish(blobs, manifest.snapshot_id, run_id=self._around.run_id, reason="upgrade")
        return manifest.snapshot_id


def find_old(published: Manifest, name: str) -> SpaceContract:
    """The space of a snapshot, by name or key, that has an index.

    Raises:
        ConfigError: There is none, or several.
    """
    there = {entry.space for entry in published.indexes}
    spaces = [space for space in published.spaces if space.key in there]
    found = [space for space in spaces if name in (space.key, space.name)]
    if len(found) != 1:
        known = ", ".join(space.key for space in spaces)
        raise ConfigError(
            f"--from {name}: the published snapshot has {'several' if found else 'no'} such spaces; it has {known}"
        )
    return found[0]


def check_pair(old: SpaceContract, new: SpaceContract) -> None:
    """That a map between the two can be fitted from texts and is of use.

    Raises:
        ConfigError: It cannot; says why.
    """
    if old.key == new.key:
        raise ConfigError(f"{old.key} is published: there is nothing to upgrade to")
    for space in (old, new):
        if space.input != "text" or space.representation != "dense":
            raise ConfigError(
                f"{space.key} embeds {space.input} as {space.representation}: a map is fitted from texts with one"
                " vector each. Add the new space to the profile and run instead"
            )


def check_recall(found: Upgraded) -> None:
    """That a map finds enough in every partition where it could be measured.

    Raises:
        GateError: It does not; says where.
    """
    low = [
        f"{part.partition} {part.recalls[kind]:.3f}"
        for part in found.map.partitions
        for kind in part.recalls
        if kind == "rows" and part.recalls[kind] < found.threshold
    ]
    if low:
        raise GateError(
            f"the map from {found.new} into {found.old} finds too little: recall@10 of"
            f" {', '.join(low)}, wanted {found.threshold:g} (upgrade.recall_at_10). Nothing was published; the"
            " vectors of the sample stay. A bigger --sample may help; else add the new space to the profile and run"
        )
