"""Invariant 6: with a query vector in hand, a snapshot opens with faiss, numpy and pyarrow alone."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.config import Indexing
from schemas.manifest import FileRef
from schemas.space import SpaceContract
from schemas.tables import SEGMENT_ROWS, SNAPSHOT_SOURCES
from stages.index.build import BuildRequest, build_segment, segment_files
from stages.index.gate import require
from stages.index.manifests import (
    Origin,
    index_manifest,
    snapshot_manifest,
    sources_bytes,
)
from stages.index.plan import plan
from stages.index.routing import RoutingParts
from stages.index.shards import split, take_rows, training_rows
from stages.index.train import TrainRequest, train
from stages.index.validate import ValidateRequest, validate

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = Indexing(flat_rows=500, sq8_rows=2000, segment_rows=1000)
SIZES = {"text/document": 300, "image/image": 1500, "text/paragraph": 4000}  # one of each family
SPACE = SpaceContract(
    name="toy",
    encoder="toy",
    model="toy",
    revision="1",
    weights_digest="",
    dim=64,
    dtype="float32",
    input="text",
    pooling="mean",
)

# Runs in a process of its own, where nothing else can be imported (faiss itself depends on packaging).
_GUARD = """
import sys, sysconfig
from importlib.abc import MetaPathFinder

ALLOWED = {"faiss", "packaging", "numpy", "pyarrow", "schemas", "stages"} | set(sys.stdlib_module_names)

class Guard(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        ours = top != "stages" or name == "stages" or name.startswith("stages.index")
        platform = top.startswith("_sysconfigdata")  # standard library, under a name per platform
        if not (top in ALLOWED or platform) or name == "schemas.config" or not ours:
            raise ModuleNotFoundError(f"{name} is not to be needed by a serving process", name=name)
        return None

sys.meta_path.insert(0, Guard())
"""
_FACADE = """
import json
from pathlib import Path
import numpy as np
from schemas.manifest import Manifest
from schemas.partition import Partition
from stages.index.snapshot import OpenSnapshot

lake, snapshot_id = Path(sys.argv[1]), sys.argv[2]
text = (lake / "snapshots" / snapshot_id / "manifest.json").read_text("utf-8")
snapshot = OpenSnapshot.open(Manifest.from_json(text), lambda key: lake / key, verify=True)
answers = {}
for partition, space in snapshot.indexes:
    query = np.load(lake / f"{partition.modality}-{partition.granularity}.npy")
    (found,) = snapshot.search(partition, space, query[None], 5)
    answers[str(partition)] = [
        (hit.similarity, hit.unit_id, snapshot.paths(hit.source_id).path, hit.locator, hit.text) for hit in found
    ]
print(json.dumps({"answers": answers, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""
_BY_HAND = """
import json, sys
lake, snapshot_id = Path(sys.argv[1]), sys.argv[2]
answers = {}
for file in sorted(lake.glob("*.npy")):
    partition = file.stem.replace("-", "/")
    answers[partition] = search(lake, snapshot_id, partition, np.load(file), 5)
print(json.dumps({"answers": answers, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""


def vectors_of(rows: int) -> np.ndarray:
    rng = np.random.default_rng(rows)
    centres = rng.standard_normal((40, SPACE.dim))
    spread = rng.standard_normal((12, SPACE.dim)) / 4
    vectors = centres[rng.integers(0, 40, rows)] + rng.standard_normal((rows, 12)) @ spread
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def rows_of(partition: str, rows: int) -> pa.Table:
    ids = [hashlib.sha256(f"{partition}{i}".encode()).hexdigest()[:32] for i in range(rows)]
    columns = {name: [""] * rows for name in SEGMENT_ROWS.names}
    columns |= {
        "unit_id": ids,
        "source_id": [f"source-{i % 3}" for i in range(rows)],
        "locator": [json.dumps({"page": i + 1}) for i in range(rows)],
        "text": [f"{partition} {i}" for i in range(rows)],
        "attributes": ["{}"] * rows,
        "acl": [[]] * rows,
    }
    return pa.table(columns, schema=SEGMENT_ROWS)


def build_index(lake: Path, partition: str, rows: int):
    table, vectors = rows_of(partition, rows), vectors_of(rows)
    ids = table.column("unit_id").to_pylist()
    chosen = plan(rows, SPACE.dim, CONFIG)
    head = (partition, SPACE.key, chosen.family, chosen.parameters)
    sample = vectors[training_rows(ids, chosen.train_rows)]
    trained = train(TrainRequest(*head, SPACE.dim), sample)
    refs, files, parts = [], [], []
    for part in split(ids, chosen.shards):
        some, theirs = take_rows(table, vectors, part)
        answer = build_segment(BuildRequest(*head, SPACE.dim, some), theirs, trained)
        for file, data in segment_files(answer.value, answer.arrays):
            (lake / file.key).parent.mkdir(parents=True, exist_ok=True)
            data.tofile(lake / file.key)
        refs.append(answer.value.ref)
        files.append(tuple(str(lake / f.key) for f in answer.value.ref.files[:2]))
        parts.append(theirs)
    validation = validate(ValidateRequest(*head, tuple(files), rows, CONFIG), parts)
    require(partition, SPACE.key, validation.checks)
    np.save(lake / f"{partition.replace('/', '-')}.npy", vectors[7])
    return index_manifest((partition, SPACE.key), chosen, refs, validation, RoutingParts({}))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    lake = tmp_path_factory.mktemp("lake")
    names = [f"source-{i}" for i in range(3)]
    columns = [names, [f"{n}.pdf" for n in names], [f"file:///{n}.pdf" for n in names], [""] * 3]
    data = sources_bytes(pa.table(columns, schema=SNAPSHOT_SOURCES))
    indexes = [build_index(lake, partition, rows) for partition, rows in SIZES.items()]
    sources = FileRef("snapshots/sources.arrow", len(data), hashlib.sha256(data).hexdigest())
    manifest = snapshot_manifest(
        Origin("run", "2026-01-01T00:00:00+00:00", {}), [SPACE], indexes, sources, {}
    )
    folder = lake / "snapshots" / manifest.snapshot_id
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    (lake / sources.key).write_bytes(data)
    return lake, manifest


def run_alone(code: str, published) -> dict:
    lake, manifest = published
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, str(lake), manifest.snapshot_id]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=lake)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def documented_example() -> str:
    text = (REPOSITORY / "docs" / "snapshot-format.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- tested: .*? -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found, "the example is gone from docs/snapshot-format.md"
    return found[1]


def test_one_index_of_every_family_was_built(published):
    assert {i.family for i in published[1].indexes} == {"flat", "ivf_flat", "ivf_sq8"}
    assert max(len(i.segments) for i in published[1].indexes) == 4


def test_the_guard_really_blocks(published):
    lake, _ = published
    for name in ("pydantic", "torch", "ray", "deltalake", "schemas.config", "stages.route"):
        code = _GUARD + f"\nimport {name}"
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            cwd=lake,
        )
        assert "is not to be needed by a serving process" in done.stderr, name


def test_our_reader_needs_faiss_numpy_and_pyarrow_only(published):
    printed = run_alone(_GUARD + _FACADE, published)

    for partition in SIZES:
        best = printed["answers"][partition][0]
        assert best[0] == pytest.approx(1, abs=0.01)
        assert best[2:] == ["source-1.pdf", {"page": 8}, f"{partition} 7"]


def test_the_documented_example_needs_no_gristmill_and_finds_the_same(published):
    ours = run_alone(_GUARD + _FACADE, published)
    by_hand = run_alone(documented_example() + _BY_HAND, published)

    assert by_hand["answers"] == ours["answers"]
    assert not {"schemas", "stages", "ray", "torch", "pydantic"} & set(by_hand["modules"])
