"""From the tables to a snapshot: every partition in every space indexed, validated, and described in one manifest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from infra.aside import ASIDE
from schemas.blobs import check_key
from schemas.errors import GateError, GristmillError, LakeError
from schemas.manifest import FileRef, Manifest
from schemas.tables import SEGMENT_ROWS, SNAPSHOT_SOURCES
from stages.index.build import BuildRequest, input_digest, segment_files
from stages.index.gate import require
from stages.index.manifests import Origin, index_manifest, snapshot_manifest, sources_bytes
from stages.index.plan import plan
from stages.index.routing import RoutingRequest
from stages.index.shards import split, take_rows, training_rows
from stages.index.train import NO_QUANTISER, TrainRequest
from stages.index.validate import ValidateRequest, Validation
from stages.messages import EmbedRequest
from stages.route.background import BACKGROUND
from stages.route.prototypes import TRAIN_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.lake import Lake
    from infra.lake.read import InputColumn
    from schemas.blobs import BlobStore
    from schemas.config import Indexing
    from schemas.engine import Session
    from schemas.manifest import IndexManifest, SegmentRef
    from schemas.partition import Partition
    from schemas.space import SpaceContract
    from stages.index.plan import IndexPlan
    from stages.index.routing import RoutingParts

EMBED: Final = "embed"
INDEX: Final = "index"
_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows and vectors of one segment to be."""

    rows: pa.Table
    vectors: np.ndarray


class SnapshotBuilder:
    """Builds what changed and reuses what did not.

    Args:
        lake: Where the rows are and the segments go.
        session: Running pool named index.
        config: Targets and thresholds.
        known: Manifests to reuse segments of.
    """

    def __init__(
        self,
        lake: Lake,
        session: Session,
        config: Indexing,
        known: Iterable[Manifest],
    ) -> None:
        self._lake = lake
        self._blobs: BlobStore = lake.blobs
        self._session = session
        self._config = config
        self._backgrounds: dict[str, np.ndarray] = {}
        self._known = {
            segment.input_digest: segment
            for manifest in known
            for entry in manifest.indexes
            for segment in entry.segments
        }

    def build_index(self, partition: Partition, space: SpaceContract) -> IndexManifest | None:
        """One partition in one space; None when it has no vectors there.

        Raises:
            GateError: A number of the gate does not hold; nothing is published.
        """
        column: InputColumn = "text_hash" if space.input == "text" else "pixels_hash"
        rows, vectors = self._lake.live_vectors(space.key, partition, input_column=column)
        if not rows.num_rows:
            return None
        chosen = plan(rows.num_rows, space.dim, self._config)
        place = (str(partition), space.key)
        trained = self._train(place, chosen, space.dim, rows, vectors)
        shards = [
            Shard(*take_rows(rows.select(SEGMENT_ROWS.names), vectors, part))
            for part in split(rows.column("unit_id").to_pylist(), chosen.shards)
        ]
        segments = self._build(place, chosen, space.dim, shards, trained)
        validation = self._validate(place, chosen, segments, shards, rows.num_rows)
        require(*place, validation.checks)
        return index_manifest(
            place, chosen, segments, validation, self._routing(place, rows, vectors, space)
        )

    def finish(
        self, run_id: str, spaces: Sequence[SpaceContract], indexes: Sequence[IndexManifest]
    ) -> Manifest:
        """Write the snapshot's sources and manifest. The pointer is moved elsewhere."""
        if not indexes:
            raise GateError("there is nothing to publish: not one partition has a vector")
        data = sources_bytes(self._live_sources())
        sha = hashlib.sha256(data).hexdigest()
        used = {entry.space for entry in indexes}
        manifest = snapshot_manifest(
            Origin(run_id, datetime.now(UTC).isoformat(timespec="seconds"), self._lake.versions()),
            [space for space in spaces if space.key in used],
            indexes,
            FileRef(f"snapshots/files/{sha}.arrow", len(data), sha),
            {},
        )
        self._place(manifest.sources, data)
        self._write_manifest(manifest)
        return read_manifest(self._blobs, manifest.snapshot_id)

    def _write_manifest(self, manifest: Manifest) -> None:
        """One that is there stays, if it is what its name says."""
        try:
            trusted_manifest(self._blobs, manifest.snapshot_id)
        except LakeError:
            self._blobs.put(manifest_key(manifest.snapshot_id), manifest.to_json().encode())

    def _train(
        self,
        place: tuple[str, str],
        chosen: IndexPlan,
        dim: int,
        rows: pa.Table,
        vectors: np.ndarray,
    ) -> np.ndarray:
        if not chosen.train_rows:
            return NO_QUANTISER
        sample = vectors[training_rows(rows.column("unit_id").to_pylist(), chosen.train_rows)]
        request = TrainRequest(*place, chosen.family, chosen.parameters, dim)
        self._session.submit(INDEX, f"train {place}", request, arrays=self._session.put([sample]))
        (_, arrays), *_ = self._answers()
        return arrays[0]

    def _build(
        self,
        place: tuple[str, str],
        chosen: IndexPlan,
        dim: int,
        shards: Sequence[Shard],
        trained: np.ndarray,
    ) -> list[SegmentRef]:
        """One segment for each shard, in order; those that were built before are taken as they are."""
        segments: dict[str, SegmentRef] = {}
        order = []
        for shard in shards:
            request = BuildRequest(*place, chosen.family, chosen.parameters, dim, shard.rows)
            built_from = input_digest(request, shard.vectors, trained)
            order.append(built_from)
            known = self._reusable(built_from)
            if known is not None:
                segments[built_from] = known
                continue
            given = self._session.put([shard.vectors, trained])
            request = replace(request, input_digest=built_from)
            self._session.submit(INDEX, f"{place} {built_from}", request, arrays=given)
        for value, files in self._answers():
            for ref, data in segment_files(value, files):
                self._place(ref, data.tobytes())
            segments[value.ref.input_digest] = value.ref
        return [segments[built_from] for built_from in order]

    def _reusable(self, built_from: str) -> SegmentRef | None:
        known = self._known.get(built_from)
        if known is not None and all(self._is_whole(ref) for ref in known.files):
            return known
        return None

    def _is_whole(self, ref: FileRef) -> bool:
        """By its size; `gristmill verify` reads the bytes."""
        return self._blobs.size_bytes(ref.key) == ref.size_bytes

    def _place(self, ref: FileRef, data: bytes) -> None:
        """Write a file that is named after its content, unless it is there and whole."""
        if not self._is_whole(ref):
            self._blobs.put(ref.key, data)

    def _validate(
        self,
        place: tuple[str, str],
        chosen: IndexPlan,
        segments: Sequence[SegmentRef],
        shards: Sequence[Shard],
        table_rows: int,
    ) -> Validation:
        request = ValidateRequest(
            *place,
            chosen.family,
            chosen.parameters,
            tuple(self._local_files(segment) for segment in segments),
            table_rows,
            self._config,
        )
        arrays = self._session.put([shard.vectors for shard in shards])
        self._session.submit(INDEX, f"validate {place}", request, arrays=arrays)
        ((validation, _),) = self._answers()
        result: Validation = validation
        return result

    def _local_files(self, segment: SegmentRef) -> tuple[str, str]:
        by_name = {ref.key.rpartition("/")[2]: ref.key for ref in segment.files}
        return (
            str(self._blobs.local_path(by_name["index.faiss"])),
            str(self._blobs.local_path(by_name["rows.arrow"])),
        )

    def _answers(self) -> Iterator[tuple[Any, tuple[np.ndarray, ...]]]:
        """(value, arrays) of everything submitted to the pool of indexing."""
        return ((value, arrays) for _, value, arrays in self._outcomes(INDEX))

    def _outcomes(self, stage: str) -> Iterator[tuple[str, Any, tuple[np.ndarray, ...]]]:
        """(key, value, arrays) of everything submitted to a pool.

        Raises:
            GateError: A worker could not do its part.
        """
        while self._session.pending(stage):
            for outcome in self._session.poll(_POLL_S):
                if outcome.failure:
                    raise GateError(
                        f"indexing {outcome.key} failed: {outcome.failure.code}:"
                        f" {outcome.failure.reason}. Nothing was published"
                    )
                arrays = self._session.fetch(outcome.arrays) if outcome.arrays else ()
                yield outcome.key, outcome.value, arrays

    def _routing(
        self, place: tuple[str, str], rows: pa.Table, vectors: np.ndarray, space: SpaceContract
    ) -> RoutingParts:
        """Calibration and prototypes of one index."""
        sample = vectors[training_rows(rows.column("unit_id").to_pylist(), TRAIN_ROWS)]
        arrays = self._session.put([vectors, sample, self._background(space)])
        self._session.submit(INDEX, f"routing {place}", RoutingRequest(*place), arrays=arrays)
        ((parts, (data,)),) = self._answers()
        self._place(parts.prototypes, data.tobytes())
        found: RoutingParts = parts
        return found

    def _background(self, space: SpaceContract) -> np.ndarray:
        """Questions about anything as questions in this space, float32 [n, dim], embedded once."""
        if space.key not in self._backgrounds:
            for number, question in enumerate(BACKGROUND):
                request = EmbedRequest(space.key, question, query=True)
                key = f"question {number:03} in {space.key}"
                self._session.submit(EMBED, key, request, group=f"questions {space.key}")
            self._session.flush(EMBED)
            by_key = {key: vector for key, vector, _ in self._outcomes(EMBED)}
            self._backgrounds[space.key] = np.stack([by_key[key] for key in sorted(by_key)])
        return self._backgrounds[space.key]

    def _live_sources(self) -> pa.Table:
        state = self._lake.state()
        rows = [
            {"source_id": k.source_id, "path": k.path, "uri": k.uri, "title": k.title}
            for k in state.paths.values()
            if k.has_content
        ]
        return pa.Table.from_pylist(rows, SNAPSHOT_SOURCES)


def manifest_key(snapshot_id: str) -> str:
    """Where a snapshot's manifest is."""
    return f"snapshots/{snapshot_id}/manifest.json"


def snapshot_ids(blobs: BlobStore) -> list[str]:
    """Of every snapshot that has a manifest, readable or not, sorted."""
    return [key.split("/")[-2] for key in _manifest_keys(blobs, "snapshots")]


def _manifest_keys(blobs: BlobStore, folder: str) -> list[str]:
    return [key for key in blobs.list(folder) if key.endswith("/manifest.json")]


def read_manifest(blobs: BlobStore, snapshot_id: str) -> Manifest:
    """The manifest of a snapshot.

    Raises:
        LakeError: There is none, or it cannot be read by this version.
    """
    try:
        return Manifest.from_json(blobs.get(manifest_key(snapshot_id)).decode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(
            f"the manifest of snapshot {snapshot_id} cannot be read ({error}): gristmill verify --repair"
        ) from error
    except GristmillError as error:
        raise LakeError(f"there is no snapshot {snapshot_id}: {error}") from error


def read_manifests(blobs: BlobStore) -> list[Manifest]:
    """Those of every snapshot there is, in the order they were built.

    That is the order of the table versions they were built from, whatever the clock said: every writer commits.

    Raises:
        LakeError: One cannot be read.
    """
    manifests = [read_manifest(blobs, snapshot_id) for snapshot_id in snapshot_ids(blobs)]
    return sorted(manifests, key=lambda manifest: (built_after(manifest), manifest.snapshot_id))


def known_manifests(blobs: BlobStore) -> list[Manifest]:
    """Those of the snapshots there are, and of those that a repair set aside: what of them is whole is not built again.

    One that is damaged is left out.
    """
    found = []
    for key in [*_manifest_keys(blobs, "snapshots"), *_manifest_keys(blobs, ASIDE)]:
        with suppress(LakeError):
            found.append(_trusted(blobs, key))
    return found


def trusted_manifest(blobs: BlobStore, snapshot_id: str) -> Manifest:
    """A manifest that is what its name says.

    Raises:
        LakeError: It is not, or there is none.
    """
    return _trusted(blobs, manifest_key(snapshot_id))


def _trusted(blobs: BlobStore, key: str) -> Manifest:
    snapshot_id = key.split("/")[-2]
    try:
        manifest = Manifest.from_json(blobs.get(key).decode())
        said = Manifest.identity(manifest.spaces, manifest.indexes, manifest.sources)
        for ref in manifest.files():
            check_key(ref.key)
    except (ValueError, KeyError, TypeError, AttributeError, GristmillError) as error:
        raise LakeError(f"{key} cannot be read: {error}") from error
    if not said == manifest.snapshot_id == snapshot_id:
        raise LakeError(f"{key} says it is {manifest.snapshot_id}, what it names is {said}")
    return manifest


def built_after(manifest: Manifest) -> int:
    """Version of `completions` that a snapshot was built from."""
    return manifest.table_versions.get("completions", 0)
