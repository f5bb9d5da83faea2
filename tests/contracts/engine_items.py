"""What the suites of the executors submit and collect."""

from __future__ import annotations

import time
from functools import partial

from infra.faults import Fault, FaultStage
from schemas.engine import Batching, Outcome, Resources, Session, StageSpec

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
