import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.ids import canonical_json
from schemas.tables import SEGMENT_ROWS
from stages.index.build import BuildRequest, IndexKind, build_segment, with_digests
from stages.index.segments import OpenSegment, SegmentPaths
from stages.index.train import TrainRequest, train
from stages.index.truth import Queries, row_queries

DIM = 32
TABLE_ROWS = pa.schema([field for field in SEGMENT_ROWS if field.name != "vector_digest"])


def unit_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


class Corpus:
    """Rows with vectors, sorted by unit_id, and the way to segments on disk."""

    partition = "text/paragraph"
    space = "toy-0123456789ab"
    dim = DIM

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def vectors(self, rows: int, seed: int = 0, topics: int = 25) -> np.ndarray:
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((topics, DIM))
        vectors = centres[rng.integers(0, topics, rows)] + 0.5 * rng.standard_normal((rows, DIM))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def rows(self, rows: int, first: int = 0) -> pa.Table:
        """As the lake gives them."""
        numbers = sorted(range(first, first + rows), key=unit_id)
        return pa.table(
            {
                "unit_id": [unit_id(i) for i in numbers],
                "source_id": [f"source-{i % 7}" for i in numbers],
                "parent_id": [""] * rows,
                "locator": [canonical_json({"page": i + 1}) for i in numbers],
                "text": [f"passage {i}" for i in numbers],
                "context": ["Heading"] * rows,
                "language": ["en"] * rows,
                "attributes": [canonical_json({"title": f"t{i}"}) for i in numbers],
                "acl": [["public"]] * rows,
                "input_hash": [unit_id(-i) for i in numbers],
            },
            schema=TABLE_ROWS,
        )

    def kind(self, family: str = "flat", **parameters: int) -> IndexKind:
        return IndexKind(self.partition, self.space, family, parameters, DIM)

    def request(
        self, rows: pa.Table, vectors: np.ndarray, family: str = "flat", **parameters: int
    ) -> BuildRequest:
        return BuildRequest(self.kind(family, **parameters), with_digests(rows, vectors))

    def queries(self, rows: pa.Table, vectors: np.ndarray, count: int = 100) -> Queries:
        ids = rows["unit_id"].to_pylist()[:count]
        return row_queries(vectors[:count], ids, normalised=True)

    def trained(self, vectors, family="flat", **parameters):
        return train(TrainRequest(self.kind(family, **parameters)), vectors)

    def answers(self, rows, vectors, shards=1, family="flat", **parameters):
        """(answer, vectors) of each segment: every n-th row, so that all stay sorted."""
        trained = self.trained(vectors, family, **parameters)
        for i in range(shards):
            some, theirs = rows.take(list(range(i, len(rows), shards))), vectors[i::shards].copy()
            yield (
                build_segment(self.request(some, theirs, family, **parameters), theirs, trained),
                theirs,
            )

    def opened(self, rows, vectors, shards=1, family="flat", **parameters):
        """(segments, their refs, their vectors) of what was written to disk."""
        segments, refs, parts = [], [], []
        for answer, theirs in self.answers(rows, vectors, shards, family, **parameters):
            segments.append(OpenSegment.open(self.write(answer), family, parameters))
            refs.append(answer.value.ref)
            parts.append(theirs)
        return segments, refs, parts

    def write(self, answer) -> SegmentPaths:
        places = {}
        for file, data in zip(answer.value.ref.files, answer.arrays, strict=True):
            place = self.folder / file.key
            place.parent.mkdir(parents=True, exist_ok=True)
            data.tofile(place)
            places[place.name] = place
        return SegmentPaths(places["index.faiss"], places["rows.arrow"], places.get("full.npy"))


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)
