"""A snapshot of a few units whose vectors are bags of words, so that a test can say what is near what."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from schemas.ids import canonical_json
from schemas.manifest import FileRef, IndexManifest, SegmentRef
from schemas.space import SpaceContract
from schemas.tables import SEGMENT_ROWS, SNAPSHOT_SOURCES
from stages.index.build import BuildRequest, build_segment
from stages.index.manifests import Origin, snapshot_manifest, sources_bytes
from stages.index.routing import routing_parts
from stages.index.snapshot import OpenSnapshot
from stages.index.train import NO_QUANTISER
from stages.route.background import BACKGROUND
from stages.route.search import Retriever

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIM = 512
TEXT = SpaceContract(
    name="words",
    encoder="words",
    model="words",
    revision="1",
    weights_digest="",
    dim=DIM,
    dtype="float32",
    input="text",
    pooling="sum",
)
# The same words in a space whose cosines are small: (1, 0, ...) is in every picture.
PIXELS = replace(TEXT, name="pictures", input="pixels", model="pictures")


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def index_of(partition: str, space: str, **calibration: float) -> IndexManifest:
    return IndexManifest(
        partition, space, "flat", {}, {}, 1, 1.0, 0.1, 0.2, (), (), dict(calibration)
    )


class Words:
    """Encodes a text as its words, each a fixed random direction."""

    def __init__(self, contract: SpaceContract, damping: float = 0.0) -> None:
        self.contract = contract
        self._damping = damping

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._one(text) for text in texts])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = self.encode_queries(texts)
        vectors[:, 0] += self._damping
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def _one(self, text: str) -> np.ndarray:
        vector = np.zeros(DIM, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector[1:] += unit(1, DIM - 1, seed)[0]
        return vector / max(float(np.linalg.norm(vector)), 1e-9)


@dataclass(frozen=True)
class Item:
    partition: str
    path: str
    text: str
    page: int | None = None


def snapshot(folder: Path, items: Sequence[Item], copies: dict[str, str]) -> OpenSnapshot:
    """Publish the items in both spaces where they belong; `copies` maps further paths to paths of items."""
    indexes = []
    for partition in sorted({item.partition for item in items}):
        own = [item for item in items if item.partition == partition]
        space, encoder = (
            (PIXELS, Words(PIXELS, damping=1.5))
            if partition == "image/image"
            else (TEXT, Words(TEXT))
        )
        indexes.append(_index(folder, partition, space, own, encoder))
    paths = {item.path for item in items}
    rows = [*((path, path) for path in paths), *copies.items()]
    table = pa.Table.from_pylist(
        [
            {"source_id": _source(of), "path": path, "uri": f"file:///{path}", "title": ""}
            for path, of in rows
        ],
        SNAPSHOT_SOURCES,
    )
    data = sources_bytes(table)
    ref = _write(folder, "snapshots/sources.arrow", data)
    origin = Origin("run", "2026-01-01T00:00:00+00:00", {})
    manifest = snapshot_manifest(origin, [TEXT, PIXELS], indexes, ref, {})
    return OpenSnapshot.open(manifest, lambda key: folder / key)


def retriever(folder: Path, items: Sequence[Item], **copies: str) -> Retriever:
    encoders = {TEXT.key: Words(TEXT), PIXELS.key: Words(PIXELS)}
    return Retriever(snapshot(folder, items, copies), encoders)


def _index(
    folder: Path, partition: str, space: SpaceContract, items: Sequence[Item], encoder: Words
) -> IndexManifest:
    ids = [hashlib.sha256(f"{i} {item}".encode()).hexdigest()[:32] for i, item in enumerate(items)]
    order = sorted(range(len(items)), key=ids.__getitem__)
    rows = pa.Table.from_pylist([_row(ids[i], items[i]) for i in order], SEGMENT_ROWS)
    vectors = encoder.encode([items[i].text for i in order])
    request = BuildRequest(partition, space.key, "flat", {}, DIM, rows)
    built = build_segment(request, vectors, NO_QUANTISER)
    ref: SegmentRef = built.value.ref
    for file, data in zip(ref.files, built.arrays, strict=True):
        _write(folder, file.key, data.tobytes())
    routing = routing_parts(vectors, vectors, encoder.encode_queries(BACKGROUND))
    _write(folder, routing.value.prototypes.key, routing.arrays[0].tobytes())
    return replace(
        index_of(partition, space.key, **routing.value.calibration),
        rows=len(items),
        segments=(ref,),
        prototypes=routing.value.prototypes,
    )


def _row(unit_id: str, item: Item) -> dict[str, object]:
    locator = {} if item.page is None else {"page": item.page}
    return {
        "unit_id": unit_id,
        "source_id": _source(item.path),
        "parent_id": "",
        "locator": canonical_json(locator),
        "text": item.text,
        "context": "",
        "language": "",
        "attributes": "{}",
        "acl": [],
    }


def _source(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:32]


def _write(folder: Path, key: str, data: bytes) -> FileRef:
    place = folder / key
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return FileRef(key, len(data), hashlib.sha256(data).hexdigest())
