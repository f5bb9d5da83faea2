import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import IntegrityError
from stages.index.shards import query_rows, shard_of, split, training_rows

IDS = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(2000)]
hex_ids = st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), unique=True)
shard_counts = st.sampled_from([1, 2, 4, 8, 64])


@given(hex_ids, shard_counts)
def test_every_row_is_in_one_shard_in_order_of_id(ids, shards):
    parts = split(ids, shards)

    assert sorted(row for part in parts for row in part.tolist()) == list(range(len(ids)))
    in_order = [ids[row] for part in parts for row in part.tolist()]
    assert in_order == sorted(ids)


@given(hex_ids, shard_counts, st.randoms())
def test_order_of_arrival_does_not_matter(ids, shards, shuffler):
    shuffled = ids.copy()
    shuffler.shuffle(shuffled)

    assert [[ids[r] for r in p] for p in split(ids, shards)] == [
        [shuffled[r] for r in p] for p in split(shuffled, shards)
    ]


def test_a_new_unit_touches_one_shard():
    before, after = split(IDS[:-1], 8), split(IDS, 8)

    changed = [i for i in range(8) if len(before[i]) != len(after[i])]
    assert changed == [shard_of(IDS[-1], 8)]


@given(st.text("0123456789abcdef", min_size=32, max_size=32), shard_counts)
def test_doubling_splits_a_shard_in_two(unit_id, shards):
    assert shard_of(unit_id, 2 * shards) // 2 == shard_of(unit_id, shards)


def test_shards_are_of_even_size():
    sizes = [len(part) for part in split(IDS, 8)]

    assert min(sizes) > 0.8 * len(IDS) / 8


def test_samples_do_not_depend_on_arrival_and_are_spread_over_shards():
    shuffled = IDS.copy()
    random.Random(0).shuffle(shuffled)

    picked = [IDS[r] for r in training_rows(IDS, 400)]

    assert picked == [shuffled[r] for r in training_rows(shuffled, 400)]
    assert min(np.bincount([shard_of(u, 4) for u in picked])) > 70


def test_questions_are_not_rows_that_were_trained_on():
    assert not set(training_rows(IDS, 1500)) & set(query_rows(IDS, 500))
    assert len(query_rows(IDS, 5000)) == len(IDS)


def test_an_id_that_is_no_digest_is_refused():
    with pytest.raises(IntegrityError, match="'paragraph-1' is not made of hex digits"):
        split(["paragraph-1"], 2)
