from pathlib import Path

import numpy as np
import pytest

from schemas.errors import IntegrityError
from stages.index.segments import OpenSegment, search_segments


def answers(segments, found):
    """[(unit_id, similarity)] by query."""
    return [
        [
            (segments[s].row(r)["unit_id"], similarity)
            for s, r, similarity in zip(*places, strict=True)
        ]
        for places in zip(found.segment.tolist(), found.row.tolist(), found.similarity, strict=True)
    ]


@pytest.mark.parametrize("shards", [2, 8, 64])
def test_many_segments_answer_as_one(corpus, shards):
    rows, vectors = corpus.rows(500), corpus.vectors(500)
    one, _, _ = corpus.opened(rows, vectors)
    many, _, _ = corpus.opened(rows, vectors, shards)
    queries = corpus.vectors(5, seed=3)

    assert len(many) == shards
    assert answers(many, search_segments(many, queries, 20, "flat", {})) == answers(
        one, search_segments(one, queries, 20, "flat", {})
    )


def test_equal_vectors_come_in_order_of_id_wherever_they_lie(corpus):
    rows = corpus.rows(400)
    vectors = corpus.vectors(400)
    vectors[::4] = vectors[0]
    segments, _, _ = corpus.opened(rows, vectors, 8)

    (found,) = answers(segments, search_segments(segments, vectors[:1], 30, "flat", {}))

    assert [unit_id for unit_id, _ in found] == sorted(rows.column("unit_id").to_pylist()[::4])[:30]


def test_no_segments_answer_nothing(corpus):
    found = search_segments([], corpus.vectors(3), 5, "flat", {})

    assert found.similarity.shape == found.segment.shape == found.row.shape == (3, 0)


def test_vectors_come_back_in_the_order_of_rows(corpus):
    rows, vectors = corpus.rows(300), corpus.vectors(300)
    segments, parts, _ = corpus.opened(rows, vectors, 2, "ivf_flat", nlist=5)

    for segment, part in zip(segments, parts, strict=True):
        np.testing.assert_array_equal(segment.vectors(), part)


@pytest.mark.parametrize(
    ("broken", "message"), [(0, "cannot open .*index.faiss"), (1, "rows.arrow")]
)
@pytest.mark.parametrize("how", ["missing", "truncated", "noise"])
def test_a_broken_file_is_named(corpus, broken, message, how):
    _, _, paths = corpus.opened(corpus.rows(50), corpus.vectors(50))
    target = Path(paths[0][broken])
    whole = target.read_bytes()
    target.unlink()  # another file: the first one is still mapped
    if how != "missing":
        target.write_bytes(whole[: len(whole) // 2] if how == "truncated" else b"\x00" * 1000)

    with pytest.raises(IntegrityError, match=message):
        OpenSegment.open(*map(Path, paths[0]))


def test_files_of_two_segments_do_not_pair(corpus):
    _, _, small = corpus.opened(corpus.rows(50), corpus.vectors(50))
    _, _, large = corpus.opened(corpus.rows(60), corpus.vectors(60))

    with pytest.raises(IntegrityError, match=r"has 60 vectors, its rows\.arrow 50"):
        OpenSegment.open(Path(large[0][0]), Path(small[0][1]))
