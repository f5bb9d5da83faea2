import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError, IntegrityError, VectorError
from stages.index.maps import AffineMap
from stages.upgrade.fit import fit_map, least_pairs

SEEDS = st.integers(0, 2**32 - 1)
DIMS = st.integers(2, 24)


def unit(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    vectors = rng.standard_normal((rows, dim)) + rng.standard_normal(dim)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def orthonormal(rng: np.random.Generator, dim: int, other: int) -> np.ndarray:
    """With orthonormal rows, [dim, other], dim at most other."""
    found, _ = np.linalg.qr(rng.standard_normal((other, dim)))
    return found.T.astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, dim=DIMS, more=st.integers(0, 16))
def test_a_rotation_is_found_again_whatever_the_dims(seed, dim, more):
    rng = np.random.default_rng(seed)
    vectors, rotation = unit(rng, 40 + 4 * dim, dim), orthonormal(rng, dim, dim + more)
    fitted = fit_map(vectors, vectors @ rotation)
    others = unit(rng, 50, dim)
    assert np.abs(fitted.map.apply(others) - others @ rotation).max() < 1e-5
    assert fitted.recall == 1
    back = fit_map(vectors @ rotation, vectors)
    assert np.abs(back.map.apply(others @ rotation) - others).max() < 1e-5


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, dim=DIMS, other=DIMS, noise=st.floats(0, 2))
def test_what_is_mapped_has_the_length_that_the_space_wants(seed, dim, other, noise):
    rng = np.random.default_rng(seed)
    vectors = unit(rng, 60, dim)
    others = vectors @ rng.standard_normal((dim, other)) + noise * rng.standard_normal((60, other))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    mapped = fit_map(vectors, others.astype(np.float32)).map.apply(vectors)
    assert np.allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, dim=DIMS)
def test_a_rotation_alone_keeps_distances(seed, dim):
    rng = np.random.default_rng(seed)
    vectors, others = unit(rng, 80, dim), unit(rng, 80, dim)
    fitted = fit_map(vectors, others, normalised=False, ridges=(np.inf,))
    mapped = fitted.map.apply(vectors)
    apart = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    assert np.allclose(np.linalg.norm(mapped[:, None] - mapped, axis=2), apart, atol=1e-4)


def test_scales_and_shifts_that_no_rotation_has_are_left_to_the_ridge():
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((600, 8)).astype(np.float32)
    others = (vectors * np.arange(1, 9) + 3).astype(np.float32)
    alone = fit_map(vectors, others, normalised=False, ridges=(np.inf,))
    fitted = fit_map(vectors, others, normalised=False)
    asked = rng.standard_normal((50, 8)).astype(np.float32)
    wanted = asked * np.arange(1, 9) + 3
    errors = [np.abs(f.map.apply(asked) - wanted).mean() for f in (alone, fitted)]
    assert errors[1] < 0.1 * errors[0]
    assert fitted.ridge < 1
    assert "ridge" in fitted.method
    assert alone.method == "procrustes"


def test_few_pairs_are_shrunk_to_the_rotation_more_than_many():
    rng = np.random.default_rng(6)
    vectors, rotation = unit(rng, 4000, 32), orthonormal(rng, 32, 32)
    others = vectors @ (rotation + 0.2 * rng.standard_normal((32, 32)))
    others = (others + 0.05 * rng.standard_normal((4000, 32))).astype(np.float32)
    few, many = (fit_map(vectors[:n], others[:n]).ridge for n in (80, 4000))
    assert few > many


def test_the_same_pairs_give_the_same_bytes():
    rng = np.random.default_rng(7)
    vectors, others = unit(rng, 200, 16), unit(rng, 200, 24)
    first, second = (fit_map(vectors, others).map.to_bytes() for _ in range(2))
    assert first == second
    assert fit_map(vectors[::-1], others).map.to_bytes() != first


def test_a_map_reads_back_as_it_was(tmp_path):
    rng = np.random.default_rng(8)
    fitted = fit_map(unit(rng, 100, 6), unit(rng, 100, 9)).map
    (tmp_path / "map.npy").write_bytes(fitted.to_bytes())
    read = AffineMap.read(tmp_path / "map.npy", normalised=True)
    asked = unit(rng, 5, 6)
    assert read.matrix.shape == (6, 9)
    assert np.array_equal(read.apply(asked), fitted.apply(asked))


@pytest.mark.parametrize("data", [b"", b"no array", b"\x93NUMPY"])
def test_what_is_no_map_is_refused(tmp_path, data):
    (tmp_path / "map.npy").write_bytes(data)
    with pytest.raises(IntegrityError, match="cannot read the map"):
        AffineMap.read(tmp_path / "map.npy", normalised=True)
    with pytest.raises(IntegrityError, match=r"none\.npy"):
        AffineMap.read(tmp_path / "none.npy", normalised=True)


def test_too_few_pairs_are_refused():
    rng = np.random.default_rng(9)
    least = least_pairs(16, 24)
    assert fit_map(unit(rng, least, 16), unit(rng, least, 24)).pairs == least
    with pytest.raises(ConfigError, match=rf"{least - 1} pairs .* 16 to 24 dims: at least {least}"):
        fit_map(unit(rng, least - 1, 16), unit(rng, least - 1, 24))


def test_what_does_not_pair_or_is_not_finite_is_refused():
    rng = np.random.default_rng(10)
    vectors = unit(rng, 100, 4)
    with pytest.raises(VectorError, match="no pairs"):
        fit_map(vectors, vectors[1:])
    broken = vectors.copy()
    broken[3, 2] = np.nan
    with pytest.raises(VectorError, match="NaN"):
        fit_map(vectors, broken)
    with pytest.raises(VectorError, match=r"the map takes \[n, 4\]"):
        fit_map(vectors, vectors).map.apply(vectors[:, :3])
