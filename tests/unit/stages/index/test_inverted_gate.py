"""What the gate of inverted indices lets through, and what not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.space import SparseVector
from stages.index.bm25 import K1, B, LexicalIndex
from stages.index.inverted_gate import FOUND, check_inverted
from stages.index.postings import OpenPostings, sparse_schema
from stages.index.sparse import SparseIndex, SparsePart, SparseRequest, build_sparse
from tests.unit.stages.index.words import Texts, lexical

TEXTS = [f"drawing {n} of the shaft, number {n * n}" for n in range(60)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return lexical(tmp_path_factory.mktemp("gate"), Texts(TEXTS, "en"), parts=2, deleted={3, 30})


def failed(index, entry, **rest):
    checks = check_inverted(index, entry, rest.pop("broken_files", 0), **rest)
    return [check.name for check in checks if not check.passed]


def spoilt(asked, **changes):
    """The index with other arrays in the postings of its first segment."""
    first, *rest = asked.index.parts
    part = replace(first, postings=replace(first.postings, **changes))
    return LexicalIndex([part, *rest], {"k1": K1, "b": B})


def test_a_whole_index_passes(asked):
    assert failed(asked.index, asked.entry) == []


def test_files_and_rows_are_counted(asked):
    assert failed(asked.index, asked.entry, broken_files=1) == ["postings_broken_files"]
    other = replace(asked.entry, rows=asked.entry.rows + 1)
    assert failed(asked.index, other) == ["postings_rows_off_table"]


def test_lists_that_name_other_rows_do_not_pass(asked):
    postings = asked.index.parts[0].postings
    reversed_rows = len(asked.index.parts[0].lengths) - 1 - postings.rows
    assert "postings_off" in failed(spoilt(asked, rows=reversed_rows), asked.entry)
    beyond = np.where(postings.rows == 0, 10_000, postings.rows).astype(np.int32)
    assert "postings_off" in failed(spoilt(asked, rows=beyond), asked.entry)
    assert "postings_off" in failed(spoilt(asked, weights=postings.weights + 1), asked.entry)


def test_units_that_their_own_words_do_not_find_do_not_pass(asked):
    words = asked.index.parts[0].postings.terms
    names = [f"{name}x" for name in words.to_pylist()]
    assert FOUND in failed(spoilt(asked, terms=pa.array(names)), asked.entry)


def test_sparse_units_are_asked_for_by_their_own_vectors(asked, tmp_path: Path):
    segment = asked.segments[0]
    random = np.random.default_rng(5)
    vectors = [
        SparseVector(
            np.sort(random.choice(1000, 20, replace=False)).astype(np.int32),
            random.random(20).astype(np.float32) + 0.1,
        )
        for _ in range(len(segment.rows))
    ]
    counts = np.full(len(vectors), 20)
    terms, weights = (np.concatenate([v[i] for v in vectors]) for i in (0, 1))
    answer = build_sparse(SparseRequest(len(vectors)), counts, terms, weights)
    path = tmp_path / "postings.arrow"
    path.write_bytes(answer.arrays[0].tobytes())
    index = SparseIndex([SparsePart(segment, OpenPostings.open(path, sparse_schema()))])
    ref = replace(asked.entry.segments[0], postings=answer.value.postings)
    entry = replace(asked.entry, encoder="toy", rows=segment.live_rows, segments=(ref,))

    sample = tuple((0, row, vector) for row, vector in enumerate(vectors))
    assert failed(index, entry, sample=sample) == []
    moved = tuple((0, row, vectors[row - 1]) for row in range(len(vectors)))
    assert failed(index, entry, sample=moved) == [FOUND]
