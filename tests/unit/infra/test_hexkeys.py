import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lake.hexkeys import HexKeys, expand
from schemas.errors import IntegrityError

# Few distinct halves, so that many ids share one, or both.
HALVES = st.sampled_from(["0" * 16, "0" * 15 + "1", "8" + "0" * 15, "f" * 16])
IDS = st.lists(st.tuples(HALVES, HALVES).map("".join), max_size=40)


def keys(ids):
    return HexKeys.of(pa.array(ids, pa.string()))


@given(IDS)
def test_order_is_that_of_the_strings_and_stable(ids):
    order = keys(ids).order()
    assert order.tolist() == sorted(range(len(ids)), key=ids.__getitem__)
    ascending = keys(ids).take(order)
    assert ascending.strings().to_pylist() == sorted(ids)
    assert ascending.take(ascending.firsts()).strings().to_pylist() == sorted(set(ids))


@given(IDS, IDS)
def test_ids_are_found_where_they_stand(ids, wanted):
    ids = sorted(ids)
    left, right = keys(ids).find(keys(wanted))
    found = [ids[a:b] for a, b in zip(left, right, strict=True)]
    assert found == [[w] * ids.count(w) for w in wanted]
    assert keys(ids).holds(keys(wanted)).tolist() == [w in ids for w in wanted]
    ranges, places = expand(left, right)
    assert [(wanted[r], ids[p]) for r, p in zip(ranges, places, strict=True)] == [
        (w, w) for w in wanted for _ in range(ids.count(w))
    ]


def test_a_slice_of_an_array_has_its_own_ids():
    ids = [f"{i:032x}" for i in range(10)]
    assert HexKeys.of(pa.array(ids)[3:7]).strings().to_pylist() == ids[3:7]
    chunks = pa.chunked_array([ids[:2], [], ids[2:5]])
    assert HexKeys.of(chunks).low.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "bad",
    ["", "ab", "A" * 32, "g" * 32, "0 " * 16, "0" * 33, None, "é" + "0" * 30, "0" * 31 + "\n"],
)
def test_what_is_no_id_is_named(bad):
    with pytest.raises(IntegrityError, match="32 hex digits"):
        keys(["0" * 32, bad])


def test_many_ids_that_share_a_half_are_found_fast_enough():
    low = np.arange(200_000, dtype=np.uint64)
    same = HexKeys(np.zeros_like(low), low)
    left, right = same.find(same.take(low[::-1].astype(np.int64)))
    assert (left == low[::-1].astype(np.int64)).all()
    assert (right - left == 1).all()
