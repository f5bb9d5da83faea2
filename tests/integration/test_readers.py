"""Other processes read while snapshots are published, rolled back and expired: none torn, none stale."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from flows.maintain import collect
from infra import pointer
from infra.lake import Lake
from schemas.config import Config, Runs
from tests.integration.reader import Counters
from tests.tiny_snapshots import put_numbered

ROOT = Path(__file__).parents[2]
_ROLLBACK_EVERY = 9
_EXPIRE_EVERY = 4
_STALL_S = 300.0


class Publisher:
    """Publishes snapshot after snapshot, and says before and after each move of the pointer which it is."""

    def __init__(self, url: str, counters: Counters) -> None:
        self.lake = Lake.open(url, create=True)
        self.counters = counters
        self.moves = 0

    def move(self) -> None:
        self.moves += 1
        back = self.moves % _ROLLBACK_EVERY == 0
        manifest = None if back else put_numbered(self.lake.blobs, self.moves)
        self.counters.set(Counters.BEGUN, self.moves)
        if manifest is None:
            pointer.rollback(self.lake.blobs)
        else:
            pointer.publish(self.lake.blobs, manifest.snapshot_id, run_id="", reason="test")
        self.counters.set(Counters.DONE, self.moves)

    def expire(self) -> None:
        config = Config(runs=Runs(keep_snapshots=2))
        collect(self.lake.url, config, f"gc-{self.moves}", dry_run=False, note=lambda _: None)


def readers_during(publisher: Publisher, readers: int, reads: int, moves: int) -> list[dict]:
    """What each reader saw while the pointer moved, evenly over the reads of all."""
    counters = publisher.counters
    command = [sys.executable, "-m", "tests.integration.reader"]
    command += [publisher.lake.url, str(counters.path)]
    publisher.move()
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, *map(str, (i, reads, moves))],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for i in range(readers)
        ]
        for move in range(1, moves):
            wait_for(counters, move * readers * reads // moves, started)
            publisher.move()
            if move % _EXPIRE_EVERY == 0:
                publisher.expire()
        told = [process.communicate(timeout=_STALL_S)[0] for process in started]
    assert [process.returncode for process in started] == [0] * readers
    return [json.loads(text) for text in told]


def wait_for(counters: Counters, reads: int, started: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + _STALL_S
    while counters.reads() < reads and all(p.poll() is None for p in started):
        assert time.monotonic() < deadline, "the readers stand still"
        time.sleep(0.001)


def check(publisher: Publisher, told: list[dict], moves: int) -> int:
    """None torn, none stale; returns the number of different snapshots that were seen."""
    published = {e.number: e.snapshot_id for e in pointer.history(publisher.lake.blobs)}
    assert len(published) == publisher.moves == moves
    for reader in told:
        assert reader["wrong"] == []
        assert reader["needed"] == []
        stale = [
            (floor, ceiling, snapshot_id)
            for floor, ceiling, snapshot_id in reader["seen"]
            if snapshot_id not in {published[n] for n in range(floor, ceiling + 1)}
        ]
        assert stale == []
    return len({snapshot_id for reader in told for _, _, snapshot_id in reader["seen"]})


@pytest.fixture
def counters(tmp_path: Path) -> Counters:
    path = tmp_path / "counters"
    path.write_bytes(bytes(8 * 8))
    return Counters(path)


@pytest.mark.parametrize(
    ("reads", "moves"),
    [
        pytest.param(150, 6, marks=pytest.mark.slow),
        pytest.param(5000, 100, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_readers_of_a_local_lake(tmp_path: Path, counters: Counters, reads: int, moves: int):
    publisher = Publisher(str(tmp_path / "lake"), counters)
    told = readers_during(publisher, 2, reads, moves)
    assert check(publisher, told, moves) > moves // 3
    assert sum(len(reader["seen"]) for reader in told) == 2 * reads


@pytest.mark.parametrize(
    ("reads", "moves"),
    [
        pytest.param(25, 4, marks=pytest.mark.slow),
        pytest.param(500, 40, marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def test_readers_of_a_bucket(
    tmp_path: Path,
    bucket,
    counters: Counters,
    monkeypatch: pytest.MonkeyPatch,
    reads: int,
    moves: int,
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    publisher = Publisher(f"{bucket.url}/lake", counters)
    told = readers_during(publisher, 2, reads, moves)
    assert check(publisher, told, moves) > moves // 3
