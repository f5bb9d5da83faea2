import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from schemas.errors import IntegrityError
from stages.index.tombstones import parse_tombstones, read_tombstones, tombstone_bytes

CONTAINER = 1 << 16


@st.composite
def deleted_rows(draw):
    """Sparse, dense, full and empty containers, over more than one of them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        size = draw(st.sampled_from([CONTAINER, CONTAINER - 1, 700]))
        parts.append(rng.random(CONTAINER) < draw(st.sampled_from([0, 1e-4, 0.05, 0.07, 0.5, 1])))
        parts[-1][size:] = False
    last = draw(st.integers(0, CONTAINER))
    parts.append(rng.random(last) < draw(st.sampled_from([0, 0.01, 0.5, 1])))
    return np.concatenate(parts)


@settings(max_examples=60)
@given(deleted_rows())
def test_what_is_written_reads_back_the_same_here_and_with_pyroaring(deleted):
    data = tombstone_bytes(deleted).tobytes()

    np.testing.assert_array_equal(parse_tombstones(data, len(deleted)), deleted)
    np.testing.assert_array_equal(
        np.array(BitMap.deserialize(data).to_array(), dtype=np.int64), np.flatnonzero(deleted)
    )
    assert tombstone_bytes(deleted.copy()).tobytes() == data


@settings(max_examples=60)
@given(st.sets(st.integers(0, 5 * CONTAINER - 1), max_size=300))
def test_files_of_pyroaring_are_read(rows):
    data = BitMap(sorted(rows), optimize=False).serialize()

    assert set(np.flatnonzero(parse_tombstones(data, 5 * CONTAINER)).tolist()) == rows


def test_the_worked_example():
    # Cookie, 1 container; key 0 with 2 members at byte 16; rows 3 and 7.
    data = struct.pack("<IIHHI2H", 12346, 1, 0, 1, 16, 3, 7)

    assert tombstone_bytes(np.isin(np.arange(9), [3, 7])).tobytes() == data
    assert parse_tombstones(data, 9).tolist() == [i in (3, 7) for i in range(9)]


def test_run_containers_are_refused():
    data = BitMap(range(10, 5000)).serialize()

    with pytest.raises(IntegrityError, match="run containers"):
        parse_tombstones(data, 5000)


def test_a_row_that_is_not_there_is_refused():
    data = tombstone_bytes(np.arange(100) == 99).tobytes()

    assert parse_tombstones(data, 100)[99]
    with pytest.raises(IntegrityError, match="beyond the 99"):
        parse_tombstones(data, 99)
    far = tombstone_bytes(np.arange(3 * CONTAINER) == 2 * CONTAINER + 1).tobytes()
    with pytest.raises(IntegrityError, match=r"rows from 131072 on, there are 99"):
        parse_tombstones(far, 99)


DENSE = tombstone_bytes(np.arange(2 * CONTAINER) % 3 == 0).tobytes()
SPARSE = tombstone_bytes(np.arange(3 * CONTAINER) % 997 == 0).tobytes()


@pytest.mark.parametrize("data", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_a_file_cut_short_or_grown_is_refused(data):
    for size in [0, 4, 7, 8, 15, 23, 24, 31, 32, len(data) // 2, len(data) - 1]:
        with pytest.raises(IntegrityError, match="roaring"):
            parse_tombstones(data[:size], 3 * CONTAINER)
    with pytest.raises(IntegrityError, match="damaged"):
        parse_tombstones(data + b"\0", 3 * CONTAINER)


@settings(max_examples=200)
@given(st.sampled_from([DENSE, SPARSE]), st.data())
def test_a_changed_byte_of_the_head_or_of_a_bitmap_is_seen(data, pick):
    # In an array a member may become another one in order: that only a checksum sees, and the manifest has one.
    end = len(data) if data is DENSE else 32
    at = pick.draw(st.integers(0, end - 1))
    damaged = bytearray(data)
    damaged[at] ^= pick.draw(st.sampled_from([1, 2, 16, 128]))

    with pytest.raises(IntegrityError):
        parse_tombstones(bytes(damaged), 3 * CONTAINER)


def test_an_array_out_of_order_is_refused():
    with pytest.raises(IntegrityError, match="not in order"):
        parse_tombstones(struct.pack("<IIHHI2H", 12346, 1, 0, 1, 16, 7, 3), 9)


def test_a_file_is_named(tmp_path):
    with pytest.raises(IntegrityError, match=r"cannot open .*gone\.roaring"):
        read_tombstones(tmp_path / "gone.roaring", 9)
    (tmp_path / "text.roaring").write_bytes(b"not at all a bitmap")
    with pytest.raises(IntegrityError, match=r"text\.roaring: no roaring bitmap"):
        read_tombstones(tmp_path / "text.roaring", 9)
