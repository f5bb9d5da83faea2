"""One suite over every index family: what any of them promises of training and building, and what it refuses."""

import faiss
import numpy as np
import pytest

from schemas.errors import ConfigError, VectorError
from stages.index.families import FAMILIES, NO_QUANTISER, family, to_gpu
from tests.contracts.index_family_cases import (
    DIM,
    LISTS,
    METRICS,
    NAMES,
    PARAMETERS,
    TRAINED,
    bitmap,
    clustered,
    everything,
    opened,
    recall,
)


@pytest.mark.parametrize(("name", "metric"), METRICS)
def test_equal_input_gives_equal_bytes_on_any_number_of_threads(name, metric):
    chosen, vectors = family(name), clustered(1200)
    before = faiss.omp_get_max_threads()
    trained, built = [], []
    try:
        for threads in (1, 3, 1):
            faiss.omp_set_num_threads(threads)
            trained.append(chosen.train(vectors, metric, PARAMETERS))
            built.append(chosen.build(vectors, trained[-1], metric, PARAMETERS))
            assert faiss.omp_get_max_threads() == threads  # pinning gave them back
    finally:
        faiss.omp_set_num_threads(before)

    assert {part.dtype for part in trained + built} == {np.dtype(np.uint8)}
    assert len({part.tobytes() for part in trained}) == 1
    assert len({part.tobytes() for part in built}) == 1


@pytest.mark.parametrize("name", TRAINED)
def test_another_sample_gives_another_quantiser_and_the_others_have_none(name):
    chosen = family(name)

    one, other = (chosen.train(clustered(400, seed=s), "inner_product", PARAMETERS) for s in (0, 1))

    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TRAINED])
def test_a_family_that_does_not_train_has_no_quantiser(name):
    assert family(name).train(clustered(3), "inner_product", {}) is NO_QUANTISER


@pytest.mark.slow
def test_k_means_does_not_depend_on_the_threads_where_it_would_by_itself():
    """Data on which k-means, left alone, gives other bytes on three threads than on one."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((500, 384)).astype(np.float32)
    vectors = centres[rng.integers(0, 500, 60_000)]
    vectors = (vectors + rng.standard_normal((60_000, 384)).astype(np.float32) * 0.9)[:19_968]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    before = faiss.omp_get_max_threads()
    trained = set()
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            trained.add(
                family("ivf_flat").train(vectors, "inner_product", {"nlist": 512}).tobytes()
            )
    finally:
        faiss.omp_set_num_threads(before)

    assert len(trained) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ivf_flat", "ivf_rabitq"])
def test_many_lists_are_found_by_a_graph_over_their_centroids(name, tmp_path):
    vectors, queries = clustered(9000, dim=16), clustered(50, dim=16, seed=2)
    parameters = {"nlist": 8192}
    chosen, index, _ = opened(name, vectors, tmp_path, parameters=parameters)
    few, many = {"nprobe": 128}, {"nprobe": 129}  # the last by the graph, the first by a scan

    by_graph, by_scan = (chosen.probe(index, queries, search) for search in (few, many))

    shared = [np.isin(a, b).mean() for a, b in zip(by_graph.lists, by_scan.lists, strict=True)]
    assert np.mean(shared) > 0.9
    assert chosen.scanned_bytes(9000, 16, parameters, few) < chosen.scanned_bytes(
        9000, 16, parameters, many
    )
    trained = chosen.train(vectors, "inner_product", parameters)
    assert trained.tobytes() == chosen.train(vectors, "inner_product", parameters).tobytes()
    _, ids = chosen.search(index, queries, 9000, everything(chosen, 9000, parameters))
    assert [sorted(row) for row in ids.tolist()] == [list(range(9000))] * 50


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_segment_answers_nothing(name, tmp_path):
    trained = family(name).train(clustered(500), "inner_product", PARAMETERS)
    chosen, index, _ = opened(name, np.zeros((0, DIM), np.float32), tmp_path, trained=trained)

    scores, ids = chosen.search(index, clustered(2), 5, {"nprobe": 2, "ef_search": 10})

    assert (ids == -1).all()
    assert (scores == -np.inf).all()
    assert chosen.reconstruct(index, 0, 0).shape == (0, DIM)
    sizes = chosen.list_sizes(index)
    assert sizes is None or sizes.sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_one_row_is_enough_and_no_query_is_none(name, tmp_path):
    vectors = clustered(1)
    trained = family(name).train(clustered(DIM), "inner_product", {"nlist": 1, "m": 16})
    chosen, index, _ = opened(name, vectors, tmp_path, trained=trained)
    search = {"nprobe": 1, "ef_search": 1}

    scores, ids = chosen.search(index, vectors, 3, search)

    assert ids.tolist() == [[0, -1, -1]]
    assert (scores[0, 0] > 0.5, scores[0, 1]) == (True, -np.inf)
    assert chosen.search(index, clustered(0), 3, search)[1].shape == (0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hnsw_flat", "hnsw_sq8"])
def test_a_graph_is_walked_where_that_is_cheaper_than_a_scan(name, tmp_path):
    # Enough that a walk three times as long is still cheaper than a scan of half of them.
    vectors, queries = clustered(12_000, topics=200), clustered(50, seed=8, topics=200)
    chosen, index, _ = opened(name, vectors, tmp_path)
    half = np.arange(12_000) % 2 == 0

    for mask in (np.ones(12_000, bool), half):
        faiss.cvar.hnsw_stats.reset()
        _, ids = chosen.search(index, queries, 10, {"ef_search": 64}, selected=bitmap(mask))

        assert faiss.cvar.hnsw_stats.ndis > 0
        assert mask[ids].all()
        nearest = np.argsort(-np.where(mask, queries @ vectors.T, -2), axis=1)[:, :10]
        assert np.mean([np.isin(nearest[i], ids[i]).mean() for i in range(50)]) >= 0.95
    single = [chosen.search(index, queries[i : i + 1], 10, {"ef_search": 64}) for i in range(50)]
    together = chosen.search(index, queries, 10, {"ef_search": 64})
    np.testing.assert_array_equal(np.concatenate([ids for _, ids in single]), together[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_takes_as_many_bytes_as_it_says(name):
    chosen, vectors = family(name), clustered(5000)
    trained = chosen.train(vectors[:1000], "inner_product", PARAMETERS)

    built = chosen.build(vectors, trained, "inner_product", PARAMETERS)

    said = chosen.code_bytes(DIM, PARAMETERS)
    assert (built.nbytes - trained.nbytes) / 5000 == pytest.approx(said, rel=0.15)


@pytest.mark.parametrize("name", LISTS)
def test_too_few_training_vectors_are_refused(name):
    with pytest.raises(VectorError, match=rf"{name}: 5 training vectors for 16 lists"):
        family(name).train(clustered(5), "inner_product", PARAMETERS)


@pytest.mark.parametrize("name", ["ivf_pq", "ivf_opq_pq"])
def test_parts_that_do_not_divide_the_dims_are_refused(name):
    with pytest.raises(ConfigError, match="m = 7 does not divide 48 dims"):
        family(name).train(clustered(100), "inner_product", {"nlist": 4, "m": 7})


def test_bits_take_no_euclidean_distance_and_whole_bytes_only():
    bits = family("binary")
    with pytest.raises(ConfigError, match="binary: bits say nothing of Euclidean distance"):
        bits.train(clustered(10), "l2", {})
    with pytest.raises(ConfigError, match="50 dims do not fill whole bytes"):
        bits.build(clustered(10, dim=50), NO_QUANTISER, "inner_product", {})


@pytest.mark.skipif(faiss.get_num_gpus() > 0, reason="there is a GPU: see tests/gpu")
def test_without_a_gpu_moving_there_says_so():
    with pytest.raises(ConfigError, match=r"no GPU for a IndexFlat: .*pip install faiss-gpu"):
        to_gpu(faiss.IndexFlat(4))


@pytest.mark.parametrize("name", ["flat_sq8", "hnsw_sq8", "ivf_sq8"])
def test_rows_beyond_the_range_of_the_sample_keep_their_ranks(name, tmp_path):
    sample, vectors = clustered(300), clustered(2000) + np.float32(0.05)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    trained = family(name).train(sample, "inner_product", PARAMETERS)
    chosen, index, _ = opened(name, vectors, tmp_path, trained=trained)

    assert recall(chosen, index, clustered(40, seed=4), vectors, everything(chosen, 2000)) >= 0.9


def test_an_unknown_family_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"no index family '__import__'; there are flat"):
        family("__import__")


def test_registry_names_are_the_families_own():
    assert [FAMILIES[name].name for name in NAMES] == list(NAMES)
    assert len(NAMES) == 12
