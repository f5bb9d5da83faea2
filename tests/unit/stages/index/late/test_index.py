"""Segments of late interaction: built, opened, searched, filtered, validated."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.config import Indexing
from schemas.errors import ConfigError, GateError, IntegrityError, VectorError
from schemas.filters import Filter
from schemas.manifest import Manifest
from schemas.partition import TEXT_PARAGRAPH
from stages.index.gate import require
from stages.index.late.asked import DEPTHS, depths
from stages.index.late.plan import late_plan, late_queries, late_shards
from stages.index.late.pooling import reduced
from stages.index.late.search import packed, unpacked
from stages.index.snapshot import OpenSnapshot
from stages.index.verify import verify
from tests.indexes import snapshot_of
from tests.late_corpus import DIM, SPACE, build, made_units, naive_maxsim, unit_length

COUNT = 400
UNITS = made_units(COUNT)
CONFIG = Indexing()
CONFIGS = {
    "int8": CONFIG,
    "product codes": Indexing(late_codec="pq"),
    "pooled": Indexing(late_pool=2),
    "prefix": Indexing(late_prefix=4),
    "partitions": Indexing(late_bits=2, late_repetitions=4),
    "lists": Indexing(family="ivf_sq8"),
}
COLUMNS = {"language": ["de" if i % 5 == 0 else "en" for i in range(COUNT)]}
GONE = tuple(range(0, COUNT, 7))


def queries(count: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(9)
    chosen = [UNITS[i].vectors[: 1 + i % 6] for i in range(count)]
    return [unit_length(q + 0.05 * rng.standard_normal(q.shape)) for q in chosen]


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, tmp_path_factory):
    """(folder, config, index, opened snapshot)."""
    folder = tmp_path_factory.mktemp("late")
    config = CONFIGS[request.param].model_copy(update={"recall_at_10": 0.7})
    index = build(folder, config, UNITS, shards=3, deleted=GONE, columns=COLUMNS)
    manifest = snapshot_of(folder, [SPACE], [index.entry(folder, config)], [])
    again = Manifest.from_json(manifest.to_json())
    return folder, config, index, OpenSnapshot.open(again, lambda key: folder / key, verify=True)


def found_ids(snapshot, asked, k=10, where=None) -> list[list[str]]:
    found = snapshot.search(TEXT_PARAGRAPH, SPACE.key, asked, k, where=where)
    return [[hit.unit_id for hit in hits] for hits in found]


def exact(index, query: np.ndarray, passes: np.ndarray) -> list[tuple[float, str]]:
    """By loops over what the index keeps, before it is quantised."""
    ids = index.rows["unit_id"].to_pylist()
    pool, prefix = index.kind.parameters.get("pool", 1), index.kind.parameters.get("prefix", 0)
    scored = [
        (naive_maxsim(query, reduced(unit, pool=pool, prefix=prefix).vectors), unit_id)
        for unit, unit_id, good in zip(index.units, ids, passes.tolist(), strict=True)
        if good
    ]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1]))


def test_what_is_found_is_near_and_alive(case):
    _, _, index, snapshot = case
    hits = 0
    for query, found in zip(queries(), found_ids(snapshot, queries()), strict=True):
        best = exact(index, query, index.live)
        assert {unit for _, unit in best} >= set(found)
        hits += len(set(found) & {unit for _, unit in best[:10]})
    assert hits >= 0.65 * 200


def test_similarities_are_those_of_the_vectors(case):
    _, _, index, snapshot = case
    query = queries()[4]
    by_id = {unit: score for score, unit in exact(index, query, index.live)}
    coarse = 0.1 if index.kind.parameters.get("token_parts") else 0.02
    found = snapshot.search(TEXT_PARAGRAPH, SPACE.key, [query], 10)[0]
    for hit in found:
        assert hit.similarity == pytest.approx(by_id[hit.unit_id], abs=coarse)
    assert [hit.similarity for hit in found] == sorted((h.similarity for h in found), reverse=True)


def test_a_filter_costs_no_hit(case):
    _, _, index, snapshot = case
    where = Filter.parse(["language = de"])
    german = np.array([language == "de" for language in index.rows["language"].to_pylist()])
    passes = german & index.live
    for query in queries(6):
        found = found_ids(snapshot, [query], COUNT, where)[0]
        assert set(found) == {unit for _, unit in exact(index, query, passes)}
        top = found_ids(snapshot, [query], 10, where)[0]
        right = {unit for _, unit in exact(index, query, passes)[:10]}
        assert len(set(top) & right) >= 6


def test_all_of_them_are_found_when_asked_for_all(case):
    _, _, index, snapshot = case
    found = found_ids(snapshot, queries(2), COUNT)
    alive = set(index.rows["unit_id"].filter(index.live).to_pylist())
    assert [set(ids) for ids in found] == [alive, alive]


def test_company_changes_no_answer(case):
    _, _, _, snapshot = case
    together = snapshot.search(TEXT_PARAGRAPH, SPACE.key, queries(8), 10)
    alone = [snapshot.search(TEXT_PARAGRAPH, SPACE.key, [q], 10)[0] for q in queries(8)]
    assert together == alone


def test_it_verifies_and_a_changed_byte_is_named(case):
    folder, _, _, snapshot = case
    (verified,) = verify(snapshot.manifest, lambda key: folder / key)
    assert verified.rows == COUNT - len(GONE)
    assert all(check.passed for check in verified.checks)
    segment = snapshot.manifest.indexes[0].segments[0]
    tokens = folder / next(f.key for f in segment.files if f.key.endswith("tokens.npy"))
    data = tokens.read_bytes()
    tokens.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=r"tokens\.npy"):
        verify(snapshot.manifest, lambda key: folder / key)
    tokens.write_bytes(data)


def test_equal_input_gives_equal_bytes(case, tmp_path):
    _, config, index, _ = case
    again = build(tmp_path, config, UNITS, shards=3, deleted=GONE, columns=COLUMNS)
    refs = [part.ref for part in index.parts]
    assert [part.ref for part in again.parts] == refs
    assert again.codebook.tobytes() == index.codebook.tobytes()


def test_the_curve_has_what_other_depths_give(case):
    folder, config, index, _ = case
    entry = index.entry(folder, config)
    assert entry.search["rescore"] in DEPTHS
    assert {point.search["rescore"] for point in entry.curve} <= set(DEPTHS)
    assert entry.recall_at_10 >= config.recall_at_10


def test_the_gate_names_recall_that_cannot_be_reached(tmp_path):
    index = build(tmp_path, Indexing(late_codec="pq"), UNITS)
    checks = index.validation(Indexing(recall_at_10=1.0, late_codec="pq")).checks
    with pytest.raises(GateError, match="recall_at_10 is 0"):
        require(index.kind.place, checks)


def test_the_gate_sees_rows_that_stand_for_other_units(tmp_path):
    index = build(tmp_path, CONFIG, UNITS)
    turned = tuple(
        original._replace(vectors=np.ascontiguousarray(original.vectors[::-1]))
        for original in index.originals
    )
    checks = replace(index, originals=turned).validation(CONFIG).checks
    failed = {check.name for check in checks if not check.passed}
    assert failed == {"stored_cosine"}


def test_queries_that_are_none_are_refused(case):
    _, _, _, snapshot = case
    for bad in (np.zeros((0, DIM), np.float32), np.zeros((2, 3), np.float32), np.zeros(DIM)):
        with pytest.raises(VectorError, match="a query is"):
            snapshot.search(TEXT_PARAGRAPH, SPACE.key, [bad], 3)
    with pytest.raises(VectorError, match="NaN"):
        snapshot.search(TEXT_PARAGRAPH, SPACE.key, [np.full((1, DIM), np.nan, np.float32)], 3)


def test_queries_survive_being_packed():
    for query, again in zip(queries(), unpacked(packed(queries()), DIM), strict=True):
        np.testing.assert_array_equal(query, again)


def test_a_prefix_that_the_space_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"late_prefix = 3.* are 2, 4"):
        late_plan(SPACE, 10, Indexing(late_prefix=3))
    with pytest.raises(ConfigError, match="length 1"):
        late_plan(replace(SPACE, normalised=False), 10, CONFIG)


def test_more_vectors_make_more_segments_and_fewer_queries():
    small = Indexing(build_memory_bytes=64 << 20)
    assert late_shards(1000, 20_000, 128, CONFIG) == 1
    assert late_shards(100_000, 12_000_000, 128, small) > late_shards(1000, 120_000, 128, small)
    assert late_queries(1000, 128, 8, CONFIG) == CONFIG.recall_queries
    assert late_queries(10**9, 128, 8, CONFIG) == 20


def test_depths_end_where_all_units_are_compared():
    assert depths(5) == (1,)
    assert depths(35) == (1, 2, 3, 4)
    assert depths(10**9) == DEPTHS
