import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import IntegrityError
from stages.index.digests import vector_digests
from stages.index.truth import (
    DEPTH,
    ROWS,
    TEXT,
    K,
    Queries,
    Truth,
    join_queries,
    merge_nearest,
    nearest_of,
    read_truth,
    row_queries,
    still_exact,
    text_queries,
    truth_bytes,
    with_rows,
    without_rows,
)

DIM = 8


def vectors_of(numbers):
    """A vector for each number, the same in any company; some numbers share one."""
    rows = [np.random.default_rng(n % 90).standard_normal(DIM) for n in numbers]
    made = np.array(rows, dtype=np.float32).reshape(-1, DIM)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def ids_of(numbers):
    return [hashlib.sha256(str(n).encode()).hexdigest()[:32] for n in numbers]


def segment(numbers):
    """(rows, vectors) sorted by id."""
    ordered = sorted(numbers, key=lambda n: ids_of([n])[0])
    vectors = vectors_of(ordered)
    table = {"unit_id": ids_of(ordered), "vector_digest": pa.array(vector_digests(vectors))}
    return pa.table(table), vectors


def asked(origins):
    words = Queries(vectors_of(range(1000, 1006)), (TEXT,) * 6, ("",) * 6)
    rows = row_queries(vectors_of(origins), ids_of(origins), normalised=True)
    return join_queries([rows, words])


def truth_over(queries, *segments):
    parts = [nearest_of(queries, *segment(numbers), "inner_product") for numbers in segments]
    return Truth(queries, merge_nearest(queries, parts))


def brute(queries, numbers):
    """For each query the similarities of its K best rows, the one it was made from left out."""
    found = []
    ids, vectors = ids_of(numbers), vectors_of(numbers)
    for vector, origin in zip(queries.vectors, queries.origins, strict=True):
        scores = sorted(
            (float(v @ vector) for i, v in zip(ids, vectors, strict=True) if i != origin),
            reverse=True,
        )
        found.append(scores[:K])
    return found


def first(truth):
    return [[s for s in row[:K].tolist() if s > -np.inf] for row in truth.nearest.scores]


def test_a_query_from_a_row_lies_beside_it():
    rows = vectors_of(range(50))

    queries = row_queries(rows, ids_of(range(50)), normalised=True)

    np.testing.assert_allclose((queries.vectors * rows).sum(axis=1), 0.8, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(queries.vectors, axis=1), 1, atol=1e-5)
    assert set(queries.kinds) == {ROWS}


def test_a_query_keeps_the_length_of_its_row_where_lengths_say_something():
    rows = 3 * vectors_of(range(5))

    queries = row_queries(rows, ids_of(range(5)), normalised=False)

    np.testing.assert_allclose(np.linalg.norm(queries.vectors, axis=1), 3, atol=1e-4)


def test_nearest_rows_are_those_of_brute_force_without_the_row_asked_with():
    queries = asked(range(0, 40, 10))

    truth = truth_over(queries, range(120), range(200, 230))

    for got, wanted in zip(
        first(truth), brute(queries, [*range(120), *range(200, 230)]), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    for origin, ids in zip(queries.origins, truth.nearest.unit_ids, strict=True):
        assert not origin or origin not in ids


def test_l2_is_nearest_first_too():
    queries = asked(range(3))

    near = nearest_of(queries, *segment(range(100)), "l2")

    vectors = vectors_of(range(100))
    best = -((vectors - queries.vectors[-1]) ** 2).sum(axis=1).min()
    assert near.scores[-1, 0] == pytest.approx(best, abs=1e-5)
    assert (near.scores <= 0).all()


sets = st.sets(st.integers(0, 400), max_size=120)


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 400), min_size=1, max_size=200),
    st.lists(st.tuples(sets, sets), min_size=1, max_size=5),
    st.integers(1, 4),
)
def test_truth_brought_up_to_date_is_the_truth_wherever_it_says_so(first_rows, changes, parts):
    there = set(first_rows)
    numbers = sorted(there)
    truth = truth_over(asked(numbers[:5]), *(numbers[i::parts] for i in range(parts)))
    for leave, come in changes:
        gone, new = leave & there, come - there
        left = there - gone
        truth = without_rows(truth, pa.array(ids_of(sorted(gone)), pa.string()))
        truth = truth.pick(np.flatnonzero(still_exact(truth, len(left))))
        moved = sorted(left)[::3]
        built = [
            nearest_of(truth.queries, *segment(n), "inner_product") for n in (sorted(new), moved)
        ]
        truth = with_rows(truth, len(left), built)
        there = left | new

        assert set(truth.queries.origins) <= {"", *ids_of(sorted(there))}
        for got, wanted in zip(first(truth), brute(truth.queries, sorted(there)), strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_what_lies_beyond_the_neighbours_that_were_kept_is_never_taken_for_near():
    """Rows on an arc, the query at its end: the n-th row is its n-th nearest."""

    def arc(numbers):
        angles = np.array(numbers, dtype=np.float64) / 1000
        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        order = sorted(range(len(numbers)), key=lambda i: ids_of([numbers[i]])[0])
        ids = [ids_of([numbers[i]])[0] for i in order]
        digests = pa.array(vector_digests(vectors[order]))
        return pa.table({"unit_id": ids, "vector_digest": digests}), vectors[order]

    def gone(numbers):
        return pa.array(ids_of(list(numbers)), pa.string())

    queries = Queries(np.array([[1, 0]], dtype=np.float32), (TEXT,), ("",))
    taken = nearest_of(queries, *arc(range(200)), "inner_product")
    truth = without_rows(Truth(queries, taken), gone(range(20)))  # 12 of 32 are left
    far = nearest_of(queries, *arc(range(300, 325)), "inner_product")
    truth = with_rows(truth, 180, [far])
    assert truth.nearest.unit_ids[0, :10].tolist() == ids_of(range(20, 30))

    truth = without_rows(
        truth, gone(range(20, 30))
    )  # the nearest are 30, 31, 32: and 32 is not known

    assert not still_exact(truth, 195)[0]


def test_a_query_that_lost_most_of_its_answers_is_told_apart():
    numbers = range(200)
    queries = asked([])
    old = truth_over(queries, numbers)
    best = old.nearest.unit_ids[0, : DEPTH - K + 1].tolist()

    kept = without_rows(old, pa.array(best, pa.string()))

    exact = still_exact(kept, 200 - len(best))
    assert not exact[0]
    assert exact.any()


def test_a_truth_survives_its_file(tmp_path):
    truth = truth_over(asked(range(3)), range(7))
    path = tmp_path / "truth.arrow"
    path.write_bytes(truth_bytes(truth))

    again = read_truth(path)

    assert again.queries.kinds == truth.queries.kinds
    assert again.queries.origins == truth.queries.origins
    np.testing.assert_array_equal(again.queries.vectors, truth.queries.vectors)
    np.testing.assert_array_equal(first(again)[-1], first(truth)[-1])
    assert truth_bytes(again) == path.read_bytes()


@pytest.mark.parametrize("data", [b"", b"ARROW1 but no more"])
def test_a_broken_file_is_told(tmp_path, data):
    path = tmp_path / "truth.arrow"
    path.write_bytes(data)

    with pytest.raises(IntegrityError, match=r"truth\.arrow"):
        read_truth(path)
    with pytest.raises(IntegrityError, match="nowhere"):
        read_truth(tmp_path / "nowhere")


def test_a_question_about_a_row_is_half_the_row_and_half_words():
    rows, general = vectors_of(range(5)), vectors_of(range(100, 102))

    queries = text_queries(rows, general, normalised=True)

    assert (set(queries.kinds), set(queries.origins)) == ({TEXT}, {""})  # the row is an answer
    np.testing.assert_allclose(np.linalg.norm(queries.vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((queries.vectors * rows).sum(axis=1), 0.5, atol=1e-5)
    towards = general[[0, 1, 0, 1, 0]]
    plane = np.stack([rows, towards], axis=1)  # nothing but the two is in it
    for query, pair in zip(queries.vectors, plane, strict=True):
        share, *_ = np.linalg.lstsq(pair.T, query, rcond=None)
        np.testing.assert_allclose(share @ pair, query, atol=1e-5)
        assert share[1] > 0


def test_questions_about_rows_keep_the_lengths_of_rows():
    rows = 3 * vectors_of(range(5))

    queries = text_queries(rows, vectors_of([9]), normalised=False)

    np.testing.assert_allclose(np.linalg.norm(queries.vectors, axis=1), 3, atol=1e-4)
