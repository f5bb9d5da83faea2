"""Tiny snapshots with real segments: what readers, the pointer and diffs are tested with."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from schemas.blobs import BlobStore
from schemas.manifest import FileRef, IndexManifest, Manifest, SegmentRef
from schemas.space import SpaceContract
from schemas.space_map import SpaceMap
from schemas.tables import SEGMENT_ROWS, SNAPSHOT_SOURCES
from stages.index.build import BuildRequest, IndexKind, build_segment, segment_files
from stages.index.families.protocol import NO_QUANTISER
from stages.index.manifests import Origin, snapshot_manifest, sources_bytes
from stages.index.truth import Nearest, Queries, Truth, truth_bytes

DIM = 16
SPACE = SpaceContract(
    name="tiny",
    encoder="tiny",
    model="tiny",
    revision="1",
    weights_digest="",
    dim=DIM,
    dtype="float32",
    input="text",
    pooling="mean",
)
ROWS = 20
KIND = IndexKind("text/paragraph", SPACE.key, "flat", {}, DIM)


def vector_of(text: str) -> np.ndarray:
    """What the encoder of the space would say, float32 [DIM], unit length."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def table_of(texts: Mapping[str, str], **columns: Sequence[object]) -> pa.Table:
    """Rows by unit_id, with their texts; other columns in order of unit_id."""
    ids = sorted(texts)
    values = {name: [""] * len(ids) for name in SEGMENT_ROWS.names}
    values |= {
        "unit_id": ids,
        "source_id": ["source"] * len(ids),
        "locator": [json.dumps({"page": 1})] * len(ids),
        "text": [texts[unit_id] for unit_id in ids],
        "attributes": ["{}"] * len(ids),
        "acl": [[]] * len(ids),
        "input_hash": [id_of(texts[unit_id]) for unit_id in ids],
        "vector_digest": [int(id_of(texts[unit_id])[:15], 16) for unit_id in ids],
        **columns,
    }
    return pa.table(values, schema=SEGMENT_ROWS)


def put_segment(blobs: BlobStore, rows: pa.Table) -> SegmentRef:
    """Write a flat segment; vectors are those of the texts."""
    vectors = np.array([vector_of(text) for text in rows.column("text").to_pylist()])
    built = build_segment(BuildRequest(KIND, rows), vectors, NO_QUANTISER)
    for file, data in segment_files(built.value.ref, built.arrays):
        put(blobs, file.key, data.tobytes())
    return built.value.ref


def with_deleted(blobs: BlobStore, segment: SegmentRef, rows: Iterable[int]) -> SegmentRef:
    """The same segment, in which these rows count no more."""
    from pyroaring import BitMap

    # Of a range, and when it optimises, it makes run containers.
    deleted = BitMap(list(rows), optimize=False)
    data = deleted.serialize()
    return replace(segment, deleted=put_file(blobs, data, "roaring"), deleted_rows=len(deleted))


def index_of(partition: str, segments: Sequence[SegmentRef], **changes: object) -> IndexManifest:
    entry = IndexManifest(
        partition=partition,
        space=SPACE.key,
        family="flat",
        parameters={},
        search={},
        rows=sum(segment.live_rows for segment in segments),
        recall_at_10=1.0,
        latency_ms_p50=0.1,
        latency_ms_p99=0.2,
        checks=(),
        segments=tuple(sorted(segments, key=lambda segment: segment.digest)),
        calibration={},
        prototypes=ref_of(NO_PROTOTYPES, "npy"),
        truth=ref_of(NO_TRUTH, "arrow"),
    )
    return replace(entry, **changes)


def put_snapshot(  # noqa: PLR0913  # whatever a test wants to be special
    blobs: BlobStore,
    indexes: Sequence[IndexManifest],
    *,
    run_id: str = "run",
    built_after: int = 0,
    places: Mapping[str, str] | None = None,
    spaces: tuple[SpaceContract, ...] = (SPACE,),
    maps: tuple[SpaceMap, ...] = (),
) -> Manifest:
    """Write the manifest and the sources (uri -> source_id) of a snapshot."""
    named = places or {"file:///a.txt": "source"}
    columns = [list(named.values()), [u.rpartition("/")[2] for u in named], list(named)]
    data = sources_bytes(pa.table([*columns, [""] * len(named)], schema=SNAPSHOT_SOURCES))
    sources = put_file(blobs, data, "arrow")
    put_file(blobs, NO_PROTOTYPES, "npy")
    put_file(blobs, NO_TRUTH, "arrow")
    origin = Origin(run_id, "2026-01-01T00:00:00+00:00", {"completions": built_after})
    manifest = snapshot_manifest(origin, spaces, indexes, sources, {}, maps=maps)
    blobs.put(f"snapshots/{manifest.snapshot_id}/manifest.json", manifest.to_json().encode())
    return manifest


def put(blobs: BlobStore, key: str, data: bytes) -> FileRef:
    if blobs.size_bytes(key) != len(data):
        blobs.put(key, data)
    return FileRef(key, len(data), hashlib.sha256(data).hexdigest())


def put_file(blobs: BlobStore, data: bytes, suffix: str) -> FileRef:
    return put(blobs, ref_of(data, suffix).key, data)


def ref_of(data: bytes, suffix: str) -> FileRef:
    sha = hashlib.sha256(data).hexdigest()
    return FileRef(f"snapshots/files/{sha}.{suffix}", len(data), sha)


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


NO_PROTOTYPES = npy_bytes(np.zeros((0, DIM), dtype=np.float32))
_NOTHING = np.zeros((0, 0))
NO_TRUTH = truth_bytes(
    Truth(
        Queries(np.zeros((0, DIM), dtype=np.float32), (), ()),
        Nearest(_NOTHING.astype(np.str_), _NOTHING.astype(np.uint64), _NOTHING.astype(np.float32)),
    )
)


def own_text(number: int, row: int) -> str:
    return f"snapshot {number} row {row}"


def put_numbered(blobs: BlobStore, number: int) -> Manifest:
    """Snapshot `number` of a series: a segment that all have, one of its own, and an index of its own."""
    common = {id_of(f"common {i}"): f"common {i}" for i in range(ROWS)}
    own = {id_of(own_text(number, i)): own_text(number, i) for i in range(ROWS)}
    segments = [put_segment(blobs, table_of(texts)) for texts in (common, own)]
    indexes = [index_of("text/paragraph", segments), index_of("image/image", segments[1:])]
    return put_snapshot(blobs, indexes, run_id=f"number-{number}", built_after=number)


def wrong_answers(snapshot: object, row: int) -> list[str]:
    """What an opened snapshot of the series answers wrongly; it says itself which it is."""
    manifest: Manifest = snapshot.manifest
    number = int(manifest.run_id.removeprefix("number-"))
    wrong = []
    for partition, space in snapshot.indexes:
        asked = [own_text(number, row), own_text(number + 1, row)]
        asked += [f"common {row}"] if str(partition) == "text/paragraph" else []
        queries = np.array([vector_of(text) for text in asked])
        answers = [found[0].text for found in snapshot.search(partition, space, queries, 3)]
        if answers[::2] != asked[::2] or answers[1] == asked[1]:
            wrong.append(f"{manifest.snapshot_id} {partition}: asked {asked}, answered {answers}")
    if snapshot.paths("source").path != "a.txt":
        wrong.append(f"{manifest.snapshot_id}: sources")
    return wrong
