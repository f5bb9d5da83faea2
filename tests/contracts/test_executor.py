"""The contract of schemas/engine.py, over every executor."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.faults import Fault, FaultStage
from infra.inline_executor import InlineExecutor
from schemas.engine import Batching, StageSpec
from schemas.errors import ConfigError
from tests.contracts.engine_items import (
    HALF,
    codes,
    drain,
    run_random,
    spec,
    submit_all,
)


def test_every_item_is_answered_once_with_its_own_value(executor):
    with executor.open([spec(actors=2), spec("t")]) as session:
        submit_all(session, {f"s{i}": Fault(payload=i) for i in range(20)})
        submit_all(session, {f"t{i}": Fault(payload=-i) for i in range(20)}, "t")
        outcomes = drain(session)
    assert {key: o.value[0] for key, o in outcomes.items()} == {
        **{f"s{i}": i for i in range(20)},
        **{f"t{i}": -i for i in range(20)},
    }
    assert {(o.stage, o.attempts) for o in outcomes.values()} == {("s", 1), ("t", 1)}


def test_nothing_to_do_returns_at_once(executor):
    started_s = time.monotonic()
    with executor.open([spec()]) as session:
        assert session.poll(5.0) == []
    assert time.monotonic() - started_s < 4


def test_calls_hold_one_group_and_keep_to_the_limits(executor):
    batching = Batching(max_items=4, max_cost=10, linger_s=0.05)
    rng = random.Random(7)
    items = {f"{i}": (rng.choice("abc"), rng.randint(1, 6)) for i in range(60)}
    with executor.open([spec(batching=batching, actors=2)]) as session:
        for key, (group, cost) in items.items():
            session.submit("s", key, Fault(payload=group), cost=cost, group=group)
        outcomes = drain(session)
        stats = session.stats()["s"]
    together = {key: o.value[2] for key, o in outcomes.items()}
    assert max(together.values()) <= 4
    by_group = Counter(group for group, _ in items.values())
    assert sum(1 / n for n in together.values()) == pytest.approx(stats.calls)
    assert stats.calls >= sum(-(-n // 4) for n in by_group.values())


def test_cost_closes_a_group(executor):
    with executor.open(
        [spec(batching=Batching(max_items=100, max_cost=10, linger_s=30))]
    ) as session:
        for i in range(4):
            session.submit("s", f"{i}", Fault(payload=i), cost=5, group="g")
        session.submit("s", "big", Fault(), cost=99, group="g")
        outcomes = drain(session)
    assert {key: o.value[2] for key, o in outcomes.items()} == {
        "0": 2,
        "1": 2,
        "2": 2,
        "3": 2,
        "big": 1,
    }


def test_a_partial_group_waits_for_flush(executor):
    with executor.open([spec(batching=Batching(max_items=4, linger_s=60))]) as session:
        session.submit("s", "first", Fault())
        while session.stats()["s"].setup_s == 0 and session.poll(0.2):
            pass
        assert session.poll(1.5) == []
        session.submit("s", "second", Fault())
        session.flush("s")
        assert {o.value[2] for o in drain(session).values()} == {2}


def test_a_partial_group_goes_when_an_actor_idles(executor):
    with executor.open([spec(batching=Batching(max_items=4, linger_s=0.2))]) as session:
        submit_all(session, {"a": Fault(), "b": Fault()})
        assert {o.value[2] for o in drain(session).values()} == {2}
        started_s = time.monotonic()
        session.submit(
            "s", "c", Fault()
        )  # the actor was idle before it came: it still gets its time
        drain(session)
        assert time.monotonic() - started_s >= 0.2


def test_a_rejected_item_is_final_and_harms_no_other(executor):
    with executor.open([spec(batching=Batching(max_items=3))]) as session:
        submit_all(session, {"a": Fault(), "b": Fault("reject", "b"), "c": Fault()})
        outcomes = drain(session)
        stats = session.stats()["s"]
    assert codes(outcomes) == {"b": "empty"}
    assert {o.attempts for o in outcomes.values()} == {1}
    assert (stats.items, stats.failures, stats.calls) == (3, 1, 1)


@pytest.mark.parametrize(
    ("mode", "code", "retryable"),
    [("raise", "error", False), ("corrupt", "corrupt", False), ("memory_error", "oom", True)],
)
def test_an_exception_in_a_call_of_five_costs_its_item(executor, mode, code, retryable):
    with executor.open([spec(batching=Batching(max_items=5))]) as session:
        faults = {f"{i}": Fault(payload=i) for i in range(5)}
        submit_all(session, {**faults, "2": Fault(mode, "this one")})
        outcomes = drain(session)
        stats = session.stats()["s"]
    assert codes(outcomes) == {"2": code}
    failure = outcomes["2"].failure
    assert "this one" in failure.reason
    assert failure.retryable is retryable
    assert failure.page == (3 if mode == "corrupt" else None)
    assert {o.attempts for o in outcomes.values()} == {2}
    assert stats.calls == 6


def test_an_exception_of_a_single_item_is_final_and_says_where(executor):
    with executor.open([spec()]) as session:
        session.submit("s", "x", Fault("raise", "x"))
        outcome = drain(session)["x"]
    assert outcome.attempts == 1
    assert outcome.failure.code == "error"
    assert "ValueError: x was asked to raise (faults.py:" in outcome.failure.reason


def test_a_stage_that_forgets_an_answer_fails_its_items(executor):
    with executor.open([spec(batching=Batching(max_items=2))]) as session:
        submit_all(session, {"a": Fault(), "b": Fault("short")})
        outcomes = drain(session)
    assert codes(outcomes) == {"b": "error"}
    assert "answered 0 for 1 tasks" in outcomes["b"].failure.reason


def test_arrays_pass_between_stages_and_are_counted_while_held(executor):
    with executor.open([spec("make"), spec("sum", batching=Batching(max_items=4))]) as session:
        session.submit("make", "m", Fault("arrays", "m", 3))
        made = drain(session)["m"].arrays
        assert (made.count, made.nbytes) == (3, 1_200_000)
        assert session.bytes_in_flight() == 1_200_000
        session.submit("sum", "all", Fault("sum"), arrays=made)
        session.submit("sum", "one", Fault("sum"), arrays=made.pick(1))
        session.submit("sum", "same", Fault("sum"), arrays=made.pick(1).pick(0))
        session.submit("sum", "read_only", Fault("read_only"), arrays=made)
        assert made.pick(1).nbytes == 400_000
        with pytest.raises(IndexError):
            made.pick(3)
        del made
        outcomes = drain(session)
        assert {key: o.value[0] for key, o in outcomes.items()} == {
            "all": [100_000.0, 200_000.0, 300_000.0],
            "one": [200_000.0],
            "same": [200_000.0],
            "read_only": [True, True, True],
        }
        assert session.bytes_in_flight() == 0


def test_arrays_of_one_call_belong_to_their_items(executor):
    with executor.open([spec(batching=Batching(max_items=4, linger_s=0.05))]) as session:
        submit_all(
            session, {"1": Fault("arrays", amount=1), "0": Fault(), "2": Fault("arrays", amount=2)}
        )
        outcomes = drain(session)
        assert outcomes["0"].arrays is None
        sums = {k: [float(a.sum()) for a in session.fetch(outcomes[k].arrays)] for k in "12"}
        assert sums == {"1": [100_000.0], "2": [100_000.0, 200_000.0]}


@pytest.mark.parametrize("length", [3, 300_000])
def test_put_and_fetch_give_back_the_same_arrays_read_only(executor, length):
    arrays = (np.arange(length, dtype=np.int64), np.zeros((2, 3), dtype=np.uint8))
    with executor.open([spec()]) as session:
        handle = session.put(arrays)
        assert session.bytes_in_flight() == handle.nbytes == length * 8 + 6
        back = session.fetch(handle)
        assert [np.array_equal(a, b) for a, b in zip(arrays, back, strict=True)] == [True, True]
        assert [array.flags.writeable for array in back] == [False, False]
        assert arrays[0].flags.writeable
        del handle, back
        assert session.bytes_in_flight() == 0


def test_recycling_loses_nothing_and_statistics_add_up(executor):
    with executor.open([spec(recycle_after_items=5)]) as session:
        submit_all(session, {f"{i}": Fault("slow", i, 0.001) for i in range(17)})
        outcomes = drain(session)
        stats = session.stats()["s"]
    assert {int(k): o.value[0] for k, o in outcomes.items()} == {i: i for i in range(17)}
    assert stats.restarts == 3
    assert (stats.items, stats.failures, stats.queued, stats.running) == (17, 0, 0, 0)
    assert stats.calls == 17
    assert stats.busy_s == pytest.approx(sum(o.seconds for o in outcomes.values()))


def test_setup_that_raises_is_an_error_of_the_configuration(executor):
    broken = StageSpec("broken", partial(FaultStage, setup_mode="raise"), HALF)
    with executor.open([broken]) as session:
        session.submit("broken", "x", Fault())
        with pytest.raises(ConfigError, match=r"'broken' cannot start.*asked to raise"):
            drain(session)


def test_impossible_specs_are_refused(executor):
    with pytest.raises(ConfigError, match="named 's'"):
        executor.open([spec(), spec()])
    with pytest.raises(ConfigError, match=r"batching\.max_items is 0"):
        executor.open([spec(batching=Batching(max_items=0))])
    with pytest.raises(ConfigError, match="timeout_s"):
        executor.open([spec(timeout_s=0)])


items_strategy = st.lists(
    st.tuples(
        st.sampled_from(["ok", "reject", "raise", "corrupt", "memory_error", "short"]),
        st.sampled_from("abc"),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(items_strategy, st.integers(1, 8), st.integers(0, 20), st.integers(0, 5))
def test_inline_answers_every_item_once(items, max_items, max_cost, recycle):
    run_random(InlineExecutor(), items, Batching(max_items, max_cost, 0.0), recycle)
