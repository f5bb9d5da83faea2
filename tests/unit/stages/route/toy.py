"""A snapshot of a few units whose vectors are bags of words, so that a test can say what is near what."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from schemas.ids import canonical_json
from schemas.manifest import FileRef, IndexManifest
from schemas.space import SpaceContract
from stages.index.snapshot import OpenSnapshot
from stages.route.background import BACKGROUND
from stages.route.search import Retriever
from tests import indexes

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
    nothing = FileRef("", 0, "")
    numbers = (1, 1.0, 0.1, 0.2, (), (), dict(calibration))
    return IndexManifest(partition, space, "flat", {}, {}, *numbers, nothing, nothing)


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
    acl: tuple[str, ...] = ()
    phash: str = ""
    derived: bool = False  # from the item before it


def snapshot(folder: Path, items: Sequence[Item], copies: dict[str, str]) -> OpenSnapshot:
    """Publish the items in both spaces where they belong; `copies` maps further paths to paths of items."""
    indices = []
    for partition in sorted({item.partition for item in items}):
        own = [item for item in items if item.partition == partition]
        space, encoder = (
            (PIXELS, Words(PIXELS, damping=1.5))
            if partition == "image/image"
            else (TEXT, Words(TEXT))
        )
        indices.append(_index(folder, partition, space, own, encoder))
    paths = {item.path for item in items}
    rows = [*((path, path) for path in paths), *copies.items()]
    places = [
        {"source_id": _source(of), "path": path, "uri": f"file:///{path}", "title": ""}
        for path, of in rows
    ]
    manifest = indexes.snapshot_of(folder, [TEXT, PIXELS], indices, places)
    return OpenSnapshot.open(manifest, lambda key: folder / key)


def retriever(folder: Path, items: Sequence[Item], **copies: str) -> Retriever:
    encoders = {TEXT.key: Words(TEXT), PIXELS.key: Words(PIXELS)}
    return Retriever(snapshot(folder, items, copies), encoders)


def _index(
    folder: Path, partition: str, space: SpaceContract, items: Sequence[Item], encoder: Words
) -> IndexManifest:
    rows, order = indexes.rows_table(
        [f"{i} {item}" for i, item in enumerate(items)],
        source_id=[_source(item.path) for item in items],
        locator=[canonical_json({} if i.page is None else {"page": i.page}) for i in items],
        text=[item.text for item in items],
        acl=[list(item.acl) for item in items],
        attributes=[canonical_json(_attributes(item)) for item in items],
        parent_id=[
            indexes.unit_id(f"{i - 1} {items[i - 1]}") if item.derived else ""
            for i, item in enumerate(items)
        ],
    )
    vectors = encoder.encode([items[i].text for i in order])
    built = indexes.build(
        folder,
        indexes.kind_of(space, partition),
        rows,
        vectors,
        questions=encoder.encode_queries(BACKGROUND),
    )
    return indexes.entry_of(folder, built)


def _attributes(item: Item) -> dict[str, str]:
    said = {"derived": "description", "generator": "toy"} if item.derived else {}
    return said | ({"phash": item.phash} if item.phash else {})


def _source(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()[:32]
