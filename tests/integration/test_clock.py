"""A clock that jumps a year back or forth, between runs and inside them: nothing lost, nothing twice, nothing left."""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from flows import flows, snapshots
from infra import pointer
from infra.lake import Lake
from infra.lake.sweep import Sweeper
from schemas.config import Config, Runs
from tests.integration.damage import DamagedMill
from tests.integration.mill import EACH_ALONE

pytestmark = pytest.mark.slow

YEAR = timedelta(days=365)


@contextmanager
def clock(shift: timedelta) -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime.now(UTC) + shift, tick=True) as traveller:
        yield traveller


def clear(folder: Path) -> None:
    for name in ("lake", "corpus"):
        shutil.rmtree(folder / name, ignore_errors=True)


def one_life(folder: Path, shifts: Iterator[timedelta]) -> tuple[dict, tuple, list]:
    """Files come, change, move and go; each run and each maintenance by the next clock."""
    clear(folder)
    mill = DamagedMill(folder, EACH_ALONE)
    works = []

    def run() -> None:
        with clock(next(shifts)):
            balance = mill.ingest()
            works.append((balance.indexed, balance.unchanged, balance.gone, balance.rejected))
        with clock(next(shifts)):
            mill.publish()

    mill.write("one.txt", "The wheel turns nine times a minute.")
    mill.write("two.txt", "Bread rises slowly in a cold kitchen.")
    mill.write("broken.pdf", "%PDF-1.4 nothing")
    run()
    mill.write("one.txt", "The wheel turns five times a minute.")  # as long as before
    run()
    (mill.corpus / "two.txt").rename(mill.corpus / "three.txt")
    run()
    with clock(next(shifts)):
        flows.gc(mill.lake.url, Config(runs=Runs(keep_snapshots=1, wait_s=0)), quiet=True)
    (mill.corpus / "one.txt").unlink()
    run()
    run()
    assert mill.verify().ok
    return mill.shown(), mill.published(), works


def jump_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps at each commit, too."""
    real, offsets = Lake.commit, itertools.cycle([YEAR, -2 * YEAR, YEAR])

    def commit(self, batch, *, run_id: str) -> None:
        with clock(next(offsets)):
            real(self, batch, run_id=run_id)

    monkeypatch.setattr(Lake, "commit", commit)


@pytest.mark.long
def test_a_life_by_clocks_that_jump_is_the_same_life(tmp_path, monkeypatch):
    calm = one_life(tmp_path, itertools.repeat(timedelta()))
    jump_inside(monkeypatch)
    assert one_life(tmp_path, itertools.cycle([-YEAR, YEAR, timedelta()])) == calm


@pytest.fixture
def mill(tmp_path: Path) -> DamagedMill:
    return DamagedMill(tmp_path, EACH_ALONE)


def two_snapshots(mill: DamagedMill, later: timedelta) -> list[str]:
    found = []
    for text, shift in [("The first text.", timedelta()), ("Another one.", later)]:
        mill.write("note.txt", text)
        with clock(shift):
            mill.ingest()
            found.append(mill.publish().snapshot_id)
    return found


def test_the_newest_is_the_one_that_was_built_last(mill):
    first, second = two_snapshots(mill, -YEAR)
    assert [row["snapshot"] for row in snapshots.list_snapshots(mill.lake.url)] == [first, second]
    assert pointer.rollback(mill.lake.blobs) == first
    assert snapshots.publish_snapshot(mill.lake.url, "") == second


@pytest.mark.long
def test_maintenance_keeps_what_was_built_last_and_is_not_published_yet(mill, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pointer, "publish", lambda *_, **__: 1)
        (waiting,) = two_snapshots(mill, -YEAR)[1:]
    first = next(
        r["snapshot"] for r in snapshots.list_snapshots(mill.lake.url) if r["snapshot"] != waiting
    )
    snapshots.publish_snapshot(mill.lake.url, first)
    found = flows.gc(mill.lake.url, Config(runs=Runs(keep_snapshots=1, wait_s=0)), quiet=True)
    assert set(found.kept) == {first, waiting}


def test_what_was_removed_by_a_clock_that_ran_ahead_is_deleted_all_the_same(mill, monkeypatch):
    """Delta's own vacuum would wait for a year, and a purge would leave what it was to remove."""
    mill.write("secret.txt", "The key lies under the third stone of the wall.")
    mill.write("stays.txt", "Bread rises slowly in a cold kitchen.")
    mill.ingest()
    mill.publish()
    (mill.corpus / "secret.txt").unlink()
    with clock(YEAR), monkeypatch.context() as patch:
        mill.ingest()
        mill.publish()
        patch.setattr(Sweeper, "vacuum", lambda *_, **__: 0)  # killed before
        flows.gc(mill.lake.url, Config(runs=Runs(keep_snapshots=1, wait_s=0)), quiet=True)
    ahead = time.time() + YEAR.total_seconds()
    for path in (mill.folder / "tables").rglob("*"):
        os.utime(path, (ahead, ahead))
    assert flows.gc(mill.lake.url, Config(), quiet=True).table_files > 0
    mill.write("secret.txt", "The key lies under the third stone of the wall.")
    mill.ingest()
    assert mill.forget("secret.txt").found == []
