"""Segments on disk made of a family's own bytes, without the builder, and brute force to hold them against."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from schemas.ids import canonical_json
from schemas.tables import SEGMENT_ROWS
from stages.index.families.registry import family
from stages.index.full import full_bytes
from stages.index.segments import OpenSegment, SegmentPaths
from stages.index.tombstones import tombstone_bytes

if TYPE_CHECKING:
    from pathlib import Path

TRAIN_ROWS = 50_000


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(rows: int, dim: int, seed: int = 0, topics: int = 20, spread: float = 0.5):
    """(vectors float32 [rows, dim] of length 1, topic of each)."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((topics, dim))
    topic = rng.integers(0, topics, rows)
    return unit(centres[topic] + spread * rng.standard_normal((rows, dim))), topic


def unit_ids(rows: int, first: int = 0) -> list[str]:
    return [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(first, first + rows)]


def rows_of(ids, **columns) -> pa.Table:
    count = len(ids)
    table = {name: [""] * count for name in SEGMENT_ROWS.names}
    table |= {
        "unit_id": ids,
        "source_id": [f"source-{i % 7}" for i in range(count)],
        "locator": [canonical_json({"page": i + 1}) for i in range(count)],
        "text": [f"passage {i}" for i in range(count)],
        "attributes": ["{}"] * count,
        "acl": [[]] * count,
        "vector_digest": list(range(count)),
    }
    return pa.table(table | columns, schema=SEGMENT_ROWS)


@dataclass(frozen=True)
class Kind:
    """How an index is built and searched.

    Attributes:
        family: Registry name.
        parameters: Build parameters.
        search: Search parameters.
        bits: Of a value in full.npy; None for none.
        dims: Leading dims that are indexed; None for all.
        metric: What is near.
    """

    family: str
    parameters: dict[str, int] = field(default_factory=dict)
    search: dict[str, int] = field(default_factory=dict)
    bits: int | None = None
    dims: int | None = None
    metric: str = "inner_product"


@dataclass
class Made:
    """Segments of one index with what is in them.

    Attributes:
        segments: Opened.
        paths: Of their files.
        vectors: float32 [rows, dim] of each.
        deleted: bool [rows] of each.
    """

    segments: list[OpenSegment]
    paths: list[SegmentPaths]
    vectors: list[np.ndarray]
    deleted: list[np.ndarray]

    def best(self, query, k, allowed=None, metric="inner_product"):
        """Brute force: [(similarity, unit_id)], best first, equal ones by unit_id."""
        found = []
        for i, segment in enumerate(self.segments):
            may = (
                ~self.deleted[i]
                if allowed is None or allowed[i] is None
                else allowed[i] & ~self.deleted[i]
            )
            rows = np.flatnonzero(may)
            near = similarity(self.vectors[i][rows], query, metric)
            ids = segment.unit_ids(rows)
            found += list(zip((-near).tolist(), ids.tolist(), strict=True))
        return [(-near, name) for near, name in sorted(found)[:k]]


def similarity(vectors, query, metric="inner_product"):
    if metric == "l2":
        return -((vectors.astype(np.float64) - query) ** 2).sum(axis=1)
    return vectors.astype(np.float64) @ query.astype(np.float64)


def make(folder: Path, parts, kind: Kind, deleted=None, tables=None) -> Made:
    """Write and open the segments of vectors `parts`, with `tables` of rows or some made up."""
    chosen = family(kind.family)
    indexed = [unit(p[:, : kind.dims]) if kind.dims else p for p in parts]
    trained = chosen.train(np.concatenate(indexed)[:TRAIN_ROWS], kind.metric, kind.parameters)
    made = Made([], [], [], [])
    first = 0
    for i, vectors in enumerate(parts):
        place = folder / f"{kind.family}-{i}"
        gone = np.zeros(len(vectors), bool) if deleted is None else deleted[i]
        data = {
            "index": chosen.build(indexed[i], trained, kind.metric, kind.parameters),
            "rows": rows_bytes(
                tables[i] if tables else rows_of(sorted(unit_ids(len(vectors), first)))
            ),
            "full": full_bytes(vectors, kind.bits) if kind.bits else None,
            "deleted": tombstone_bytes(gone) if gone.any() else None,
        }
        paths = SegmentPaths(
            **{name: written(place / name, d) for name, d in data.items() if d is not None}
        )
        made.segments.append(OpenSegment.open(paths, kind.family, kind.parameters))
        made.paths.append(paths)
        made.vectors.append(vectors)
        made.deleted.append(gone)
        first += len(vectors)
    return made


def rows_bytes(rows: pa.Table) -> np.ndarray:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, SEGMENT_ROWS) as out:
        out.write_table(rows)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def written(path: Path, data: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.tofile(path)
    return path


def answers(made: Made, found):
    """[[(similarity, unit_id)]] by query."""
    return [
        [
            (near, made.segments[s].row(r)["unit_id"])
            for near, s, r in zip(*columns, strict=True)
            if r >= 0
        ]
        for columns in zip(
            found.similarity.tolist(), found.segment.tolist(), found.row.tolist(), strict=True
        )
    ]
