"""The contract of schemas/engine.py, over every executor; what needs processes, over Ray alone."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.faults import Fault, FaultStage
from infra.inline_executor import InlineExecutor
from infra.ray_executor import RayExecutor
from schemas.engine import Batching, Outcome, Resources, Session, StageSpec
from schemas.errors import ConfigError

HALF = Resources(cpus=0.5)
SINGLE = Batching(linger_s=0.05)
DEADLINE_S = 60.0
MIB = 1 << 20


def drain(session: Session) -> dict[str, Outcome]:
    """All outcomes by key; none may come twice."""
    outcomes: dict[str, Outcome] = {}
    until_s = time.monotonic() + DEADLINE_S
    while session.pending():
        assert time.monotonic() < until_s, f"{session.pending()} items never came back"
        for outcome in session.poll(1.0):
            assert outcome.key not in outcomes
            outcomes[outcome.key] = outcome
    assert session.poll(0.0) == []
    return outcomes


def spec(name="s", *, resources=HALF, actors=1, batching=SINGLE, **rest) -> StageSpec:
    return StageSpec(name, partial(FaultStage), resources, actors, batching, **rest)


def submit_all(session: Session, faults: dict[str, Fault], stage="s", **rest) -> None:
    for key, fault in faults.items():
        session.submit(stage, key, fault, **rest)


def codes(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {key: o.failure.code for key, o in outcomes.items() if o.failure is not None}


# --- every executor


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


def run_random(executor, items, batching, recycle) -> None:
    with executor.open([spec(batching=batching, recycle_after_items=recycle, actors=2)]) as session:
        for i, (mode, group, cost) in enumerate(items):
            session.submit("s", str(i), Fault(mode, i), group=group, cost=cost)
        outcomes = drain(session)
        stats = session.stats()["s"]
    expected = {
        "reject": "empty",
        "raise": "error",
        "corrupt": "corrupt",
        "memory_error": "oom",
        "short": "error",
    }
    assert set(outcomes) == {str(i) for i in range(len(items))}
    for i, (mode, _, _) in enumerate(items):
        outcome = outcomes[str(i)]
        assert (outcome.failure.code if outcome.failure else None) == expected.get(mode)
        assert outcome.failure is not None or outcome.value[0] == i
        assert outcome.attempts in (1, 2)
    assert stats.items == len(items)
    assert stats.failures == len(codes(outcomes))


@settings(max_examples=60, deadline=None)
@given(items_strategy, st.integers(1, 8), st.integers(0, 20), st.integers(0, 5))
def test_inline_answers_every_item_once(items, max_items, max_cost, recycle):
    run_random(InlineExecutor(), items, Batching(max_items, max_cost, 0.0), recycle)


# --- Ray alone


@pytest.mark.ray
@pytest.mark.parametrize("seed", [1, 2])
def test_ray_answers_every_item_once(ray_executor, seed):
    rng = random.Random(seed)
    modes = ["ok"] * 5 + ["reject", "raise", "corrupt", "memory_error", "short"]
    items = [(rng.choice(modes), rng.choice("abc"), rng.randint(0, 9)) for _ in range(120)]
    batching = Batching(rng.randint(1, 8), rng.choice([0, 20]), 0.02)
    run_random(ray_executor, items, batching, recycle=rng.choice([0, 60]))


@pytest.mark.ray
def test_a_crash_in_a_call_of_five_rejects_only_the_culprit(ray_executor):
    with ray_executor.open([spec(batching=Batching(max_items=5))]) as session:
        faults = {f"{i}": Fault(payload=i) for i in range(10)}
        submit_all(session, {**faults, "2": Fault("kill")})
        outcomes = drain(session)
        stats = session.stats()["s"]
    assert codes(outcomes) == {"2": "crash"}
    assert outcomes["2"].failure.retryable
    assert outcomes["2"].attempts == 2
    assert {outcomes[f"{i}"].attempts for i in range(5, 10)} == {1}
    assert 2 <= stats.restarts <= 3


@pytest.mark.ray
def test_a_single_item_that_crashes_is_tried_once_more_alone(ray_executor):
    with ray_executor.open([spec()]) as session:
        submit_all(session, {"a": Fault(), "bad": Fault("abort"), "b": Fault(), "c": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"bad": "crash"}
    assert {k: o.attempts for k, o in outcomes.items()} == {"a": 1, "bad": 2, "b": 1, "c": 1}


@pytest.mark.ray
def test_neighbours_of_a_crash_on_one_actor_are_no_culprits(ray_executor):
    with ray_executor.open([spec()]) as session:
        submit_all(session, {f"warm{i}": Fault() for i in range(3)})
        drain(session)  # calls are known to be short now, so the next ones are sent ahead
        # The answer of "before" is lost with the process, which dies as soon as it has given it.
        submit_all(
            session, {"before": Fault("slow", amount=0.3), "bad": Fault("exit"), "behind": Fault()}
        )
        outcomes = drain(session)
    assert codes(outcomes) == {"bad": "crash"}
    assert outcomes["bad"].attempts == 2
    assert outcomes["behind"].attempts == 1


@pytest.mark.ray
def test_a_hang_is_ended_with_its_children_and_not_tried_twice(ray_executor):
    with ray_executor.open([spec(timeout_s=0.5, actors=2)]) as session:
        submit_all(
            session,
            {"a": Fault(), "b": Fault(), "hang": Fault("child"), "c": Fault(), "d": Fault()},
        )
        outcomes, sleepers = {}, set()
        while session.pending():
            outcomes |= {outcome.key: outcome for outcome in session.poll(0.05)}
            sleepers |= sleeping_children()
    assert len(sleepers) == 1
    assert not psutil.wait_procs(sleepers, timeout=5)[1]
    assert codes(outcomes) == {"hang": "timeout"}
    failure = outcomes["hang"].failure
    assert failure.retryable
    assert "0.5 s" in failure.reason
    assert {k: o.attempts for k, o in outcomes.items()} == dict.fromkeys(outcomes, 1)


def sleeping_children() -> set[psutil.Process]:
    """What mode ``child`` starts."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if "import time; time.sleep(3600)" in process.cmdline():
                found.add(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.ray
def test_a_hang_in_a_call_harms_no_neighbour(ray_executor):
    with ray_executor.open([spec(batching=Batching(max_items=3), timeout_s=0.4)]) as session:
        submit_all(session, {"a": Fault(), "hang": Fault("hang"), "b": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"hang": "timeout"}
    assert {o.attempts for o in outcomes.values()} == {2}


@pytest.mark.ray
@pytest.mark.parametrize("mode", ["memory", "memory_gil"])
def test_an_item_over_its_memory_is_oom(ray_executor, mode):
    limited = Resources(cpus=0.5, memory_bytes=100 * MIB)
    with ray_executor.open([spec(resources=limited)]) as session:
        submit_all(session, {"a": Fault(), "big": Fault(mode, amount=1000 * MIB), "b": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"big": "oom"}
    assert outcomes["big"].attempts == 2
    assert "100 MiB" in outcomes["big"].failure.reason


@pytest.mark.ray
def test_an_answer_that_cannot_travel_costs_its_item(ray_executor):
    with ray_executor.open([spec(batching=Batching(max_items=2))]) as session:
        submit_all(session, {"a": Fault(), "b": Fault("unpicklable")})
        outcomes = drain(session)
    assert codes(outcomes) == {"b": "error"}
    assert "pickle" in outcomes["b"].failure.reason


@pytest.mark.ray
def test_recycling_changes_the_process_and_arrays_outlive_it(ray_executor):
    with ray_executor.open([spec(recycle_after_items=2)]) as session:
        submit_all(session, {f"{i}": Fault("arrays", i, 1) for i in range(6)})
        outcomes = drain(session)
        pids = Counter(o.value[1] for o in outcomes.values())
        until_s = time.monotonic() + 10
        while any(psutil.pid_exists(pid) for pid in list(pids)[:-1]) and time.monotonic() < until_s:
            session.poll(0.1)
        assert all(n <= 2 for n in pids.values())
        assert len(pids) == 3
        sums = [float(session.fetch(o.arrays)[0].sum()) for o in outcomes.values()]
        assert sums == [100_000.0] * 6
        del outcomes
        assert session.bytes_in_flight() == 0


@pytest.mark.ray
def test_threads_and_logical_gpus_are_set_before_the_stage_is_imported(ray_executor):
    half_gpu = Resources(cpus=0.1, gpus=0.5, threads=3)
    with ray_executor.open([spec(resources=half_gpu, actors=2)]) as session:
        for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
            session.submit("s", name, Fault("environment", name))
        outcomes = drain(session)
    assert {key: o.value[0] for key, o in outcomes.items()} == {
        "OMP_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "0",
    }


@pytest.mark.ray
def test_an_actor_too_big_for_the_machine_is_refused(ray_executor):
    with pytest.raises(
        ConfigError, match="'huge' cannot start: an actor needs 64 CPUs, there are 2"
    ):
        ray_executor.open([spec("huge", resources=Resources(cpus=64))])


@pytest.mark.ray
def test_a_pool_that_finds_no_place_is_named(ray_executor):
    assert ray_executor is not None  # it keeps Ray running; the next one only joins in
    impatient = RayExecutor(schedule_timeout_s=3)
    two = Resources(cpus=2)
    with impatient.open([spec("first", resources=two), spec("second", resources=two)]) as session:
        session.submit("first", "a", Fault("hang"))
        session.poll(1.0)
        session.submit("second", "b", Fault())
        with pytest.raises(ConfigError, match="'second' cannot start: an actor needs 2 CPUs"):
            drain(session)


@pytest.mark.ray
def test_dropped_arrays_make_room(ray_executor):
    session_dir = Path(
        ray.get_runtime_context().get_temp_dir(), ray.get_runtime_context().get_session_name()
    )
    with ray_executor.open([spec()]) as session:
        for held in (
            [],
            [],
            [],
            [],
            [],
            [],
            [],
            [],
        ):  # eight times 50 MB through a store of 256 MiB
            session.submit("s", "x", Fault("arrays", amount=125))
            held.extend(drain(session).values())
            assert session.bytes_in_flight() == 50_000_000
            held.clear()
        assert session.bytes_in_flight() == 0
    assert session_dir.is_dir()
    assert not list(session_dir.glob("ray_spilled_objects*/*"))


@pytest.mark.ray
def test_setup_that_crashes_gives_up_in_the_end(ray_executor):
    broken = StageSpec("broken", partial(FaultStage, setup_mode="kill"), HALF)
    with ray_executor.open([broken]) as session:
        session.submit("broken", "x", Fault())
        with pytest.raises(ConfigError, match="died 3 times in setup"):
            drain(session)


@pytest.mark.ray
def test_leaving_with_calls_in_flight_leaves_no_process(ray_executor):
    before = {p.pid for p in workers()}
    started_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(ray_executor)
    assert time.monotonic() - started_s < 20
    assert not psutil.wait_procs(sleeping_children(), timeout=5)[1]
    assert {p.pid for p in workers()} <= before


def interrupted(executor) -> None:
    with executor.open([spec(actors=2)]) as session:
        submit_all(session, {"a": Fault("child"), "b": Fault("hang"), "c": Fault()})
        while not sleeping_children():
            session.poll(0.1)
        raise KeyboardInterrupt


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "StageWorker" in p.name()]
