"""Indices and snapshots of given rows and vectors, through the stages that build real ones, without a lake."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.config import Indexing
from schemas.ids import canonical_json
from schemas.manifest import FileRef, IndexManifest, Manifest, SegmentRef, Training
from schemas.space import SpaceContract
from schemas.tables import SEGMENT_ROWS, SNAPSHOT_SOURCES
from stages.index.build import BuildRequest, IndexKind, build_segment, with_digests
from stages.index.families.registry import family
from stages.index.gate import require, stored_ranges
from stages.index.manifests import (
    Described,
    Origin,
    index_manifest,
    snapshot_manifest,
    sources_bytes,
)
from stages.index.routing import routing_parts
from stages.index.segments import SegmentPaths
from stages.index.tombstones import tombstone_bytes
from stages.index.train import TrainRequest, train
from stages.index.truth import (
    GENERAL,
    TEXT,
    Queries,
    Truth,
    join_queries,
    merge_nearest,
    nearest_of,
    row_queries,
    truth_bytes,
)
from stages.index.validate import SegmentToCheck, ValidateRequest, Validation, validate
from stages.route.calibrate import calibrate

LAKE_ROWS = pa.schema([field for field in SEGMENT_ROWS if field.name != "vector_digest"])


def unit_id(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def rows_table(names: Sequence[object], **columns: Sequence[object]) -> tuple[pa.Table, np.ndarray]:
    """Rows as a lake gives them, sorted by unit_id, and the order (int64) that their vectors must be brought into.

    Columns are in the order of `names`; those left out are empty.
    """
    ids = [unit_id(name) for name in names]
    values: dict[str, Sequence[object]] = {name: [""] * len(ids) for name in LAKE_ROWS.names}
    values |= {
        "unit_id": ids,
        "source_id": [unit_id("source")] * len(ids),
        "locator": [canonical_json({"page": i + 1}) for i in range(len(ids))],
        "text": [f"passage {name}" for name in names],
        "attributes": ["{}"] * len(ids),
        "acl": [[]] * len(ids),
        "input_hash": [unit_id(f"input {name}") for name in names],
        **columns,
    }
    table = pa.table(values, schema=LAKE_ROWS)
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    return table.take(pa.array(order, pa.int64())), order


@dataclass(frozen=True)
class Built:
    """An index on disk, and what it was made of."""

    kind: IndexKind
    parts: tuple[SegmentToCheck, ...]
    originals: tuple[np.ndarray, ...]
    truth: Truth
    training: Training | None
    prototypes: FileRef

    @property
    def refs(self) -> list[SegmentRef]:
        return [part.ref for part in self.parts]

    def validation(self, table_rows: int, config: Indexing | None = None) -> Validation:
        asked = ValidateRequest(self.kind, self.parts, self.truth, table_rows, config or Indexing())
        return validate(asked, self.originals)


def build(  # noqa: PLR0913 - what differs between tests
    folder: Path,
    kind: IndexKind,
    rows: pa.Table,
    vectors: np.ndarray,
    *,
    shards: int = 1,
    deleted: Sequence[int] = (),
    questions: np.ndarray | None = None,
    count: int = 100,
) -> Built:
    """Cut rows (see `rows_table`) into segments and write them; rows numbered in `deleted` get a tombstone."""
    live = np.ones(len(rows), dtype=bool)
    live[list(deleted)] = False
    picked = np.flatnonzero(live)[:count]
    ids = rows["unit_id"].take(pa.array(picked)).to_pylist()
    asked = [row_queries(vectors[picked], ids, normalised=kind.normalised)]
    if questions is not None:
        asked += [
            Queries(questions, (kind,) * len(questions), ("",) * len(questions))
            for kind in (TEXT, GENERAL)
        ]
    queries = join_queries(asked)
    trained = train(TrainRequest(kind), vectors)
    parts, originals, nearest = [], [], []
    for i in range(shards):
        mine = np.arange(i, len(rows), shards)
        some, theirs = rows.take(pa.array(mine)), vectors[mine]
        request = BuildRequest(kind, with_digests(some, theirs), shard=(i, shards))
        answer = build_segment(request, theirs, trained)
        ref: SegmentRef = answer.value.ref
        for file, data in zip(ref.files, answer.arrays, strict=True):
            write(folder, file.key, data.tobytes())
        gone = ~live[mine]
        if gone.any():
            data = tombstone_bytes(gone).tobytes()
            ref = replace(ref, deleted=put(folder, data, "roaring"), deleted_rows=int(gone.sum()))
        parts.append(SegmentToCheck(ref, paths_of(folder, ref), is_new=True))
        ranges = [theirs[r.start : r.stop] for r in stored_ranges(len(theirs))]
        originals.append(np.concatenate(ranges))
        alive = np.flatnonzero(~gone)
        kept = request.rows.take(pa.array(alive))
        nearest.append(nearest_of(queries, kept, theirs[alive], kind.metric))
    training = None
    if family(kind.family).trains:
        training = Training(put(folder, trained.tobytes(), "faiss"), len(rows), len(rows), 1.0)
    routes = routing_parts(vectors)
    write(folder, routes.value.key, routes.arrays[0].tobytes())
    truth = Truth(queries, merge_nearest(queries, nearest))
    return Built(kind, tuple(parts), tuple(originals), truth, training, routes.value)


def entry_of(folder: Path, built: Built, config: Indexing | None = None) -> IndexManifest:
    """Through the gate."""
    table_rows = sum(ref.live_rows for ref in built.refs)
    validation = built.validation(table_rows, config)
    require(built.kind.place, validation.checks)
    best = built.truth.best_of(GENERAL)
    described = Described(
        "a test",
        "test",
        built.training,
        put(folder, truth_bytes(built.truth), "arrow"),
        calibrate(best) if len(best) else {},
        built.prototypes,
    )
    return index_manifest(built.kind, validation, described)


def snapshot_of(
    folder: Path,
    spaces: Sequence[SpaceContract],
    entries: Sequence[IndexManifest],
    sources: Sequence[Mapping[str, str]],
    origin: Origin | None = None,
) -> Manifest:
    """Write a manifest. Sources have source_id, path, uri and title."""
    data = sources_bytes(pa.Table.from_pylist(list(sources), SNAPSHOT_SOURCES))
    origin = origin or Origin("run", "2026-01-01T00:00:00+00:00", {"units": 3})
    manifest = snapshot_manifest(origin, spaces, entries, put(folder, data, "arrow"), {})
    key = f"snapshots/{manifest.snapshot_id}/manifest.json"
    write(folder, key, manifest.to_json().encode())
    return manifest


def kind_of(
    space: SpaceContract, partition: str, family_name: str = "flat", **parameters: int
) -> IndexKind:
    return IndexKind(
        partition,
        space.key,
        family_name,
        parameters,
        space.dim,
        space.metric,
        space.normalised,
    )


def paths_of(folder: Path, ref: SegmentRef) -> SegmentPaths:
    places = {file.key.rpartition("/")[2]: folder / file.key for file in ref.files}
    return SegmentPaths.of(places, folder / ref.deleted.key if ref.deleted else None)


def put(folder: Path, data: bytes, suffix: str) -> FileRef:
    sha = hashlib.sha256(data).hexdigest()
    write(folder, f"snapshots/files/{sha}.{suffix}", data)
    return FileRef(f"snapshots/files/{sha}.{suffix}", len(data), sha)


def write(folder: Path, key: str, data: bytes) -> Path:
    place = folder / key
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place
