from dataclasses import replace

import numpy as np
import pytest

from schemas.config import Indexing
from schemas.errors import GateError, VectorError
from schemas.manifest import CurvePoint
from stages.index.gate import (
    Candidate,
    check_index,
    imbalance,
    require,
    stored_cosine,
    stored_ranges,
)
from stages.index.health import hubness
from stages.index.segments import OpenSegment
from tests import indexes

CONFIG = Indexing()
GOOD = CurvePoint({}, 1.0, 1.0, 2.0, 10.0)
HEALTHY = {"stored_cosine": 1.0}


@pytest.fixture
def build(corpus):
    def build(rows=400, family="flat", vectors=None, **parameters):
        vectors = corpus.vectors(rows) if vectors is None else vectors
        kind = corpus.kind(family, **parameters)
        return indexes.build(corpus.folder, kind, corpus.rows(rows), vectors, shards=2)

    return build


def candidate_of(built):
    segments = [
        OpenSegment.open(part.paths, built.kind.family, built.kind.parameters)
        for part in built.parts
    ]
    refs = [replace(ref, health=ref.health | HEALTHY) for ref in built.refs]
    return Candidate(built.kind, segments, refs, sum(ref.live_rows for ref in refs))


def failed(checks):
    return [check.name for check in checks if not check.passed]


def gate(candidate, point=GOOD, recalls=None, config=CONFIG):
    return failed(check_index(candidate, point, recalls or {}, config))


@pytest.mark.parametrize(
    ("family", "parameters"),
    [
        ("flat", {}),
        ("ivf_flat", {"nlist": 12}),
        ("ivf_sq8", {"nlist": 12}),
        ("ivf_rabitq", {"nlist": 12}),
        ("binary", {}),
        ("hnsw_sq8", {"m": 16, "ef_construction": 40}),
    ],
)
def test_a_healthy_index_passes_every_check_on_its_bytes(build, family, parameters):
    validation = build(900, family, **parameters).validation(900)

    assert failed(validation.checks) == []
    assert validation.tuned.point.recall_at_10 >= 0.95
    assert all(ref.health["stored_cosine"] > 0.98 for ref in validation.refs)
    names = {check.name for check in validation.checks}
    assert ("biggest_list_share" in names) is family.startswith("ivf")


def test_a_count_off_the_table_fails(build):
    candidate = candidate_of(build())

    assert gate(replace(candidate, table_rows=401)) == ["rows_off_table"]


def test_a_segment_counted_twice_fails(build):
    candidate = candidate_of(build())
    twice = replace(
        candidate,
        segments=[candidate.segments[0]] * 2,
        refs=[candidate.refs[0]] * 2,
        table_rows=400,
    )

    assert gate(twice, config=Indexing(duplicate_share=0.4)) == ["repeated_ids", "duplicate_share"]


def test_tombstones_count_as_the_manifest_says(corpus, build):
    rows, vectors = corpus.rows(400), corpus.vectors(400)
    built = indexes.build(corpus.folder, corpus.kind(), rows, vectors, shards=2, deleted=range(50))
    candidate = candidate_of(built)

    assert candidate.table_rows == 350
    assert gate(candidate) == []
    forgotten = [replace(ref, deleted_rows=0) for ref in candidate.refs]
    assert gate(replace(candidate, refs=forgotten)) == ["tombstones_off"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"not_finite": 1.0}, ["not_finite"]),
        ({"zero_vectors": 2.0}, ["zero_vectors"]),
        ({"norm_error": 0.5}, ["norm_error"]),
        ({"hubness": 25.0}, ["hubness"]),
        ({"stored_cosine": 0.97}, ["stored_cosine"]),
    ],
)
def test_a_segment_in_bad_health_fails(build, change, names):
    candidate = candidate_of(build())
    first, second = candidate.refs

    assert (
        gate(replace(candidate, refs=[first, replace(second, health=second.health | change)]))
        == names
    )


def test_thresholds_are_those_of_the_configuration(build):
    candidate = candidate_of(build())
    sick = [replace(ref, health=ref.health | {"hubness": 25.0}) for ref in candidate.refs]

    assert gate(replace(candidate, refs=sick), config=Indexing(hubness=30)) == []


def test_vectors_in_another_order_than_rows_are_seen(corpus, build):
    built = build()
    segment = candidate_of(built).segments[0]

    assert stored_cosine(segment, built.originals[0]) == pytest.approx(1, abs=1e-5)
    assert stored_cosine(segment, np.roll(built.originals[0], 1, axis=0)) < 0.9


@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 700, 10_000])
def test_what_is_compared_lies_within_the_rows(rows):
    ranges = stored_ranges(rows)

    assert all(0 <= part.start <= part.stop <= rows for part in ranges)
    assert sum(map(len, ranges)) >= min(rows, 256)
    assert rows == 0 or max(part.stop for part in ranges) == rows


def test_too_many_equal_vectors_fail_when_a_limit_is_set(corpus, build):
    candidate = candidate_of(build(vectors=np.repeat(corpus.vectors(100), 4, axis=0)))

    assert gate(candidate, config=Indexing(duplicate_share=0.5)) == ["duplicate_share"]
    assert gate(candidate) == []


def test_low_recall_fails_and_the_message_says_where_and_how_much(build):
    candidate = candidate_of(build())
    point = replace(GOOD, recall_at_10=0.5)

    checks = check_index(candidate, point, {"rows": 1.0, "text": 0.5}, CONFIG)

    with pytest.raises(
        GateError,
        match=r"text/paragraph in toy-0123456789ab was not published:"
        r" recall_at_10 is 0\.5, must be at least 0\.95; recall_at_10_text is 0\.5",
    ):
        require(candidate.kind.place, checks)


def test_the_slowest_queries_are_limited_where_a_limit_is_set(build):
    candidate = candidate_of(build())

    assert gate(candidate, config=Indexing(latency_ms=1.9)) == ["latency_ms_p99"]
    assert gate(candidate, config=Indexing(latency_ms=2.1)) == []


def test_a_quantiser_that_divides_nothing_fails(corpus, build):
    vectors = corpus.vectors(400)
    vectors[:390] = vectors[0]
    candidate = candidate_of(build(400, "ivf_flat", vectors, nlist=12))

    assert "biggest_list_share" in gate(candidate)
    assert imbalance(candidate.segments) > 10


def test_lists_of_equal_length_are_in_balance(corpus, build):
    assert 1 <= imbalance(candidate_of(build(900, "ivf_flat", nlist=12)).segments) < 4
    assert imbalance(candidate_of(build()).segments) == 1


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


def test_a_file_that_is_not_what_was_written_fails(build):
    built = build()
    spoiled = built.parts[0].paths.rows.parent / "stats.json"
    spoiled.write_bytes(spoiled.read_bytes().replace(b"segment-2", b"segment-9"))

    assert failed(built.validation(400).checks) == ["broken_files"]


def test_validation_wants_the_vectors_of_every_new_segment(build):
    built = build()

    with pytest.raises(VectorError, match="1 arrays for 2 new segments"):
        replace(built, originals=built.originals[:1]).validation(400)


def test_what_was_kept_is_not_read_again(build):
    built = build()
    refs = built.validation(400).refs
    kept = tuple(
        replace(part, ref=ref, is_new=False) for part, ref in zip(built.parts, refs, strict=True)
    )

    again = replace(built, parts=kept, originals=()).validation(400)

    assert failed(again.checks) == []
    assert again.refs == refs
