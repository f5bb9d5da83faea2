from dataclasses import replace

import numpy as np
import pytest

from schemas.config import Indexing
from schemas.errors import GateError, VectorError
from stages.index.gate import Candidate, check_index, hubness, require
from stages.index.recall import make_truth
from stages.index.tune import Tuned, tune
from stages.index.validate import ValidateRequest, validate

CONFIG = Indexing()
GOOD = Tuned({}, 1.0, 1.0, 1.0)


def candidate_of(corpus, rows, vectors, *args, **kwargs):
    segments, parts, _ = corpus.opened(rows, vectors, *args, **kwargs)
    return Candidate(corpus.partition, corpus.space, segments, parts, len(rows))


def failed(checks):
    return [check.name for check in checks if not check.passed]


@pytest.fixture
def candidate(corpus):
    return candidate_of(corpus, corpus.rows(400), corpus.vectors(400), 2)


@pytest.mark.parametrize("family", ["flat", "ivf_flat", "ivf_sq8"])
def test_a_healthy_index_passes_every_check(corpus, family):
    parameters = {} if family == "flat" else {"nlist": 12}
    candidate = candidate_of(corpus, corpus.rows(900), corpus.vectors(900), 2, family, **parameters)
    truth = make_truth(candidate.segments, candidate.vectors, 50)
    tuned = tune(candidate.segments, candidate.vectors, truth, (family, parameters), 0.95)

    checks = check_index(candidate, tuned, CONFIG)

    assert failed(checks) == []
    require(corpus.partition, corpus.space, checks)
    names = {check.name for check in checks}
    assert ("biggest_list_share" in names) is (family != "flat")


def test_a_count_off_the_table_fails(candidate):
    checks = check_index(replace(candidate, table_rows=401), GOOD, CONFIG)

    assert failed(checks) == ["rows_off_table"]


def test_a_segment_counted_twice_fails(candidate):
    segment, vectors = candidate.segments[0], candidate.vectors[0]
    twice = replace(
        candidate,
        segments=[segment, segment],
        vectors=[vectors, vectors],
        table_rows=2 * len(vectors),
    )

    assert failed(check_index(twice, GOOD, Indexing(duplicate_share=0.4))) == [
        "repeated_ids",
        "duplicate_share",
    ]


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (np.nan, ["not_finite"]),
        (np.inf, ["not_finite"]),
        (0.0, ["zero_vectors", "norm_error"]),
        (0.5, ["norm_error"]),
    ],
)
def test_a_bad_vector_fails(candidate, value, names):
    spoiled = candidate.vectors[0].copy()
    spoiled[5] = value

    checks = check_index(replace(candidate, vectors=[spoiled, candidate.vectors[1]]), GOOD, CONFIG)

    assert [name for name in failed(checks) if name != "stored_cosine"] == names


def test_vectors_in_another_order_than_rows_fail(candidate):
    swapped = [np.roll(part, 1, axis=0) for part in candidate.vectors]

    assert failed(check_index(replace(candidate, vectors=swapped), GOOD, CONFIG)) == [
        "stored_cosine"
    ]


def test_too_many_equal_vectors_fail_when_a_limit_is_set(corpus):
    vectors = np.repeat(corpus.vectors(100), 4, axis=0)
    candidate = candidate_of(corpus, corpus.rows(400), vectors)

    checks = check_index(candidate, GOOD, Indexing(duplicate_share=0.5))

    assert failed(checks) == ["duplicate_share"]
    assert failed(check_index(candidate, GOOD, CONFIG)) == []


def test_low_recall_fails_and_the_message_says_where_and_how_much(candidate, corpus):
    checks = check_index(candidate, Tuned({}, 0.5, 1.0, 1.0), CONFIG)

    with pytest.raises(
        GateError,
        match=r"text/paragraph in toy-0123456789ab was not published:"
        r" recall_at_10 is 0\.5, must be at least 0\.95",
    ):
        require(corpus.partition, corpus.space, checks)


def test_a_quantiser_that_divides_nothing_fails(corpus):
    vectors = corpus.vectors(400)
    vectors[:390] = vectors[0]
    candidate = candidate_of(corpus, corpus.rows(400), vectors, 1, "ivf_flat", nlist=12)

    assert "biggest_list_share" in failed(check_index(candidate, GOOD, CONFIG))


def test_hubness_is_the_skewness_of_k_occurrences():
    rng = np.random.default_rng(0)
    circle = np.linspace(0, 2 * np.pi, 200, endpoint=False) + rng.uniform(0, 0.001, 200)
    even = np.stack([np.cos(circle), np.sin(circle)], axis=1).astype(np.float32)
    noise = rng.standard_normal((1000, 256))
    hub = noise.mean(axis=0) * 30
    crowd = np.concatenate([noise / 16 + hub, hub[None]])
    crowd = (crowd / np.linalg.norm(crowd, axis=1, keepdims=True)).astype(np.float32)

    assert abs(hubness(even)) < 1
    assert hubness(crowd) > 20
    assert hubness(even[:5]) == 0.0


def test_a_partition_without_rows_has_nothing_wrong(corpus):
    candidate = Candidate(corpus.partition, corpus.space, [], [], 0)

    assert failed(check_index(candidate, GOOD, CONFIG)) == []


def request_of(corpus, paths, rows):
    return ValidateRequest(
        corpus.partition, corpus.space, "ivf_sq8", {"nlist": 12}, paths, rows, CONFIG
    )


def test_validation_measures_what_lies_on_disk(corpus):
    _, parts, paths = corpus.opened(corpus.rows(900), corpus.vectors(900), 2, "ivf_sq8", nlist=12)
    validation = validate(request_of(corpus, paths, 900), parts)

    assert failed(validation.checks) == []
    assert validation.tuned.recall_at_10 >= 0.95
    assert set(validation.tuned.search) == {"nprobe"}


def test_validation_refuses_vectors_of_other_segments(corpus):
    _, parts, paths = corpus.opened(corpus.rows(900), corpus.vectors(900), 2, "ivf_sq8", nlist=12)

    with pytest.raises(VectorError, match="pass them in the order of the files"):
        validate(request_of(corpus, paths, 900), parts[::-1])
