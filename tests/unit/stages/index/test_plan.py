import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Indexing
from stages.index.plan import plan

CONFIG = Indexing()


@pytest.mark.parametrize(
    ("rows", "family"),
    [
        (0, "flat"),
        (1, "flat"),
        (19_999, "flat"),
        (20_000, "ivf_flat"),
        (199_999, "ivf_flat"),
        (200_000, "ivf_sq8"),
    ],
)
def test_the_family_follows_the_size(rows, family):
    assert plan(rows, 384, CONFIG).family == family


@given(st.integers(min_value=20_000, max_value=10**10))
def test_lists_lie_between_4_and_16_roots_with_30_training_vectors_each(rows):
    chosen = plan(rows, 384, CONFIG)

    nlist = chosen.parameters["nlist"]
    assert 4 * math.sqrt(rows) <= nlist <= 16 * math.sqrt(rows)
    assert 30 * nlist <= chosen.train_rows <= min(rows, 256 * nlist)


@given(st.integers(min_value=1, max_value=1000))
def test_training_vectors_come_before_lists_where_both_cannot_be(rows):
    chosen = plan(rows, 8, Indexing(flat_rows=1, sq8_rows=10**9))

    assert 1 <= chosen.parameters["nlist"] <= max(1, rows // 30)


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=1, max_value=10**6))
def test_no_segment_is_planned_above_its_size(rows, segment_rows):
    shards = plan(rows, 384, Indexing(segment_rows=segment_rows)).shards

    assert shards & (shards - 1) == 0
    assert rows <= shards * segment_rows
    assert shards == 1 or rows > shards / 2 * segment_rows


def test_a_little_growth_keeps_the_plan():
    before, after = plan(500_000, 384, CONFIG), plan(505_000, 384, CONFIG)

    assert (before.family, before.parameters, before.shards) == (
        after.family,
        after.parameters,
        after.shards,
    )


def test_it_says_why():
    assert plan(100, 384, CONFIG).reason == (
        "100 rows are below flat_rows = 20,000: exact search is fast enough"
    )
    assert plan(400_000, 384, CONFIG).reason == (
        "400,000 rows, at or above sq8_rows = 200,000: one byte a dimension (146 MiB for 586 MiB);"
        " 2,560 lists (4.0 times the root of the rows), trained on 102,400 (40 a list);"
        " 4 segments of about 100,000 rows"
    )
