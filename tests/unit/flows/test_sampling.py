from hypothesis import given
from hypothesis import strategies as st

from flows.sampling import share_out
from schemas.partition import ALL_PARTITIONS

SIZES = st.lists(st.integers(0, 500), min_size=1, max_size=len(ALL_PARTITIONS))


@given(SIZES, st.integers(0, 3000))
def test_the_whole_sample_is_shared_out_and_small_partitions_give_all_they_have(sizes, count):
    given_sizes = dict(zip(ALL_PARTITIONS, sizes, strict=False))
    shares = share_out(given_sizes, count)
    assert list(shares) == list(given_sizes)
    assert sum(shares.values()) == min(count, sum(sizes))
    assert all(shares[p] <= size for p, size in given_sizes.items())
    full = max(shares.values())
    assert all(shares[p] == size or shares[p] >= full - 1 for p, size in given_sizes.items())
