import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.index import exact
from stages.index.exact import (
    ExactRequest,
    Ranked,
    answer_exact,
    chunk_top_k,
    exact_top_k,
    merge_top_k,
)

METRICS = ("inner_product", "l2")


def truth(queries, vectors, k, metric):
    """By the definition, in float64, sorted by Python."""
    rows = []
    for query in queries.astype(np.float64):
        wide = vectors.astype(np.float64)
        scores = wide @ query if metric == "inner_product" else -((wide - query) ** 2).sum(axis=1)
        near = sorted(zip(-scores.astype(np.float32), range(len(vectors)), strict=True))[:k]
        rows.append([position for _, position in near])
    return rows


def in_chunks(vectors, cuts):
    return np.split(vectors, sorted(c % (len(vectors) + 1) for c in cuts))


# Small whole numbers: sums are exact, and many vectors are equally near or equal.
NUMBERS = st.integers(-2, 2).map(float)
DIM = 3


@given(
    st.lists(st.lists(NUMBERS, min_size=DIM, max_size=DIM), max_size=120),
    st.lists(st.lists(NUMBERS, min_size=DIM, max_size=DIM), min_size=1, max_size=4),
    st.integers(1, 6),
    st.lists(st.integers(0, 1000), max_size=3),
    st.sampled_from(METRICS),
)
def test_ties_go_by_position_however_it_is_cut(vectors, queries, k, cuts, metric):
    vectors = np.array(vectors, np.float32).reshape(-1, DIM)
    queries = np.array(queries, np.float32).reshape(-1, DIM)
    found = exact_top_k(queries, in_chunks(vectors, cuts), k, metric)
    assert found.positions.tolist() == truth(queries, vectors, k, metric)
    assert found.scores.shape == (len(queries), min(k, len(vectors)))
    assert (found.scores.dtype, found.positions.dtype) == (np.float32, np.int64)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("threads", [1, 2])
def test_real_numbers_and_many_equal_vectors(metric, threads):
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(3000, 48)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[rng.choice(3000, 200, replace=False)] = vectors[11]  # more than there are candidates
    queries = np.concatenate([vectors[[11, 5]], rng.normal(size=(40, 48)).astype(np.float32)])
    expected = truth(queries, vectors, 10, metric)
    for cuts in ([], [1], [700, 2500]):
        found = exact_top_k(queries, in_chunks(vectors, cuts), 10, metric, threads=threads)
        assert found.positions.tolist() == expected
    same = np.flatnonzero((vectors == vectors[11]).all(axis=1))
    assert expected[0] == same[:10].tolist()


@pytest.mark.parametrize("metric", METRICS)
def test_equal_bytes_however_it_is_cut_and_computed(metric, monkeypatch):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(500, 64)).astype(np.float32)
    queries = vectors[:50]
    once = exact_top_k(queries, [vectors], 5, metric)
    pieces = exact_top_k(queries, in_chunks(vectors, [1, 40, 333]), 5, metric)
    assert once.scores.tobytes() == pieces.scores.tobytes()
    real = exact._candidates

    def noisy(*args):
        """As another processor would round."""
        scores, rows = real(*args)
        return scores * np.float32(1 + 1e-6), rows[:, ::-1]

    monkeypatch.setattr(exact, "_candidates", noisy)
    other = exact_top_k(queries, [vectors], 5, metric)
    assert (once.scores.tobytes(), once.positions.tobytes()) == (
        other.scores.tobytes(),
        other.positions.tobytes(),
    )


def test_positions_of_a_chunk_need_not_ascend():
    vectors = np.ones((3, 2), np.float32)
    found = chunk_top_k(vectors[:1], vectors, np.array([9, 2, 5]), 2, "inner_product")
    assert found.positions.tolist() == [[2, 5]]


def test_merging_keeps_the_nearest():
    one = Ranked(np.array([[0.9, 0.5]], np.float32), np.array([[4, 7]]))
    other = Ranked(np.array([[0.9, 0.7]], np.float32), np.array([[1, 2]]))
    best = merge_top_k([one, other], 3)
    assert best.positions.tolist() == [[1, 4, 2]]
    np.testing.assert_allclose(best.scores, [[0.9, 0.9, 0.7]])


def test_a_worker_answers_with_arrays():
    vectors = np.eye(3, dtype=np.float32)
    answer = answer_exact(
        ExactRequest(2, "inner_product"), (vectors[:1], vectors, np.array([10, 11, 12]))
    )
    scores, positions = answer.arrays
    assert (scores.tolist(), positions.tolist()) == ([[1.0, 0.0]], [[10, 11]])


def test_threads_are_as_before_afterwards():
    import faiss

    before = faiss.omp_get_max_threads()
    exact_top_k(np.ones((1, 2), np.float32), [np.ones((1, 2), np.float32)], 1, "l2", threads=1)
    assert faiss.omp_get_max_threads() == before


@pytest.mark.gpu
@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_gives_the_same_bytes(metric, monkeypatch):
    import faiss

    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(20_000, 384)).astype(np.float32)
    found = exact_top_k(vectors[:100], [vectors], 10, metric)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    other = exact_top_k(vectors[:100], [vectors], 10, metric)
    assert found.positions.tobytes() == other.positions.tobytes()
    assert found.scores.tobytes() == other.scores.tobytes()
