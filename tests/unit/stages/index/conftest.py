import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.ids import canonical_json
from schemas.tables import SEGMENT_ROWS
from stages.index.build import BuildRequest, build_segment
from stages.index.segments import OpenSegment
from stages.index.shards import split, take_rows, training_rows
from stages.index.train import TrainRequest, train

DIM = 32


class Corpus:
    """Rows with vectors as the tables give them, in no order, and the way to segments on disk."""

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
        numbers = range(first, first + rows)
        return pa.table(
            {
                "unit_id": [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in numbers],
                "source_id": [f"source-{i % 7}" for i in numbers],
                "parent_id": [""] * rows,
                "locator": [canonical_json({"page": i + 1}) for i in numbers],
                "text": [f"passage {i}" for i in numbers],
                "context": ["Heading"] * rows,
                "language": ["en"] * rows,
                "attributes": [canonical_json({"title": f"t{i}"}) for i in numbers],
                "acl": [["public"]] * rows,
            },
            schema=SEGMENT_ROWS,
        )

    def request(self, rows: pa.Table, family: str = "flat", **parameters: int) -> BuildRequest:
        return BuildRequest(self.partition, self.space, family, parameters, DIM, rows)

    def trained(self, rows, vectors, family="flat", **parameters):
        sample = training_rows(rows.column("unit_id").to_pylist(), len(rows))
        request = TrainRequest(self.partition, self.space, family, parameters, DIM)
        return train(request, vectors[sample])

    def answers(self, rows, vectors, shards=1, family="flat", **parameters):
        trained = self.trained(rows, vectors, family, **parameters)
        for part in split(rows.column("unit_id").to_pylist(), shards):
            some, theirs = take_rows(rows, vectors, part)
            yield build_segment(self.request(some, family, **parameters), theirs, trained), theirs

    def opened(self, rows, vectors, shards=1, family="flat", **parameters):
        """(segments, vectors by segment, paths by segment) of what was written to disk."""
        segments, parts, paths = [], [], []
        for answer, theirs in self.answers(rows, vectors, shards, family, **parameters):
            paths.append(tuple(str(p) for p in self.write(answer))[:2])
            segments.append(OpenSegment.open(*map(Path, paths[-1])))
            parts.append(theirs)
        return segments, parts, tuple(paths)

    def write(self, answer) -> list[Path]:
        places = []
        for file, data in zip(answer.value.ref.files, answer.arrays, strict=True):
            place = self.folder / file.key
            place.parent.mkdir(parents=True, exist_ok=True)
            data.tofile(place)
            places.append(place)
        return places


@pytest.fixture
def corpus(tmp_path):
    return Corpus(tmp_path)
