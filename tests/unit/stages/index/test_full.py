import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from schemas.errors import ConfigError, IntegrityError, VectorError
from stages.index.full import decode, full_bytes, open_full, similarities
from tests.unit.stages.index.pieces import unit

VECTORS = unit(np.random.default_rng(1).standard_normal((200, 48)))
ZERO = np.zeros((1, 1), dtype=np.int64)


def opened(tmp_path, vectors, bits):
    path = tmp_path / "full.npy"
    full_bytes(vectors, bits).tofile(path)
    return open_full(path, len(vectors))


@pytest.mark.parametrize(
    ("bits", "dtype", "error"), [(32, "f4", 0), (16, "f2", 2e-4), (8, "i1", 4e-3)]
)
def test_vectors_come_back(tmp_path, bits, dtype, error):
    full = opened(tmp_path, VECTORS, bits)

    assert isinstance(full, np.memmap)
    assert full.dtype == np.dtype(dtype)
    assert full.shape == VECTORS.shape
    assert np.abs(decode(np.asarray(full)) - VECTORS).max() <= error
    lengths = np.linalg.norm(decode(np.asarray(full)), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6 if bits == 8 else 1e-3)


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_the_file_is_what_numpy_writes(bits):
    data = full_bytes(VECTORS, bits).tobytes()
    sink = io.BytesIO()
    np.save(sink, np.load(io.BytesIO(data)))

    assert data == sink.getvalue()
    assert full_bytes(VECTORS.copy(), bits).tobytes() == data


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_no_vectors_are_a_file_too(tmp_path, bits):
    assert opened(tmp_path, VECTORS[:0], bits).shape == (0, 48)


@settings(max_examples=100)
@given(
    hnp.arrays(np.float16, 64, elements=st.floats(width=16, allow_nan=False, allow_infinity=False))
)
def test_float16_is_decoded_exactly(stored):
    np.testing.assert_array_equal(decode(stored), stored.astype(np.float32))


def test_every_float16_is_decoded_exactly():
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]

    np.testing.assert_array_equal(
        decode(every).view(np.uint32), every.astype(np.float32).view(np.uint32)
    )


@pytest.mark.parametrize("bits", [32, 16, 8])
@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_similarities_are_exact_for_what_is_stored(tmp_path, bits, metric):
    full = opened(tmp_path, VECTORS, bits)
    rng = np.random.default_rng(2)
    rows, segments = rng.integers(-1, 200, (9, 50)), rng.integers(0, 3, (9, 50))
    rows[segments == 1] = -1

    found = similarities([full, None, full[::-1]], VECTORS[:9], segments, rows, metric)

    stored = np.stack([decode(np.asarray(full)), decode(np.asarray(full))[::-1]]).astype(np.float64)
    for query, asked in enumerate(VECTORS[:9].astype(np.float64)):
        there = rows[query] >= 0
        vectors = stored[segments[query] // 2, rows[query]]
        exact = vectors @ asked if metric == "inner_product" else -((vectors - asked) ** 2).sum(1)
        np.testing.assert_allclose(found[query][there], exact[there], atol=1e-6)
        assert (found[query][~there] == -np.inf).all()


def test_a_pair_gives_the_same_bits_in_any_company(tmp_path):
    full = opened(tmp_path, np.tile(VECTORS[:1], (97, 1)), 16)

    (alone,) = similarities([full], VECTORS[5:6], ZERO, np.array([[0]]), "inner_product")[0]
    for count in (2, 3, 17, 97):
        rows = np.tile(np.arange(count), (4, 1))
        queries = np.tile(VECTORS[5:6], (4, 1))
        found = similarities([full], queries, np.zeros_like(rows), rows, "inner_product")
        assert set(found.ravel().tolist()) == {alone}


def test_a_zero_vector_stays_one(tmp_path):
    stored = np.zeros((1, 8), dtype=np.int8)

    np.testing.assert_array_equal(decode(stored), np.zeros((1, 8), dtype=np.float32))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="rescore_bits is 4; there are 32, 16, 8"):
        full_bytes(VECTORS, 4)
    with pytest.raises(VectorError, match="16 bits"):
        full_bytes(VECTORS * 1e6, 16)
    with pytest.raises(VectorError, match="length 1"):
        full_bytes(VECTORS * 2, 8)


@pytest.mark.parametrize(
    "array", [np.zeros(8, "f4"), np.zeros((3, 2), "f8"), np.zeros((4, 2), "f4")], ids=str
)
def test_another_array_is_refused(tmp_path, array):
    path = tmp_path / "full.npy"
    np.save(path, array)

    with pytest.raises(IntegrityError, match="expected 3 rows of vectors"):
        open_full(path, 3)


def test_a_broken_file_is_refused(tmp_path):
    path = tmp_path / "full.npy"
    data = full_bytes(VECTORS, 16).tobytes()
    for broken in (b"", b"no array", data[:-1], data[:20]):
        path.write_bytes(broken)
        with pytest.raises(IntegrityError, match=r"cannot open .*full\.npy"):
            open_full(path, 200)
