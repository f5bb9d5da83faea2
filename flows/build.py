"""From the tables to a snapshot: every partition in every space indexed, validated, and described in one manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flows.index_builder import IndexBuilder, Workshop
from flows.inverted import InvertedBuilder, Place, PlannedInverted, planned_inverted
from flows.late_builder import LateBuilder
from flows.manifests import (
    known_manifests,
    manifest_key,
    published_manifest,
    trusted_manifest,
)
from flows.pools import EMBED, INDEX, Pool
from flows.questions import Questions
from flows.segment_store import SegmentStore
from flows.transition import Transition
from schemas.errors import ConfigError, GateError, LakeError
from schemas.ids import canonical_json, digest
from stages.index.build import SEGMENT_FORMAT
from stages.index.explain import size
from stages.index.manifests import Origin, snapshot_manifest, sources_bytes
from stages.index.plan import shared_budget
from stages.route.evaluate import read_questions
from stages.route.search import routed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.changes import Foreseen
    from infra.lake import Lake
    from schemas.blobs import BlobStore
    from schemas.config import Indexing
    from schemas.engine import Session
    from schemas.inverted import InvertedIndex
    from schemas.manifest import IndexManifest, Manifest
    from schemas.partition import Partition
    from schemas.space import Probe, SpaceContract


@dataclass(frozen=True, slots=True)
class Before:
    """What was built before, and how to go on from it.

    Attributes:
        published: The current snapshot, whose indices grow; None to build all anew.
        known: Every snapshot whose segments can be taken again.
        expunge: Leave no deleted row in any segment.
    """

    published: Manifest | None = None
    known: Sequence[Manifest] = ()
    expunge: bool = False

    @classmethod
    def of(cls, blobs: BlobStore, *, expunge: bool = False) -> Before:
        """What a lake has."""
        return cls(published_manifest(blobs), known_manifests(blobs), expunge)

    @property
    def indexes(self) -> tuple[IndexManifest, ...]:
        """Of the published snapshot."""
        return self.published.indexes if self.published else ()


class SnapshotBuilder:
    """Builds what changed since a snapshot and takes the rest from it.

    Args:
        lake: Where the rows are and the segments go.
        session: Gives running pools named index and embed; asked only if there is something to do.
        spaces: What everything is embedded in.
        config: Targets and thresholds.
        workers: Actors of each pool.
        before: What was built before.
    """

    def __init__(
        self,
        lake: Lake,
        session: Callable[[], Session],
        spaces: Sequence[SpaceContract],
        config: Indexing,
        workers: int,
        before: Before,
    ) -> None:
        self._blobs: BlobStore = lake.blobs
        self._view = lake.view()  # one for all indices, so that they belong together
        self._transition = Transition(spaces, before.published, self._view)
        self.spaces = self._transition.spaces
        self._config = config
        self._before = before
        self._base = {(e.partition, e.space): e for e in before.indexes}
        self._probed = before.published.probes if before.published else {}
        self._store = SegmentStore(lake.blobs, before.known)
        asked = read_questions(Path(config.queries)) if config.queries else []
        self._questions = Questions(Pool(session, EMBED), list(dict.fromkeys(asked)))  # each once
        self._shop = Workshop(
            self._store,
            Pool(session, INDEX),
            config,
            workers,
            self._built_with(),
            expunge=before.expunge,
        )

    def places(self) -> list[tuple[Partition, SpaceContract]]:
        """What is to be built: every partition in every space, or in the one that stands for it now."""
        return self._transition.places

    def build_index(self, partition: Partition, space: SpaceContract) -> IndexManifest | None:
        """One partition in one space; None when it has no vectors there, or the space does not take it.

        Raises:
            GateError: A number of the gate does not hold; nothing is published.
            ConfigError: No way to index it fits the memory that is allowed.
        """
        if space.representation == "sparse" or not space.takes(partition):
            return None
        return self._builder(partition, space).build()

    def foresee(self, partition: Partition, space: SpaceContract) -> Foreseen:
        """What `build_index` will start from; needs no session."""
        return self._builder(partition, space).foresee()

    def _builder(self, partition: Partition, space: SpaceContract) -> IndexBuilder | LateBuilder:
        if space.representation == "tokens":
            base = self._base.get((str(partition), space.key))
            place = (partition, space)
            return LateBuilder(self._shop, self._view, place, questions=self._questions, base=base)
        return IndexBuilder(
            self._shop,
            self._view,
            (partition, space),
            questions=self._questions,
            base=self._base.get((str(partition), space.key)),
            serve_budget_bytes=self.budgets.get(f"{partition} @ {space.key}", 0),
        )

    def finish(self, run_id: str, indexes: Sequence[IndexManifest]) -> Manifest:
        """Write the snapshot's sources and manifest. The pointer is moved elsewhere."""
        if not indexes:
            raise GateError("there is nothing to publish: not one partition has a vector")
        maps = self._transition.maps_for(indexes)
        inverted = self._inverted(indexes)
        used = {entry.space for entry in indexes} | {space_map.source for space_map in maps}
        used |= {entry.encoder for entry in inverted}
        spaces = [space for space in self.spaces if space.key in used]
        mapped = {space_map.target for space_map in maps}
        manifest = snapshot_manifest(
            Origin(run_id, datetime.now(UTC).isoformat(timespec="seconds"), self._view.versions()),
            spaces,
            indexes,
            self._store.put_file(sources_bytes(self._view.live_sources()), "arrow"),
            router=routed_by([space for space in spaces if space.key not in mapped]),
            inverted=inverted,
            maps=maps,
        )
        manifest = replace(manifest, probes=self._probes(manifest.spaces))
        self._write_manifest(manifest)
        return manifest

    def _probes(self, spaces: Sequence[SpaceContract]) -> dict[str, Probe]:
        """Self-checks of the encoders: those of the published snapshot, which its vectors came from, and new ones."""
        return {
            space.key: self._probed.get(space.key) or self._questions.probe(space)
            for space in spaces
        }

    def _inverted(self, indexes: Sequence[IndexManifest]) -> list[InvertedIndex]:
        builder = InvertedBuilder(self._store, self._shop.pool, self._view, self._before.known)
        return builder.build(indexes, self.spaces, lexical=self._config.lexical)

    @cached_property
    def vectors(self) -> dict[str, int]:
        """Live vectors of each index, by ``partition @ space key``; indices without any are left out."""
        wanted = {f"{partition} @ {space.key}" for partition, space in self.places()}
        return {name: rows for name, rows in self._counted.items() if rows and name in wanted}

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Keys of the spaces that the lake has vectors in and that nothing is built in."""
        filled = {_key_of(name) for name, rows in self._counted.items() if rows}
        return tuple(sorted(filled - {space.key for space in self.spaces}))

    @cached_property
    def _counted(self) -> dict[str, int]:
        return self._view.vector_counts()

    @cached_property
    def budgets(self) -> dict[str, int]:
        """Bytes that each index may take while it is served, by the same; empty without a limit.

        Raises:
            ConfigError: Postings alone take all there is.
        """
        limit_bytes = self._config.serve_memory_bytes
        if not limit_bytes:
            return {}
        row_bytes = {
            space.key: 4 * space.dim for space in self.spaces if space.representation != "sparse"
        }
        sizes = {
            name: rows * row_bytes[key]
            for name, rows in self.vectors.items()
            if (key := _key_of(name)) in row_bytes
        }
        postings_bytes = sum(planned.serve_bytes for planned in self.inverted)
        if postings_bytes >= limit_bytes:
            raise ConfigError(
                f"indexing.serve_memory_bytes is {size(limit_bytes)}, and the postings of words and sparse spaces"
                f" alone take about {size(postings_bytes)}: raise it, or set indexing.lexical = false"
            )
        small_bytes = self._config.flat_rows * max(row_bytes.values(), default=0)
        return shared_budget(limit_bytes - postings_bytes, sizes, small_bytes)

    @cached_property
    def inverted(self) -> tuple[PlannedInverted, ...]:
        """What is going to stand beside the indices."""
        places = [
            Place(name.partition(" @ ")[0], _key_of(name), rows)
            for name, rows in self.vectors.items()
        ]
        return planned_inverted(places, self.spaces, lexical=self._config.lexical)

    def _built_with(self) -> str:
        """Of what an index depends on besides its rows, vectors and space."""
        config = canonical_json(self._config.model_dump(exclude={"lexical"}))
        return digest("index", SEGMENT_FORMAT, config, *self._questions.texts)

    def _write_manifest(self, manifest: Manifest) -> None:
        """One that is there stays, if it is what its name says."""
        try:
            trusted_manifest(self._blobs, manifest.snapshot_id)
        except LakeError:
            self._blobs.put(manifest_key(manifest.snapshot_id), manifest.to_json().encode())


def _key_of(name: str) -> str:
    """The space's in ``partition @ key``, as the lake counts."""
    return name.rpartition(" @ ")[2]
