"""One suite over every index family: what any of them promises of a search."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError, IntegrityError
from stages.index.families import family
from tests.contracts.index_family_cases import (
    DIM,
    LISTS,
    METRICS,
    NAMES,
    PARAMETERS,
    RESCORE,
    TRAINED,
    bitmap,
    clustered,
    everything,
    opened,
    recall,
    similarities,
)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    found = clustered(2000)
    found.setflags(write=False)
    return found


@pytest.fixture(scope="module")
def segments(vectors, tmp_path_factory):
    """Every family and metric over the same vectors, built on demand and once."""
    made = {}

    def segment(name, metric="inner_product"):
        key = (name, metric)
        if key not in made:
            made[key] = opened(name, vectors, tmp_path_factory.mktemp("s"), metric=metric)
        return made[key]

    return segment


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_vectors_are_found_after_a_round_trip_through_bytes(name, metric, vectors, segments):
    chosen, index, _ = segments(name, metric)
    queries = clustered(60, seed=5)

    scores, ids = chosen.search(index, queries, 10, everything(chosen, len(vectors)))

    assert chosen.size(index) == (len(vectors), DIM)
    assert (scores.dtype, ids.dtype) == (np.float32, np.int64)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (recall(chosen, index, queries, vectors, everything(chosen, 2000), metric)) >= 0.95
    if not chosen.rescores:
        own = np.take_along_axis(similarities(queries, vectors, metric), ids, axis=1)
        np.testing.assert_allclose(scores, own, atol=1e-2)


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_a_search_does_not_depend_on_threads_or_on_the_other_queries(name, metric, segments):
    chosen, index, _ = segments(name, metric)
    queries = clustered(12, seed=6)
    search = {"nprobe": 4, "ef_search": 40}
    before = faiss.omp_get_max_threads()
    found = []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            single = [chosen.search(index, queries[i : i + 1], 150, search) for i in range(12)]
            found.append(chosen.search(index, queries, 150, search))
            found.append(tuple(np.concatenate(part) for part in zip(*single, strict=True)))
    finally:
        faiss.omp_set_num_threads(before)

    for scores, ids in found[1:]:
        np.testing.assert_array_equal(ids, found[0][1])
        np.testing.assert_array_equal(scores, found[0][0])


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads the mappings Linux lists")
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_mapped_and_not_read(name, segments):
    _, index, path = segments(name)

    assert index.ntotal == 2000
    assert str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_stored_vectors_are_like_what_went_in(name, vectors, segments):
    chosen, index, _ = segments(name)

    stored = chosen.reconstruct(index, 500, 1000)

    assert (stored.dtype, stored.shape) == (np.float32, (1000, DIM))
    unit = stored / np.linalg.norm(stored, axis=1, keepdims=True)
    assert (unit * vectors[500:1500]).sum(axis=1).mean() > (0.75 if chosen.rescores else 0.999)
    np.testing.assert_allclose(chosen.reconstruct(index, 700, 33), stored[200:233], atol=1e-6)
    assert chosen.reconstruct(index, 7, 0).shape == (0, DIM)


@pytest.mark.parametrize("name", NAMES)
def test_more_asked_for_than_there_is(name, vectors, segments):
    chosen, index, _ = segments(name)

    scores, ids = chosen.search(index, clustered(3, seed=3), 2100, everything(chosen, 2000))

    assert [sorted(row) for row in ids[:, :2000].tolist()] == [list(range(2000))] * 3
    assert (ids[:, 2000:] == -1).all()
    assert (scores[:, 2000:] == -np.inf).all()
    assert np.isfinite(scores[:, :2000]).all()


@pytest.mark.parametrize("name", LISTS)
def test_few_lists_pad_with_minus_one_and_never_with_a_row(name, segments):
    chosen, index, _ = segments(name)

    scores, ids = chosen.search(index, clustered(5, seed=3), 1990, {"nprobe": 1})

    assert (ids[:, -1] == -1).all()
    assert ((scores == -np.inf) == (ids < 0)).all()
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in ids)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(NAMES),
    share=st.sampled_from([0.0, 0.001, 0.02, 0.3, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_only_what_is_selected_is_found(segments, name, share, seed):
    chosen, index, _ = segments(name)
    mask = np.random.default_rng(seed).random(2000) < share

    search = {"nprobe": 3, "ef_search": 20}
    scores, ids = chosen.search(index, clustered(2, seed=seed), 50, search, selected=bitmap(mask))

    assert mask[ids[ids >= 0]].all()
    assert ((scores == -np.inf) == (ids < 0)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.3, 1.0])
def test_with_every_effort_all_that_is_selected_is_found(segments, name, share):
    chosen, index, _ = segments(name)
    mask = np.random.default_rng(3).random(2000) < share
    search = everything(chosen, 2000)

    _, ids = chosen.search(index, clustered(2, seed=1), 2000, search, selected=bitmap(mask))

    assert [sorted(row[row >= 0].tolist()) for row in ids] == [np.flatnonzero(mask).tolist()] * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_selection_keeps_the_recall(name, vectors, segments):
    chosen, index, _ = segments(name)
    mask = np.arange(2000) % 10 == 3
    queries = clustered(40, seed=8)
    candidates = 10 * min(8, RESCORE[name])
    search = everything(chosen, 2000)

    _, ids = chosen.search(index, queries, candidates, search, selected=bitmap(mask))

    truth = np.where(mask, queries @ vectors.T, -2)
    nearest = np.argsort(-truth, axis=1)[:, :10]
    assert np.mean([np.isin(nearest[i], ids[i]).mean() for i in range(40)]) >= 0.95


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_a_probe_changes_nothing(name, metric, segments):
    chosen, index, _ = segments(name, metric)
    queries, selected = clustered(30, seed=9), bitmap(np.arange(2000) % 3 > 0)
    search = {"nprobe": 5, "ef_search": 30}

    probe = chosen.probe(index, queries, search)

    assert (probe is None) is (name not in LISTS)
    for chosen_ids in (None, selected):
        alone = chosen.search(index, queries, 20, search, selected=chosen_ids)
        shared = chosen.search(index, queries, 20, search, selected=chosen_ids, probe=probe)
        np.testing.assert_array_equal(alone[1], shared[1])
        np.testing.assert_array_equal(alone[0], shared[0])


@pytest.mark.parametrize("name", TRAINED)
def test_segments_of_one_quantiser_search_like_one(name, vectors, tmp_path):
    trained = family(name).train(vectors, "inner_product", PARAMETERS)
    queries = clustered(20, seed=4)
    whole, index, _ = opened(name, vectors, tmp_path, trained=trained)
    search = everything(whole, 2000)
    _, first, _ = opened(name, vectors[:900], tmp_path, trained=trained)
    _, second, _ = opened(name, vectors[900:], tmp_path, trained=trained)
    probe = whole.probe(first, queries, search)

    parts = [whole.search(part, queries, 50, search, probe=probe)[0] for part in (first, second)]

    merged = -np.sort(-np.concatenate(parts, axis=1), axis=1)[:, :50]
    np.testing.assert_allclose(merged, whole.search(index, queries, 50, search)[0], atol=0.02)
    assert family(name).train(vectors, "inner_product", PARAMETERS).tobytes() == trained.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_of_lists_add_up(name, segments):
    chosen, index, _ = segments(name)
    sizes = chosen.list_sizes(index)

    if name in LISTS:
        assert (sizes.dtype, sizes.shape, sizes.sum()) == (np.int64, (16,), 2000)
    else:
        assert sizes is None


@pytest.mark.parametrize("name", NAMES)
def test_more_effort_looks_at_more_bytes_and_finds_no_less(name, vectors, segments):
    chosen, index, _ = segments(name)
    queries = clustered(50, seed=7)
    knobs = chosen.knobs(2000, PARAMETERS)
    searches = [{k.name: max(1, k.largest // part) for k in knobs} for part in (16, 4, 1)]

    costs = [chosen.scanned_bytes(2000, DIM, PARAMETERS, search) for search in searches]
    recalls = [recall(chosen, index, queries, vectors, search) for search in searches]

    assert costs == sorted(costs)
    assert len(set(costs)) == (len(searches) if knobs and name != "hnsw" else len(set(costs)))
    assert recalls == sorted(recalls)
    assert costs[-1] >= 2000 * DIM / 8  # no family looks at less than a bit of a number


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["missing", "text", "cut", "other"])
def test_a_file_that_is_no_such_index_is_named(name, damage, segments, tmp_path):
    chosen, _, good = segments(name)
    path = tmp_path / "index.faiss"
    other = segments("ivf_flat" if name == "flat" else "flat")[2]
    content = {"text": b"not an index", "cut": good.read_bytes()[:300], "other": other.read_bytes()}
    if damage != "missing":
        path.write_bytes(content[damage])

    with pytest.raises(IntegrityError, match=rf"index\.faiss .*{name}"):
        chosen.open(path)


def test_no_family_opens_an_index_of_another(segments):
    for name in NAMES:
        for other in NAMES:
            if other != name:
                with pytest.raises(IntegrityError, match=f"index of {name}"):
                    family(name).open(segments(other)[2])


@pytest.mark.parametrize("name", LISTS)
def test_a_missing_parameter_or_knob_is_named(name, segments):
    chosen, index, _ = segments(name)
    with pytest.raises(ConfigError, match=f"{name} needs nlist"):
        chosen.train(clustered(100), "inner_product", {})
    with pytest.raises(ConfigError, match=f"{name} needs nprobe"):
        chosen.search(index, clustered(1), 5, {"ef_search": 10})
