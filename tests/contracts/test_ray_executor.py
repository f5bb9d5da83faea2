"""What Ray adds to the contract of schemas/engine.py: crashes, hangs and memory cost the item in flight."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psutil
import pytest
import ray

from infra.faults import Fault, FaultStage
from infra.ray_executor import RayExecutor
from schemas.engine import Batching, Resources, StageSpec
from schemas.errors import ConfigError
from tests.contracts.engine_items import (
    HALF,
    MIB,
    codes,
    drain,
    run_random,
    spec,
    submit_all,
)

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("seed", [1, 2])
def test_ray_answers_every_item_once(ray_executor, seed):
    rng = random.Random(seed)
    modes = ["ok"] * 5 + ["reject", "raise", "corrupt", "memory_error", "short"]
    items = [(rng.choice(modes), rng.choice("abc"), rng.randint(0, 9)) for _ in range(120)]
    batching = Batching(rng.randint(1, 8), rng.choice([0, 20]), 0.02)
    run_random(ray_executor, items, batching, recycle=rng.choice([0, 60]))


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


def test_a_single_item_that_crashes_is_tried_once_more_alone(ray_executor):
    with ray_executor.open([spec()]) as session:
        submit_all(session, {"a": Fault(), "bad": Fault("abort"), "b": Fault(), "c": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"bad": "crash"}
    assert {k: o.attempts for k, o in outcomes.items()} == {"a": 1, "bad": 2, "b": 1, "c": 1}


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


def test_a_hang_in_a_call_harms_no_neighbour(ray_executor):
    with ray_executor.open([spec(batching=Batching(max_items=3), timeout_s=0.4)]) as session:
        submit_all(session, {"a": Fault(), "hang": Fault("hang"), "b": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"hang": "timeout"}
    assert {o.attempts for o in outcomes.values()} == {2}


@pytest.mark.parametrize("mode", ["memory", "memory_gil"])
def test_an_item_over_its_memory_is_oom(ray_executor, mode):
    limited = Resources(cpus=0.5, memory_bytes=100 * MIB)
    with ray_executor.open([spec(resources=limited)]) as session:
        submit_all(session, {"a": Fault(), "big": Fault(mode, amount=1000 * MIB), "b": Fault()})
        outcomes = drain(session)
    assert codes(outcomes) == {"big": "oom"}
    assert outcomes["big"].attempts == 2
    assert "100 MiB" in outcomes["big"].failure.reason


def test_an_answer_that_cannot_travel_costs_its_item(ray_executor):
    with ray_executor.open([spec(batching=Batching(max_items=2))]) as session:
        submit_all(session, {"a": Fault(), "b": Fault("unpicklable")})
        outcomes = drain(session)
    assert codes(outcomes) == {"b": "error"}
    assert "pickle" in outcomes["b"].failure.reason


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


def test_the_exit_status_of_a_child_process_is_seen_in_workers_and_here(ray_executor):
    with ray_executor.open([spec()]) as session:
        submit_all(session, {"child": Fault("status", amount=3)})
        assert drain(session)["child"].value[0] == 3
    assert subprocess.call([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_an_actor_too_big_for_the_machine_is_refused(ray_executor):
    with pytest.raises(
        ConfigError, match="'huge' cannot start: an actor needs 64 CPUs, there are 2"
    ):
        ray_executor.open([spec("huge", resources=Resources(cpus=64))])


def test_a_pool_that_finds_no_place_is_named(ray_executor):
    assert ray_executor is not None  # it keeps Ray running; the next one only joins in
    impatient = RayExecutor(
        schedule_timeout_s=10
    )  # enough for the first to be placed on a busy machine
    two = Resources(cpus=2)
    with impatient.open([spec("first", resources=two), spec("second", resources=two)]) as session:
        session.submit("first", "a", Fault("hang"))
        session.poll(1.0)
        session.submit("second", "b", Fault())
        with pytest.raises(ConfigError, match="'second' cannot start: an actor needs 2 CPUs"):
            drain(session)


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


def test_setup_that_crashes_gives_up_in_the_end(ray_executor):
    broken = StageSpec("broken", partial(FaultStage, setup_mode="kill"), HALF)
    with ray_executor.open([broken]) as session:
        session.submit("broken", "x", Fault())
        with pytest.raises(ConfigError, match="died 3 times in setup"):
            drain(session)


def test_leaving_with_calls_in_flight_leaves_no_process(ray_executor):
    before = {p.pid for p in workers()}
    started_s = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted(ray_executor)
    assert time.monotonic() - started_s < 20
    assert not psutil.wait_procs(sleeping_children(), timeout=5)[1]
    # One that was only asked for may come to be before Ray is told that it must not.
    late = [p for p in workers() if p.pid not in before]
    assert not psutil.wait_procs(late, timeout=5)[1]


def interrupted(executor) -> None:
    with executor.open([spec(actors=2)]) as session:
        submit_all(session, {"a": Fault("child"), "b": Fault("hang"), "c": Fault()})
        while not sleeping_children():
            session.poll(0.1)
        raise KeyboardInterrupt


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "StageWorker" in p.name()]
