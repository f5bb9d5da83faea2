"""Grouping, retries and judgement, without any process."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.executor import (
    ByteAccount,
    Grouper,
    Item,
    Result,
    StageQueue,
    failure_of,
    process_call,
)
from infra.faults import Fault, FaultStage
from schemas.engine import Answer, Batching, Failure, StageSpec, Task
from schemas.errors import CorruptError

CRASH = Failure("crash", "died", retryable=True)
TIMEOUT = Failure("timeout", "late", retryable=True)


def item(key: str, group: str = "", cost: int = 1) -> Item:
    return Item(key, None, None, cost, group)


def keys(items: list[Item]) -> list[str]:
    return [i.key for i in items]


def queue(**batching: float) -> StageQueue:
    spec = StageSpec("s", FaultStage, batching=Batching(**batching))
    return StageQueue(spec, deque())


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), max_size=60),
    st.integers(1, 6),
    st.integers(0, 15),
)
def test_grouping_keeps_every_item_once_in_order_and_within_limits(items, max_items, max_cost):
    grouper = Grouper(Batching(max_items, max_cost, linger_s=0))
    for i, (group, cost) in enumerate(items):
        grouper.add(item(str(i), group, cost), now_s=0)
    calls = []
    while call := grouper.take(now_s=1, idle_since_s=0):
        calls.append(call)
    assert len(grouper) == 0
    assert sorted(int(i.key) for call in calls for i in call) == list(range(len(items)))
    for call in calls:
        assert len({i.group for i in call}) == 1
        assert len(call) <= max_items
        assert not max_cost or len(call) == 1 or sum(i.cost for i in call) <= max_cost
        assert keys(call) == sorted(keys(call), key=int)


def test_full_groups_go_before_flushed_ones_and_these_before_lingering_ones():
    grouper = Grouper(Batching(max_items=2, linger_s=10))
    grouper.add(item("flushed", "f"), now_s=0)
    grouper.flush()
    grouper.add(item("waiting", "w"), now_s=0)
    grouper.add(item("full1", "x"), now_s=0)
    grouper.add(item("full2", "x"), now_s=0)
    taken = [keys(grouper.take(now_s=1, idle_since_s=0)) for _ in range(3)]
    assert taken == [["full1", "full2"], ["flushed"], []]
    assert grouper.due_in(now_s=1, idle_since_s=0) == 9
    assert keys(grouper.take(now_s=10, idle_since_s=0)) == ["waiting"]
    assert grouper.due_in(now_s=10, idle_since_s=0) is None


def test_lingering_counts_from_the_later_of_idleness_and_arrival():
    grouper = Grouper(Batching(max_items=2, linger_s=1))
    grouper.add(item("a"), now_s=100)
    assert grouper.take(now_s=100.5, idle_since_s=0) == []
    assert grouper.take(now_s=101.5, idle_since_s=101) == []
    assert keys(grouper.take(now_s=101.5, idle_since_s=0)) == ["a"]


def test_a_flushed_group_still_grows():
    grouper = Grouper(Batching(max_items=3, linger_s=99))
    grouper.add(item("a"), now_s=0)
    grouper.flush()
    assert grouper.ready == 1
    grouper.add(item("b"), now_s=0)
    assert keys(grouper.take(now_s=0, idle_since_s=0)) == ["a", "b"]
    assert grouper.ready == 0


def test_a_death_in_a_call_of_several_makes_each_a_suspect_and_then_the_culprit_is_named():
    stage = queue(max_items=2)
    for key in "ab":
        stage.grouper.add(item(key), now_s=0)
    stage.died(stage.take(0, 0), CRASH, seconds=2)
    assert stage.take(99, 0) == []
    first, second = stage.take_suspects(), stage.take_suspects()
    assert (keys(first), keys(second)) == (["a"], ["b"])
    stage.settle(first, Result([Answer(1)], seconds=1), lambda _: None)
    stage.died(second, CRASH, seconds=1)
    outcomes = {o.key: o for o in stage._outcomes}
    assert (outcomes["a"].value, outcomes["a"].attempts) == (1, 2)
    assert (outcomes["b"].failure, outcomes["b"].attempts) == (CRASH, 2)
    assert stage.pending == 0
    stats = stage.snapshot()
    assert (stats.items, stats.failures, stats.calls, stats.busy_s) == (2, 1, 3, 4)


@pytest.mark.parametrize(("failure", "tries"), [(CRASH, 2), (TIMEOUT, 1)])
def test_an_item_alone_gets_a_second_try_after_a_crash_but_not_after_a_timeout(failure, tries):
    stage = queue(max_items=1)
    stage.grouper.add(item("a"), now_s=0)
    stage.died(stage.take(0, 0), failure, seconds=1)
    if tries == 2:
        stage.died(stage.take_suspects(), failure, seconds=1)
    assert [(o.attempts, o.failure) for o in stage._outcomes] == [(tries, failure)]


def test_a_call_that_never_started_was_no_attempt():
    stage = queue(max_items=2)
    for key in "ab":
        stage.grouper.add(item(key), now_s=0)
    stage.give_back(stage.take(0, 0))
    again = stage.take_suspects()
    assert keys(again) == ["a", "b"]
    assert [i.attempts for i in again] == [1, 1]
    assert stage.pending == 2


def test_our_own_errors_keep_their_code_and_page():
    given_up = failure_of(CorruptError("broken", page=7))
    assert given_up == Failure("corrupt", "broken", retryable=False, page=7)


def test_a_stage_that_answers_nonsense_is_named():
    class Nonsense(FaultStage):
        def process(self, tasks):
            return ["nonsense" for _ in tasks]

    failure = process_call(Nonsense(), [Task(Fault())])
    assert isinstance(failure, Failure)
    assert "Nonsense answered with a str" in failure.reason


def test_bytes_are_given_back():
    account = ByteAccount()
    account.hold(5)
    account.hold(7)
    account.release(5)
    assert account.held_bytes == 7


def test_a_group_that_seldom_fills_queues_up_when_its_first_item_has_waited_long_enough():
    grouper = Grouper(Batching(max_items=2, linger_s=1, max_wait_s=30))
    grouper.add(item("rare", "rare"), now_s=0)
    for i in range(6):
        grouper.add(item(str(i), "common"), now_s=i)
    assert keys(grouper.take(now_s=29, idle_since_s=29)) == ["0", "1"]
    taken = [keys(grouper.take(now_s=30, idle_since_s=30)) for _ in range(3)]
    assert taken == [["2", "3"], ["4", "5"], ["rare"]]
