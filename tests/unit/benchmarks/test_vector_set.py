import numpy as np
import pytest

from benchmarks.vector_set import (
    K,
    Point,
    Searcher,
    VectorSet,
    best_points,
    exact_neighbours,
    measure,
    write_set,
)


def unit(rng, count):
    rows = rng.standard_normal((count, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def vectors(tmp_path):
    rng = np.random.default_rng(0)
    first, last = unit(rng, 60), unit(rng, 45)
    last[:30] = first[:30]  # every other neighbour has a twin
    write_set(
        tmp_path / "set", iter([first, last]), {"rows": unit(rng, 20), "questions": unit(rng, 5)}
    )
    return VectorSet(tmp_path / "set")


def test_rows_are_numbered_over_all_parts(vectors):
    whole = np.concatenate(vectors.parts)
    assert (vectors.count, vectors.dim) == (105, 8)
    assert np.array_equal(vectors.take(np.array([[0, 59], [60, 104]])), whole[[[0, 59], [60, 104]]])


def test_truth_is_that_of_all_rows_at_once(vectors):
    whole = np.concatenate(vectors.parts)
    for kind, truth in vectors.truths.items():
        exact = np.sort(vectors.queries[kind] @ whole.T, axis=1)[:, ::-1][:, :K]
        assert np.allclose(truth.similarities, exact, atol=1e-6)


def test_blocks_smaller_than_what_is_asked_for_are_no_matter():
    rng = np.random.default_rng(1)
    rows, asked = unit(rng, 30), unit(rng, 4)
    parts = exact_neighbours([rows[:3], rows[3:4], rows[4:]], {"rows": asked})
    assert np.array_equal(parts["rows"].rows, np.argsort(-asked @ rows.T, axis=1)[:, :K])


def test_a_twin_is_as_right_as_the_one_that_truth_names(vectors):
    rows = vectors.truths["rows"].rows
    twins = np.where(rows < 30, rows + 60, np.where((rows >= 60) & (rows < 90), rows - 60, rows))
    assert not np.array_equal(rows, twins)
    assert vectors.recall("rows", rows) == 1
    assert vectors.recall("rows", twins) == 1


def test_what_is_not_found_or_far_is_not_right(vectors):
    rows = vectors.truths["rows"].rows.copy()
    rows[:, 5:] = -1
    assert vectors.recall("rows", rows) == 0.5
    worst = np.argsort(vectors.queries["rows"] @ np.concatenate(vectors.parts).T, axis=1)[:, :K]
    assert vectors.recall("rows", worst) == 0


def test_a_searcher_is_measured_by_what_it_finds(vectors):
    whole = np.concatenate(vectors.parts)

    def exact(asked):
        return np.argsort(-asked @ whole.T, axis=1)[:, :K]

    point = measure(vectors, {"nprobe": 1}, Searcher(exact, exact, lambda rows: rows))
    assert point.recall_at_10 == {"rows": 1.0, "questions": 1.0}
    assert point.batch_qps > 0
    assert point.single_qps > 0


def test_the_fastest_that_holds_is_the_best_or_the_one_of_most_recall():
    points = [
        Point("fast", {"rows": 0.90, "questions": 0.99}, 900, 90),
        Point("held", {"rows": 0.96, "questions": 0.80}, 500, 50),
        Point("slow", {"rows": 0.99, "questions": 0.85}, 100, 60),
    ]
    best = best_points(points)
    assert best["rows"]["held"]
    assert best["rows"]["batch"]["search"] == "held"
    assert best["rows"]["single"]["search"] == "slow"
    assert not best["lowest"]["held"]
    assert best["lowest"]["batch"]["search"] == "fast"
