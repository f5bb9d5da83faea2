import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Indexing
from stages.index.increment import Standing, plan_increment

CONFIG = Indexing(merge_floor_rows=100, merge_segments=4, segment_rows=10_000, deleted_share=0.25)


def whole(*rows: int) -> list[Standing]:
    return [Standing(n, n) for n in rows]


def test_new_rows_beside_big_segments_move_nothing():
    plan = plan_increment(whole(5000, 3000), 200, CONFIG)

    assert (plan.kept, plan.moved) == ((0, 1), ())


def test_small_segments_move_into_the_new_one():
    plan = plan_increment(whole(5000, 99, 20), 1, CONFIG)

    assert (plan.kept, plan.moved) == ((0,), (1, 2))


def test_nothing_moves_where_nothing_comes():
    plan = plan_increment(whole(5000, 99), 0, CONFIG)

    assert (plan.kept, plan.moved) == ((0, 1), ())


@pytest.mark.parametrize(("live", "stays"), [(4000, True), (3750, True), (3749, False), (0, False)])
def test_a_segment_that_lost_too_many_rows_is_written_anew(live, stays):
    plan = plan_increment([Standing(5000, live), Standing(5000, 5000)], 0, CONFIG)

    assert (0 in plan.kept) is stays
    assert 1 in plan.kept


def test_expunging_leaves_no_tombstone():
    plan = plan_increment([Standing(5000, 4999), Standing(5000, 5000)], 0, CONFIG, expunge=True)

    assert (plan.kept, plan.moved) == ((1,), (0,))


def test_a_full_tier_moves_up():
    plan = plan_increment(whole(9000, 150, 160, 170, 180), 150, CONFIG)

    assert (plan.kept, plan.moved) == ((0,), (1, 2, 3, 4))


def test_segments_of_full_size_never_move_for_their_number():
    plan = plan_increment(whole(*[10_000] * 20), 9000, CONFIG)

    assert plan.moved == ()


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=200))
def test_however_rows_come_there_are_few_segments_and_each_row_moves_seldom(increments):
    segments: list[int] = []
    moved_rows = 0
    for rows in increments:
        plan = plan_increment(whole(*segments), rows, CONFIG)
        moved_rows += sum(segments[i] for i in plan.moved)
        segments = [segments[i] for i in plan.kept] + [rows + sum(segments[i] for i in plan.moved)]

    total = sum(increments)
    tiers = 2 + max(0, (total // CONFIG.merge_floor_rows).bit_length() // 2)
    assert sum(segments) == total
    big = sum(rows >= CONFIG.segment_rows for rows in segments)
    assert len(segments) - big <= CONFIG.merge_segments * tiers
    # What is below the floor is written again with each increment: at most a floor for each.
    assert moved_rows <= total * tiers + CONFIG.merge_floor_rows * len(increments)
