from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import IntegrityError
from stages.index.segments import OpenSegment, search_segments
from tests.unit.stages.index.pieces import Kind, answers, clustered, make, unit

if TYPE_CHECKING:
    from pathlib import Path

DIM = 24


def names(found):
    return [[name for _, name in hits] for hits in found]


@pytest.mark.parametrize("parts", [2, 8, 50])
def test_many_segments_answer_as_one(tmp_path, parts):
    vectors, _ = clustered(500, DIM)
    queries, _ = clustered(5, DIM, seed=3)
    many = make(tmp_path, np.array_split(vectors, parts), Kind("flat"))

    found = answers(many, search_segments(many.segments, queries, 20, {}))

    for query, hits in zip(queries, found, strict=True):
        expected = many.best(query, 20)
        assert [name for _, name in hits] == [name for _, name in expected]
        np.testing.assert_allclose([s for s, _ in hits], [s for s, _ in expected], atol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        Kind("flat"),
        Kind("ivf_flat", {"nlist": 4}, {"nprobe": 1}),
        Kind("ivf_rabitq", {"nlist": 4}, {"nprobe": 2, "rescore": 2}, 16),
        Kind("hnsw_flat", {}, {"ef_search": 16}),
    ],
    ids=lambda kind: kind.family,
)
def test_equal_vectors_come_in_order_of_id_wherever_they_lie(tmp_path, kind):
    vectors, _ = clustered(400, DIM)
    vectors[::4] = vectors[0]
    made = make(tmp_path, np.array_split(vectors, 8), kind)
    same = sorted(
        segment.row(row)["unit_id"]
        for segment, part in zip(made.segments, made.vectors, strict=True)
        for row in np.flatnonzero((part == vectors[0]).all(axis=1)).tolist()
    )

    for k in (1, 5, 30, 99):
        (found,) = names(answers(made, search_segments(made.segments, vectors[:1], k, kind.search)))
        assert found == same[:k]


def test_no_segments_and_no_queries_answer_nothing(tmp_path):
    vectors, _ = clustered(30, DIM)
    made = make(tmp_path, [vectors], Kind("flat"))

    assert search_segments([], vectors[:3], 5, {}).row.shape == (3, 0)
    assert search_segments(made.segments, vectors[:0], 5, {}).row.shape == (0, 5)
    none = search_segments(made.segments, vectors[:2], 5, {}, allowed=[np.zeros(30, bool)])
    assert none.similarity.shape == none.segment.shape == none.row.shape == (2, 0)


def test_lists_that_hold_too_few_are_not_the_end(tmp_path):
    vectors, _ = clustered(300, DIM)
    made = make(tmp_path, np.array_split(vectors, 3), Kind("ivf_flat", {"nlist": 30}))

    found = search_segments(made.segments, vectors[:10], 200, {"nprobe": 1})

    assert (found.row >= 0).all()
    everything = search_segments(made.segments, vectors[:10], 500, {"nprobe": 1})
    assert everything.row.shape == (10, 300)
    assert (everything.row >= 0).all()


def test_a_query_is_answered_alike_alone_and_among_others(tmp_path):
    vectors, _ = clustered(600, DIM)
    vectors[:40] = vectors[40]
    deleted = [np.arange(200) % 3 == i for i in range(3)]
    search = {"nprobe": 2, "rescore": 3}
    kind = Kind("ivf_rabitq", {"nlist": 8}, search, 16)
    made = make(tmp_path, np.array_split(vectors, 3), kind, deleted)
    allowed = [np.arange(200) % 5 != i for i in range(3)]

    together = search_segments(made.segments, vectors[:12], 30, search, allowed=allowed)

    for i in range(12):
        alone = search_segments(made.segments, vectors[i : i + 1], 30, search, allowed=allowed)
        for name in ("similarity", "segment", "row"):
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[i])


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_rescoring_ranks_by_the_full_vectors(tmp_path, bits):
    vectors, _ = clustered(600, 64, spread=2.0)
    queries, _ = clustered(20, 64, seed=5, spread=2.0)
    made = make(tmp_path, np.array_split(vectors, 2), Kind("ivf_rabitq", {"nlist": 8}, bits=bits))

    coarse = search_segments(made.segments, queries, 10, {"nprobe": 8})
    fine = search_segments(made.segments, queries, 10, {"nprobe": 8, "rescore": 20})

    def recall(found):
        pairs = zip(answers(made, found), queries, strict=True)
        right = [len({n for _, n in hits} & {n for _, n in made.best(q, 10)}) for hits, q in pairs]
        return sum(right) / 10 / len(right)

    assert recall(fine) > max(0.97, recall(coarse) + 0.2)
    tolerance = {32: 1e-6, 16: 1e-3, 8: 0.02}[bits]
    for hits, query in zip(answers(made, fine), queries, strict=True):
        exact = {name: near for near, name in made.best(query, 600)}
        assert all(abs(exact[name] - near) < tolerance for near, name in hits)


@pytest.mark.parametrize("family", ["flat", "binary"])
def test_an_index_of_fewer_dims_takes_full_queries(tmp_path, family):
    rng = np.random.default_rng(4)
    weights = 1 / np.arange(1, 65)
    vectors = unit(rng.standard_normal((500, 64)) * weights)
    queries = unit(rng.standard_normal((10, 64)) * weights)
    made = make(tmp_path, np.array_split(vectors, 2), Kind(family, dims=16, bits=32))

    short = search_segments(made.segments, queries, 5, {})
    full = search_segments(made.segments, queries, 5, {"rescore": 80})

    if family == "flat":
        cut = replace(made, vectors=[unit(part[:, :16]) for part in made.vectors])
        for hits, query in zip(answers(made, short), unit(queries[:, :16]), strict=True):
            assert [n for _, n in hits] == [n for _, n in cut.best(query, 5)]
    right = [
        len({n for _, n in hits} & {n for _, n in made.best(query, 5)})
        for hits, query in zip(answers(made, full), queries, strict=True)
    ]
    assert sum(right) >= 48


def test_euclidean_distance(tmp_path):
    rng = np.random.default_rng(8)
    vectors = (rng.standard_normal((300, DIM)) * rng.random((300, 1)) * 3).astype(np.float32)
    for kind in (
        Kind("flat", metric="l2"),
        Kind("ivf_flat", {"nlist": 6}, {"nprobe": 6}, metric="l2"),
        Kind("ivf_rabitq", {"nlist": 6}, {"nprobe": 6, "rescore": 30}, 32, metric="l2"),
    ):
        made = make(tmp_path, np.array_split(vectors, 2), kind)
        for allowed in (None, [np.arange(150) < 4, np.arange(150) < 1]):
            found = search_segments(
                made.segments, vectors[:3] + 0.1, 5, kind.search, metric="l2", allowed=allowed
            )
            for hits, query in zip(answers(made, found), vectors[:3] + 0.1, strict=True):
                expected = made.best(query, 5, allowed, "l2")
                assert [n for _, n in hits] == [n for _, n in expected]
                np.testing.assert_allclose(
                    [s for s, _ in hits], [s for s, _ in expected], rtol=1e-4, atol=1e-5
                )


EXACT = [
    Kind("flat"),
    Kind("ivf_flat", {"nlist": 5}, {"nprobe": 5}),
    Kind("ivf_flat", {"nlist": 5}, {"nprobe": 5, "rescore": 2}, 32),
    Kind("ivf_rabitq", {"nlist": 5}, {"nprobe": 5, "rescore": 200}, 32),
    Kind("hnsw_flat", {}, {"ef_search": 200}),
]
LOOSE = [
    Kind("ivf_sq8", {"nlist": 12}, {"nprobe": 1}),
    Kind("ivf_rabitq", {"nlist": 12}, {"nprobe": 1, "rescore": 2}, 16),
    Kind("hnsw_sq8", {}, {"ef_search": 4}),
    Kind("flat_sq8"),
]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """Indices of one to three segments of every way to search, opened without tombstones."""
    vectors, _ = clustered(180, DIM, topics=6)
    vectors[10:20] = vectors[100]  # equal ones, over segments
    return {
        (number, count): make(
            tmp_path_factory.mktemp("index"), np.array_split(vectors, count), kind
        )
        for number, kind in enumerate(EXACT + LOOSE)
        for count in (1, 2, 3)
    }


@st.composite
def asked(draw, ways):
    count = draw(st.integers(1, 3))
    sizes = [len(part) for part in np.array_split(np.arange(180), count)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.95, 1.0]))
    gone = draw(st.sampled_from([0.0, 0.01, 0.3, 0.99]))
    whole = draw(st.booleans())
    allowed = [None if whole and i == 0 else rng.random(n) < share for i, n in enumerate(sizes)]
    deleted = [rng.random(n) < gone for n in sizes]
    query = unit(rng.standard_normal((draw(st.integers(1, 3)), DIM)))
    return (
        draw(st.sampled_from(ways)),
        count,
        allowed,
        deleted,
        query,
        draw(st.sampled_from([1, 3, 10, 60, 400])),
    )


def under_tombstones(made, deleted):
    segments = [
        replace(segment, deleted=gone, live=segment.live.within(~gone))
        for segment, gone in zip(made.segments, deleted, strict=True)
    ]
    return replace(made, segments=segments, deleted=deleted)


@settings(max_examples=100)
@given(asked(range(len(EXACT))))
def test_exhaustive_search_is_brute_force_under_filters_and_tombstones(stock, case):
    way, count, allowed, deleted, queries, k = case
    made = under_tombstones(stock[way, count], deleted)

    found = answers(
        made, search_segments(made.segments, queries, k, EXACT[way].search, allowed=allowed)
    )

    for hits, query in zip(found, queries, strict=True):
        expected = made.best(query, k, allowed)
        assert len(hits) == len(expected)
        np.testing.assert_allclose([s for s, _ in hits], [s for s, _ in expected], atol=1e-6)
        assert sorted(hits, key=lambda hit: (-hit[0], hit[1])) == hits
        exact = {name: near for near, name in made.best(query, 400, allowed)}
        assert all(abs(exact[name] - near) < 1e-6 for near, name in hits)


@settings(max_examples=100)
@given(asked(range(len(LOOSE))))
def test_no_search_finds_a_forbidden_row_or_fewer_than_there_are(stock, case):
    way, count, allowed, deleted, queries, k = case
    made = under_tombstones(stock[len(EXACT) + way, count], deleted)

    found = search_segments(made.segments, queries, k, LOOSE[way].search, allowed=allowed)

    may = [
        ~gone if mask is None else mask & ~gone for mask, gone in zip(allowed, deleted, strict=True)
    ]
    assert found.row.shape == (len(queries), min(k, sum(int(m.sum()) for m in may)))
    for segments, rows in zip(found.segment.tolist(), found.row.tolist(), strict=True):
        places = list(zip(segments, rows, strict=True))
        assert len(set(places)) == len(places)
        assert all(may[segment][row] for segment, row in places)


def test_an_unfiltered_search_does_not_look_at_deleted_rows(tmp_path):
    vectors, _ = clustered(100, DIM)
    deleted = [np.zeros(100, bool)]
    deleted[0][7] = True
    made = make(tmp_path, [vectors], Kind("flat"), deleted)

    assert made.segments[0].live_rows == 99
    found = search_segments(made.segments, vectors[7:8], 200, {})
    assert sorted(found.row[0].tolist()) == [i for i in range(100) if i != 7]


def test_vectors_come_back_in_the_order_of_rows(tmp_path):
    vectors, _ = clustered(300, DIM)
    made = make(tmp_path, np.array_split(vectors, 2), Kind("ivf_flat", {"nlist": 5}))

    for segment, part in zip(made.segments, made.vectors, strict=True):
        np.testing.assert_array_equal(segment.vectors(), part)


@pytest.mark.parametrize("broken", ["index", "rows", "full", "deleted"])
@pytest.mark.parametrize("how", ["missing", "truncated", "noise"])
def test_a_broken_file_is_named(tmp_path, broken, how):
    vectors, _ = clustered(50, DIM)
    made = make(tmp_path, [vectors], Kind("flat", bits=16), [np.arange(50) == 3])
    paths = made.paths[0]
    target: Path = getattr(paths, broken)
    whole = target.read_bytes()
    target.unlink()  # another file: the first one is still mapped
    if how != "missing":
        target.write_bytes(whole[: len(whole) // 2] if how == "truncated" else b"\x00" * 1000)

    with pytest.raises(IntegrityError, match=target.name):
        OpenSegment.open(paths, "flat", {})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("rows", r"has 50 vectors, its rows\.arrow 60"),
        ("full", r"full is float16 \[60, 24\], expected 50 rows"),
        ("deleted", "names a row beyond the 50"),
    ],
)
def test_files_of_two_segments_do_not_pair(tmp_path, other, message):
    small, _ = clustered(50, DIM)
    large, _ = clustered(60, DIM)
    gone = [np.arange(50) == 3]
    paths = make(tmp_path / "a", [small], Kind("flat", bits=16), gone).paths[0]
    theirs = make(tmp_path / "b", [large], Kind("flat", bits=16), [np.arange(60) == 55]).paths[0]

    with pytest.raises(IntegrityError, match=message):
        OpenSegment.open(replace(paths, **{other: getattr(theirs, other)}), "flat", {})
