from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import VectorError
from schemas.space import Marked, SparseVector
from stages.embed.check import check_marked, check_vectors
from stages.embed.registry import contract

SPACE = contract("minilm")


def unit_vectors(count: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(count, SPACE.dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_good_vectors_pass():
    check_vectors(unit_vectors(3), SPACE)
    check_vectors(np.empty((0, SPACE.dim), np.float32), SPACE)


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.zeros((2, 5), np.float32), "shape"),
        (np.zeros(SPACE.dim, np.float32), "shape"),
        (unit_vectors(2).astype(np.float64), "float64"),
    ],
)
def test_wrong_shape_or_type(vectors, said):
    with pytest.raises(VectorError, match=said):
        check_vectors(vectors, SPACE)


@given(
    row=st.integers(0, 8),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    column=st.integers(0, SPACE.dim - 1),
)
def test_says_which_row_is_not_finite(row, value, column):
    vectors = unit_vectors(9)
    vectors[row, column] = value
    with pytest.raises(VectorError, match=f"row {row} of 9.*not finite"):
        check_vectors(vectors, SPACE)


@given(row=st.integers(0, 8), scale=st.sampled_from([0.0, 0.99, 1.01, 1e20]))
def test_says_which_row_is_off_norm(row, scale):
    vectors = unit_vectors(9)
    vectors[row] *= np.float32(scale)
    with pytest.raises(VectorError, match=f"row {row} of 9.*norm"):
        check_vectors(vectors, SPACE)


TOKENS = replace(SPACE, representation="tokens")
SPARSE = replace(SPACE, representation="sparse")


def sparse(terms: list[int], weights: list[float]) -> Marked:
    return Marked.of(SparseVector(np.array(terms, np.int32), np.array(weights, np.float32)))


def test_good_embeddings_of_many_numbers_pass():
    check_marked(Marked(unit_vectors(3), np.zeros(3, np.int32)), TOKENS)
    check_marked(sparse([0, 7, SPACE.dim - 1], [0.5, 1, 2]), SPARSE)
    check_marked(sparse([], []), SPARSE)


@pytest.mark.parametrize(
    ("found", "space", "said"),
    [
        (Marked(unit_vectors(0), np.zeros(0, np.int32)), TOKENS, "at least one"),
        (Marked(2 * unit_vectors(2), np.zeros(2, np.int32)), TOKENS, "norm"),
        (Marked(unit_vectors(2), np.zeros(3, np.int32)), TOKENS, "marks"),
        (Marked(unit_vectors(2), np.zeros(2, np.int64)), TOKENS, "int64"),
        (Marked(unit_vectors(2)[:, :5], np.zeros(2, np.int32)), TOKENS, "shape"),
        (sparse([3, 3], [1, 1]), SPARSE, "out of order"),
        (sparse([7, 3], [1, 1]), SPARSE, "out of order"),
        (sparse([3, SPACE.dim], [1, 1]), SPARSE, "no term below"),
        (sparse([-1, 3], [1, 1]), SPARSE, "no term below"),
        (sparse([1, 3], [1, 0]), SPARSE, "above 0"),
        (sparse([1, 3], [1, np.nan]), SPARSE, "above 0"),
        (Marked(unit_vectors(2), np.arange(2, dtype=np.int32)), SPARSE, "shape"),
    ],
)
def test_bad_embeddings_of_many_numbers_are_refused(found, space, said):
    with pytest.raises(VectorError, match=said):
        check_marked(found, space)
