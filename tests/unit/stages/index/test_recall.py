import numpy as np
import pytest

from stages.index.recall import QUERY_COSINE, make_truth, measure_recall
from stages.index.tune import smallest_reaching, tune


def test_truth_is_what_brute_force_says(corpus):
    segments, parts, _ = corpus.opened(corpus.rows(300), corpus.vectors(300), 4)
    truth = make_truth(segments, parts, 40)

    scores = truth.queries @ np.concatenate(parts).T
    starts = np.cumsum([0, *map(len, parts)])[truth.origin_segment]
    scores[np.arange(40), starts + truth.origin_row] = -np.inf
    np.testing.assert_allclose(truth.kth, np.sort(scores, axis=1)[:, -10], atol=1e-6)


def test_queries_lie_beside_the_rows_they_were_made_from(corpus):
    segments, parts, _ = corpus.opened(corpus.rows(300), corpus.vectors(300), 4)
    truth = make_truth(segments, parts, 40)

    own = np.stack(
        [parts[s][r] for s, r in zip(truth.origin_segment, truth.origin_row, strict=True)]
    )
    np.testing.assert_allclose((own * truth.queries).sum(axis=1), QUERY_COSINE, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(truth.queries, axis=1), 1, atol=1e-5)


def test_queries_are_the_same_however_the_rows_are_cut(corpus):
    rows, vectors = corpus.rows(300), corpus.vectors(300)

    one, many = (make_truth(*corpus.opened(rows, vectors, n)[:2], 40) for n in (1, 8))

    np.testing.assert_array_equal(one.queries, many.queries)
    np.testing.assert_allclose(one.kth, many.kth, atol=1e-6)


def test_exact_search_has_recall_one(corpus):
    segments, parts, _ = corpus.opened(corpus.rows(300), corpus.vectors(300), 4)

    assert measure_recall(make_truth(segments, parts, 50), segments, parts, "flat", {}) == 1.0


def test_equal_rows_stand_in_for_each_other(corpus):
    vectors = np.repeat(corpus.vectors(5), 60, axis=0)
    segments, parts, _ = corpus.opened(corpus.rows(300), vectors, 4)

    assert measure_recall(make_truth(segments, parts, 50), segments, parts, "flat", {}) == 1.0


def test_rows_in_the_wrong_place_have_no_recall(corpus):
    segments, parts, _ = corpus.opened(corpus.rows(2000), corpus.vectors(2000), 1)
    truth = make_truth(segments, parts, 50)
    rolled = [np.roll(part, 700, axis=0) for part in parts]

    assert measure_recall(truth, segments, rolled, "flat", {}) < 0.5


def test_finding_only_the_row_a_query_was_made_from_is_no_recall(corpus):
    vectors = np.eye(corpus.dim, dtype=np.float32)  # a list of its own for every row
    segments, parts, _ = corpus.opened(corpus.rows(32), vectors, 1, "ivf_flat", nlist=32)
    truth = make_truth(segments, parts, 32)

    assert measure_recall(truth, segments, parts, "ivf_flat", {"nprobe": 1}) == 0.0
    assert measure_recall(truth, segments, parts, "ivf_flat", {"nprobe": 32}) == 1.0


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_to_find_is_all_found(corpus, rows):
    segments, parts, _ = corpus.opened(corpus.rows(rows), corpus.vectors(rows))
    truth = make_truth(segments, parts, 10)

    assert measure_recall(truth, segments, parts, "flat", {}) == 1.0
    assert tune(segments, parts, truth, ("flat", {}), 0.9).latency_ms_p99 == 0.0


def test_recall_grows_with_effort_and_the_least_effort_is_taken(corpus):
    segments, parts, _ = corpus.opened(
        corpus.rows(2000), corpus.vectors(2000), 2, "ivf_flat", nlist=40
    )
    truth = make_truth(segments, parts, 50)

    tuned = tune(segments, parts, truth, ("ivf_flat", {"nlist": 40}), 0.9)

    efforts, recalls = zip(*tuned.curve, strict=True)
    assert list(efforts) == sorted(efforts)
    assert list(recalls) == sorted(recalls)
    nprobe = tuned.search["nprobe"]
    assert 1 < nprobe < 40
    less = measure_recall(truth, segments, parts, "ivf_flat", {"nprobe": nprobe - 1})
    assert less < 0.9 <= tuned.recall_at_10


@pytest.mark.parametrize("needed", range(1, 41))
def test_the_smallest_value_is_found_wherever_it_is(needed):
    asked = []

    def recall_at(value):
        asked.append(value)
        return 1.0 if value >= needed else 0.5

    value, curve = smallest_reaching(0.9, 40, recall_at)

    assert value == needed
    assert sorted(curve) == sorted(asked)
    assert len(asked) == len(set(asked)) <= 12


def test_an_unreachable_target_takes_the_largest_effort():
    value, curve = smallest_reaching(0.9, 40, lambda _: 0.5)

    assert (value, curve[40]) == (40, 0.5)
