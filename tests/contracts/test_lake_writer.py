"""One writer at a time, what happens to those that wait, and to one that was taken for dead."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from infra.lake import Lake, make_batch_id, paths
from infra.lake.commit import plan_steps
from infra.lake.delta import DeltaTables
from schemas.errors import ConflictError, LakeError
from schemas.tables import COMPLETIONS
from tests.contracts.lake_corpus import make_batch


def test_writing_needs_the_lock(local_lake):
    batch = make_batch(local_lake, "run", 0)
    with pytest.raises(ConflictError, match="not the writer"):
        local_lake.commit(batch, run_id="run")
    other = Lake.open(local_lake.url, create=False)
    with local_lake.writer("run"):
        with pytest.raises(ConflictError, match=r"run run \(process"), other.writer("walk"):
            pass
        local_lake.commit(batch, run_id="run")
    with other.writer("walk"):
        other.commit(make_batch(other, "walk", 0, uri="u:/b"), run_id="walk")
    assert set(local_lake.state().paths) == {"u:/a", "u:/b"}


def test_what_an_ousted_writer_commits_late_is_never_seen(lake):
    """It was asleep between the look at its lock and its commit, longer than its heartbeat may fail."""
    other = Lake.open(lake.url, create=False)
    with lake.writer("asleep"):
        late = plan_steps(make_batch(lake, "asleep", 0), "asleep", DeltaTables(lake.blobs), token=1)
        for key in lake.blobs.list("locks"):
            entry = json.loads(lake.blobs.get(key)) | {"released": True}
            lake.blobs.put(key, json.dumps(entry).encode())
        with other.writer("awake"):
            other.commit(make_batch(other, "awake", 0, uri="u:/b"), run_id="awake")
            for step in late[:-1]:
                step.run()
            with pytest.raises(ConflictError, match="took over"):
                late[-1].run()
    assert set(lake.state().paths) == {"u:/b"}
    assert lake.live_units().num_rows == other.live_units().num_rows > 0


def test_a_lake_whose_leases_were_deleted_is_written_again(lake):
    for run_id in ("first", "second"):
        with lake.writer(run_id):
            lake.commit(make_batch(lake, run_id, 0, uri=f"u:/{run_id}"), run_id=run_id)
    for key in lake.blobs.list("locks"):
        lake.blobs.delete(key)

    with lake.writer("third"):
        lake.commit(make_batch(lake, "third", 0, uri="u:/third"), run_id="third")

    assert set(lake.state().paths) == {"u:/first", "u:/second", "u:/third"}


def test_a_writer_waits_for_the_one_before(local_lake):
    told = []
    other = Lake.open(local_lake.url, create=False)
    with local_lake.writer("first"):
        waiting = ThreadPoolExecutor(1).submit(run_in_turn, other, told)
        while not told:
            time.sleep(0.01)
        local_lake.commit(make_batch(local_lake, "first", 0), run_id="first")
    assert waiting.result(timeout=30) == {"u:/a"}
    assert set(local_lake.state().paths) == {"u:/a", "u:/b"}


def run_in_turn(lake, told) -> set[str]:
    with lake.writer("second", wait_s=30, on_wait=told.append):
        seen = set(lake.state().paths)
        lake.commit(make_batch(lake, "second", 0, uri="u:/b"), run_id="second")
    return seen


def test_racing_commits_get_one_version_each(lake):
    """No lock here: what Delta's log alone guarantees, on a disk and through conditional put."""
    failures = []

    def append(name: str) -> None:
        tables = DeltaTables(lake.blobs)
        for number in range(2):
            row = {
                "kind": "path",
                "uri": f"u:/{name}{number}",
                "batch": make_batch_id(name, number),
            }
            row |= {"source_id": "", "fingerprint": "", "seq": 0}
            rows = pa.Table.from_pylist([row], COMPLETIONS)
            try:
                tables.append(paths.COMPLETIONS, rows, app_id=name, number=number)
            except LakeError as error:
                failures.append(error)

    threads = [threading.Thread(target=append, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    tables = DeltaTables(lake.blobs)
    found = tables.dataset(paths.COMPLETIONS, tables.open(paths.COMPLETIONS)).to_table()
    assert sorted(found["seq"].to_pylist()) == [1, 2, 3, 4]
    assert set(found["uri"].to_pylist()) == {"u:/one0", "u:/one1", "u:/two0", "u:/two1"}
