"""Invariant 6: with a query vector in hand, a snapshot opens with faiss, numpy and pyarrow alone."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.blobs import open_blobs
from schemas.blobs import BlobStore
from schemas.manifest import IndexManifest
from schemas.space import SpaceContract
from schemas.space_map import SpaceMap
from schemas.tables import SEGMENT_ROWS
from stages.index.build import BuildRequest, IndexKind, build_segment, segment_files
from stages.index.dims import indexed
from stages.index.families.registry import FAMILIES, family
from stages.index.maps import AffineMap
from tests.tiny_snapshots import index_of, put, put_file, put_snapshot, with_deleted

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
DIM, K = 64, 5
ASKED = 7  # the row whose vector is the query
SPACE = SpaceContract(
    name="toy",
    encoder="toy",
    model="toy",
    revision="1",
    weights_digest="",
    dim=DIM,
    dtype="float32",
    input="text",
    pooling="mean",
)
NEW = replace(SPACE, name="new", dim=DIM + 8)  # its queries reach an index in SPACE by a map
EUCLIDEAN = replace(SPACE, name="euclidean", normalised=False, metric="l2")


@dataclass(frozen=True)
class Case:
    """One index of two segments, some of whose rows are deleted."""

    family: str
    parameters: dict[str, int] = field(default_factory=dict)
    search: dict[str, int] = field(default_factory=dict)
    space: SpaceContract = SPACE
    rows: tuple[int, ...] = (900, 300)
    deleted_share: float = 0.1
    mapped: bool = False


LISTS = {"nlist": 8}
ALL_LISTS = {"nprobe": 8}
AGAIN = {"rescore": 8}
CASES = {
    "flat": Case("flat"),
    "flat_fp16": Case("flat_fp16"),
    "flat_sq8": Case("flat_sq8"),
    "hnsw_flat": Case("hnsw_flat", {"m": 16}, {"ef_search": 200}),
    "hnsw_sq8": Case("hnsw_sq8", {"m": 16}, {"ef_search": 200}),
    "ivf_flat": Case("ivf_flat", LISTS, ALL_LISTS),
    "ivf_fp16": Case("ivf_fp16", LISTS, ALL_LISTS),
    "ivf_sq8": Case("ivf_sq8", LISTS, ALL_LISTS),
    "ivf_pq": Case("ivf_pq", LISTS | {"m": 32}, ALL_LISTS | AGAIN),
    "ivf_opq_pq": Case("ivf_opq_pq", LISTS | {"m": 32, "rescore_bits": 32}, ALL_LISTS | AGAIN),
    "ivf_rabitq": Case("ivf_rabitq", LISTS, ALL_LISTS | AGAIN),
    "binary": Case("binary", {"rescore_bits": 8}, AGAIN),
    "leading dims": Case("ivf_sq8", LISTS | {"dims": 32, "rescore_bits": 8}, ALL_LISTS | AGAIN),
    "euclidean": Case("ivf_flat", LISTS, ALL_LISTS, EUCLIDEAN),
    "euclidean again": Case("flat_sq8", {"dims": DIM}, {}, EUCLIDEAN),
    "mapped": Case("ivf_flat", LISTS, ALL_LISTS, mapped=True),
    "nothing deleted": Case("flat", deleted_share=0),
    "bits of tombstones": Case("flat_fp16", rows=(100, 70_000), deleted_share=0.4),
}

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
from stages.index.snapshot import OpenSnapshot

lake = Path(sys.argv[1])
answers = {}
for name, snapshot_id in json.loads(sys.argv[2]).items():
    text = (lake / "snapshots" / snapshot_id / "manifest.json").read_text("utf-8")
    snapshot = OpenSnapshot.open(Manifest.from_json(text), lambda key: lake / key, verify=True)
    ((partition, _),) = snapshot.indexes
    space = snapshot.manifest.query_spaces[0].key
    (found,) = snapshot.search(partition, space, np.load(lake / f"{name}.npy")[None], 5)
    answers[name] = [
        (hit.similarity, hit.unit_id, snapshot.paths(hit.source_id).path, hit.locator, hit.text) for hit in found
    ]
print(json.dumps({"answers": answers, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""
_BY_HAND = """
import sys
lake = Path(sys.argv[1])
answers = {
    name: search(lake, snapshot_id, "text/paragraph", np.load(lake / f"{name}.npy"), 5)
    for name, snapshot_id in json.loads(sys.argv[2]).items()
}
print(json.dumps({"answers": answers, "modules": sorted({m.partition(".")[0] for m in sys.modules})}))
"""


def vectors_of(rows: int, space: SpaceContract) -> np.ndarray:
    rng = np.random.default_rng(rows)
    centres = rng.standard_normal((40, DIM))
    spread = rng.standard_normal((12, DIM)) / 4
    vectors = centres[rng.integers(0, 40, rows)] + rng.standard_normal((rows, 12)) @ spread
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths if space.normalised else vectors).astype(np.float32)


def rows_of(first: int, count: int) -> pa.Table:
    """Row i is ``row i``; the ids are in order, as those of a segment are."""
    numbers = range(first, first + count)
    columns = {name: [""] * count for name in SEGMENT_ROWS.names}
    columns |= {
        "unit_id": [f"{i:032x}" for i in numbers],
        "source_id": [f"source-{i % 3}" for i in numbers],
        "locator": [json.dumps({"page": i + 1}) for i in numbers],
        "text": [f"row {i}" for i in numbers],
        "attributes": ["{}"] * count,
        "acl": [[]] * count,
        "vector_digest": list(numbers),
    }
    return pa.table(columns, schema=SEGMENT_ROWS)


def deleted_rows(case: Case, count: int) -> list[int]:
    """Seeded; never the row that is asked for."""
    chosen = np.random.default_rng(1).permutation(count)[: int(case.deleted_share * count)]
    return sorted(set(chosen.tolist()) - {ASKED})


def turned(query: np.ndarray) -> tuple[AffineMap, np.ndarray]:
    """A query as the new space has it, shifted and turned into more dims, and the map that takes it back."""
    rng = np.random.default_rng(2)
    rotation, _ = np.linalg.qr(rng.standard_normal((NEW.dim, DIM)))
    shift = rng.standard_normal(NEW.dim) / 10
    back = AffineMap(rotation.astype(np.float32), (-shift @ rotation).astype(np.float32))
    return back, (3 * query @ rotation.T + shift).astype(np.float32)


def put_index(blobs: BlobStore, case: Case, vectors: np.ndarray) -> IndexManifest:
    parameters = case.parameters
    kind = IndexKind(
        "text/paragraph",
        case.space.key,
        case.family,
        parameters,
        DIM,
        case.space.metric,
        case.space.normalised,
    )
    chosen = family(case.family)
    trained = chosen.train(indexed(vectors, kind.dims), case.space.metric, parameters)
    segments, first = [], 0
    for count in case.rows:
        request = BuildRequest(kind, rows_of(first, count))
        built = build_segment(request, vectors[first : first + count], trained)
        for file, data in segment_files(built.value.ref, built.arrays):
            put(blobs, file.key, data.tobytes())
        gone = deleted_rows(case, count)
        segments.append(with_deleted(blobs, built.value.ref, gone) if gone else built.value.ref)
        first += count
    return index_of(
        "text/paragraph",
        segments,
        space=case.space.key,
        family=case.family,
        parameters=parameters,
        search=case.search,
        metric=case.space.metric,
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A lake, and the id of a snapshot for each case."""
    lake = tmp_path_factory.mktemp("lake")
    blobs = open_blobs(str(lake))
    places = {f"file:///source-{i}.pdf": f"source-{i}" for i in range(3)}
    ids = {}
    for name, case in CASES.items():
        vectors = vectors_of(sum(case.rows), case.space)
        index = put_index(blobs, case, vectors)
        query, spaces, maps = vectors[ASKED], (case.space,), ()
        if case.mapped:
            back, query = turned(query)
            stored = put_file(blobs, back.to_bytes(), "npy")
            maps = (SpaceMap(NEW.key, SPACE.key, stored, True, "procrustes", 9, ()),)
            spaces = (NEW, case.space)
        manifest = put_snapshot(blobs, [index], places=places, spaces=spaces, maps=maps)
        ids[name] = manifest.snapshot_id
        np.save(lake / f"{name}.npy", query)
    return lake, ids


def run_alone(code: str, published) -> dict:
    lake, ids = published
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, str(lake), json.dumps(ids)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=lake)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def documented_example() -> str:
    text = (REPOSITORY / "docs" / "snapshot-format.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- tested: .*? -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found, "the example is gone from docs/snapshot-format.md"
    return found[1]


def live_order(case: Case) -> list[str]:
    """Unit ids that count, nearest first, by brute force."""
    vectors = vectors_of(sum(case.rows), case.space)
    query = vectors[ASKED]
    exact = vectors @ query if case.space.normalised else -np.square(vectors - query).sum(axis=1)
    first = np.cumsum([0, *case.rows])
    gone = {f + i for f, n in zip(first, case.rows, strict=False) for i in deleted_rows(case, n)}
    return [f"{i:032x}" for i in np.argsort(-exact, kind="stable").tolist() if i not in gone]


def test_there_is_a_case_of_every_family(published):
    assert {case.family for case in CASES.values()} == FAMILIES.keys()
    assert len(set(published[1].values())) == len(CASES)


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


@pytest.fixture(scope="module")
def ours(published) -> dict:
    return run_alone(_GUARD + _FACADE, published)


@pytest.fixture(scope="module")
def by_hand(published) -> dict:
    return run_alone(documented_example() + _BY_HAND, published)


@pytest.mark.parametrize("name", CASES)
def test_our_reader_needs_faiss_numpy_and_pyarrow_only(ours, name):
    best = ours["answers"][name][0]
    assert best[0] == pytest.approx(1 if CASES[name].space.normalised else 0, abs=0.02)
    assert best[2:] == [f"source-{ASKED % 3}.pdf", {"page": ASKED + 1}, f"row {ASKED}"]


@pytest.mark.parametrize("name", CASES)
def test_the_documented_example_needs_no_gristmill_and_finds_the_same(ours, by_hand, name):
    mine, theirs = ours["answers"][name], by_hand["answers"][name]
    assert [hit[1:] for hit in theirs] == [hit[1:] for hit in mine]
    assert [hit[0] for hit in theirs] == pytest.approx([hit[0] for hit in mine], abs=1e-5)
    assert not {"schemas", "stages", "ray", "torch", "pydantic"} & set(by_hand["modules"])


@pytest.mark.parametrize("name", CASES)
def test_what_both_find_are_the_nearest_rows_that_count(by_hand, name):
    exact = live_order(CASES[name])
    found = [hit[1] for hit in by_hand["answers"][name]]
    assert len(found) == K
    assert set(found) <= set(exact)
    assert len(set(found) & set(exact[:K])) >= K - 1  # a codec may swap the last
