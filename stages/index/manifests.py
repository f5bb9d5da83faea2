"""Putting a manifest together from what was planned, built and measured. Pure values, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from schemas.manifest import IndexManifest, Manifest
from schemas.tables import SNAPSHOT_SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.inverted import InvertedIndex
    from schemas.manifest import FileRef, Training
    from schemas.space import SpaceContract
    from schemas.space_map import SpaceMap
    from stages.index.build import IndexKind
    from stages.index.validate import Validation


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a snapshot comes from. `created_at` is ISO 8601 in UTC; none of this is part of the snapshot's id."""

    run_id: str
    created_at: str
    table_versions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Described:
    """What an index's entry says besides what was measured. See IndexManifest for each."""

    reason: str
    built_with: str
    training: Training | None
    truth: FileRef
    calibration: dict[str, float]
    prototypes: FileRef


def index_manifest(kind: IndexKind, validation: Validation, described: Described) -> IndexManifest:
    """The entry of one index. Segments end up in order of digest."""
    point = validation.tuned.point
    segments = sorted(validation.refs, key=lambda segment: segment.digest)
    return IndexManifest(
        partition=kind.partition,
        space=kind.space,
        family=kind.family,
        parameters=dict(kind.parameters),
        search=dict(point.search),
        rows=sum(segment.live_rows for segment in segments),
        recall_at_10=point.recall_at_10,
        latency_ms_p50=point.latency_ms_p50,
        latency_ms_p99=point.latency_ms_p99,
        checks=validation.checks,
        segments=tuple(segments),
        calibration=dict(described.calibration),
        prototypes=described.prototypes,
        metric=kind.metric,
        recalls=dict(validation.tuned.recalls),
        curve=validation.tuned.curve,
        training=described.training,
        truth=described.truth,
        reason=described.reason,
        built_with=described.built_with,
    )


def snapshot_manifest(  # noqa: PLR0913 - all that a manifest names
    origin: Origin,
    spaces: Sequence[SpaceContract],
    indexes: Sequence[IndexManifest],
    sources: FileRef,
    router: dict[str, Any],
    *,
    inverted: Sequence[InvertedIndex] = (),
    maps: Sequence[SpaceMap] = (),
) -> Manifest:
    """The manifest, in a fixed order, under the id that its contents give it."""
    ordered_spaces = tuple(sorted(spaces, key=lambda space: space.key))
    ordered = tuple(sorted(indexes, key=lambda index: (index.partition, index.space)))
    terms = tuple(sorted(inverted, key=lambda index: (index.partition, index.encoder)))
    ordered_maps = tuple(sorted(maps, key=lambda space_map: space_map.target))
    return Manifest(
        snapshot_id=Manifest.identity(
            ordered_spaces,
            ordered,
            sources,
            router=router,
            inverted=terms,
            maps=ordered_maps,
        ),
        created_at=origin.created_at,
        run_id=origin.run_id,
        table_versions=dict(origin.table_versions),
        spaces=ordered_spaces,
        indexes=ordered,
        sources=sources,
        router=router,
        inverted=terms,
        maps=ordered_maps,
    )


def sources_bytes(sources: pa.Table) -> bytes:
    """``sources.arrow`` (SNAPSHOT_SOURCES schema, uncompressed Arrow IPC), sorted by source_id, then path, then uri."""
    ordered = sources.select(SNAPSHOT_SOURCES.names).cast(SNAPSHOT_SOURCES)
    ordered = ordered.sort_by([(name, "ascending") for name in ("source_id", "path", "uri")])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SNAPSHOT_SOURCES) as out:
        out.write_table(ordered.combine_chunks().replace_schema_metadata(None))
    return bytes(sink.getvalue())
