import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import pointer
from infra.blobs import open_blobs
from schemas.blobs import BlobStore
from schemas.errors import IntegrityError, LakeError

ROOT = Path(__file__).parents[3]


def with_snapshots(blobs: BlobStore, *names: str) -> BlobStore:
    for name in names:
        blobs.put(f"snapshots/{name}/manifest.json", b"{}")
    return blobs


@pytest.fixture
def blobs(tmp_path):
    return with_snapshots(open_blobs(str(tmp_path)), "a", "b", "c", "d")


def publish(blobs, *names):
    return [pointer.publish(blobs, name, run_id="run", reason="test") for name in names]


def test_nothing_is_current_at_first(blobs):
    assert (pointer.current(blobs), pointer.history(blobs)) == (None, [])
    with pytest.raises(LakeError, match="nothing to roll back to"):
        pointer.rollback(blobs)


def test_the_last_published_is_current_and_all_are_kept(blobs):
    assert publish(blobs, "a", "b") == [1, 2]
    assert pointer.current(blobs) == "b"
    first, second = pointer.history(blobs)
    assert (first.snapshot_id, first.action, first.run_id, first.reason) == (
        "a",
        "publish",
        "run",
        "test",
    )
    assert replace(first, number=2, snapshot_id="b", moved_at=second.moved_at) == second


def test_publishing_the_current_one_again_moves_nothing(blobs):
    assert publish(blobs, "a", "b", "b", "a") == [1, 2, 2, 3]


def test_a_snapshot_without_manifest_is_refused(blobs):
    with pytest.raises(IntegrityError, match="snapshots/x/manifest"):
        publish(blobs, "x")
    publish(blobs, "a", "b")
    blobs.delete("snapshots/a/manifest.json")
    with pytest.raises(IntegrityError, match="snapshots/a/manifest"):
        pointer.rollback(blobs, "a")
    with pytest.raises(LakeError, match="nothing to roll back to"):
        pointer.rollback(blobs)
    assert pointer.current(blobs) == "b"


def test_rolling_back_goes_further_back_each_time(blobs):
    publish(blobs, "a", "b", "c")
    assert [pointer.rollback(blobs), pointer.rollback(blobs)] == ["b", "a"]
    with pytest.raises(LakeError, match="nothing to roll back to"):
        pointer.rollback(blobs)
    publish(blobs, "d")
    assert pointer.rollback(blobs) == "a"
    assert [e.snapshot_id for e in pointer.history(blobs)] == ["a", "b", "c", "b", "a", "d", "a"]


def test_rolling_back_to_a_given_one(blobs):
    publish(blobs, "a", "b", "c")
    assert pointer.rollback(blobs, "a") == pointer.current(blobs) == "a"
    assert pointer.history(blobs)[-1].action == "rollback"


def test_racing_publishers_all_get_an_entry(tmp_path):
    names = [f"s{i}" for i in range(6)]
    blobs = with_snapshots(open_blobs(str(tmp_path)), *names)
    numbers, start = {}, Barrier(len(names))

    def go(name: str) -> None:
        start.wait()
        numbers[name] = publish(blobs, name)[0]

    threads = [Thread(target=go, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers.values()) == [1, 2, 3, 4, 5, 6]
    assert {e.snapshot_id: e.number for e in pointer.history(blobs)} == numbers


def test_a_broken_entry_is_named(blobs):
    publish(blobs, "a")
    blobs.put("pointer/0000000002.json", b"{")
    with pytest.raises(IntegrityError, match="pointer/0000000002"):
        pointer.current(blobs)


def test_a_reader_needs_no_write_access(blobs):
    publish(blobs, "a")
    reader = open_blobs(blobs.url, read_only=True)
    assert pointer.current(reader) == "a"
    with pytest.raises(LakeError, match="read-only"):
        publish(reader, "b")


def test_a_serving_process_imports_nothing_for_it(blobs):
    publish(blobs, "a")
    code = (
        "import sys; from infra.blobs import open_blobs; from infra.pointer import current;"
        "blobs = open_blobs(sys.argv[1], read_only=True);"
        "assert current(blobs) == 'a' and blobs.local_path('snapshots/a/manifest.json').is_file();"
        "print(sorted({'obstore', 'pyarrow', 'deltalake', 'numpy', 'pydantic'} & sys.modules.keys()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, blobs.url],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    assert answer.stdout == "[]\n"


@given(st.lists(st.sampled_from(["a", "b", "c", "back"]), max_size=12))
def test_the_pointer_follows_a_stack(moves):
    blobs, stack = with_snapshots(open_blobs("memory://"), "a", "b", "c"), []
    for move in moves:
        if move != "back":
            publish(blobs, move)
            stack += [move] if stack[-1:] != [move] else []
        elif len(stack) > 1:
            stack.pop()
            assert pointer.rollback(blobs) == stack[-1]
        assert pointer.current(blobs) == (stack[-1] if stack else None)
