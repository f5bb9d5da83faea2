import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import VectorError
from stages.embed.check import check_vectors
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
