"""What a serving process does while the lake goes on: swap, keep what it holds, look again when something expired."""

from pathlib import Path
from threading import Event, Thread

import pytest

import gristmill
from flows import serving
from infra import pointer
from infra.blobs import open_blobs
from schemas.errors import ConfigError, IntegrityError, LakeError
from tests.tiny_snapshots import put_numbered, wrong_answers


@pytest.fixture
def blobs(tmp_path: Path):
    return open_blobs(str(tmp_path / "lake"))


def publish(blobs, number: int) -> str:
    snapshot_id = put_numbered(blobs, number).snapshot_id
    pointer.publish(blobs, snapshot_id, run_id="", reason="")
    return snapshot_id


def expire(blobs, snapshot_id: str) -> None:
    """As maintenance does: the manifest, then what no other snapshot names."""
    keys = blobs.list(f"snapshots/{snapshot_id}")
    for key in [*keys, *blobs.list("segments")]:
        blobs.delete(key)


def test_a_snapshot_that_is_held_answers_after_it_expired(blobs):
    first = publish(blobs, 1)
    held = gristmill.open_snapshot(blobs.url)
    expire(blobs, first)
    second = publish(blobs, 2)
    assert wrong_answers(held, 3) == []
    assert gristmill.open_snapshot(blobs.url).manifest.snapshot_id == second
    for name in (first, first[:8]):
        with pytest.raises(LakeError, match=f"has no snapshot {name}: gristmill snapshots"):
            gristmill.open_snapshot(blobs.url, name)


def test_one_that_expires_while_it_is_opened_is_looked_up_again(blobs, monkeypatch):
    first = publish(blobs, 1)
    read = serving.read_manifest

    def expiring(store, snapshot_id):
        manifest = read(store, snapshot_id)
        if snapshot_id == first:
            expire(blobs, first)
            publish(blobs, 2)
        return manifest

    monkeypatch.setattr(serving, "read_manifest", expiring)
    opened = gristmill.open_snapshot(blobs.url)
    assert opened.manifest.run_id == "number-2"
    assert wrong_answers(opened, 0) == []
    third = publish(blobs, 1)
    with pytest.raises(
        LakeError, match="has no snapshot"
    ):  # a named one is not there a second time
        gristmill.open_snapshot(blobs.url, third)


def test_damage_is_no_reason_to_look_again(blobs):
    snapshot_id = publish(blobs, 1)
    blobs.delete(next(key for key in blobs.list("segments") if key.endswith("rows.arrow")))
    with pytest.raises(IntegrityError, match=r"rows\.arrow"):
        gristmill.open_snapshot(blobs.url)
    assert pointer.current(blobs) == snapshot_id


def test_nothing_is_served_before_something_is_published(blobs):
    put_numbered(blobs, 1)
    with pytest.raises(ConfigError, match="no published snapshot"):
        gristmill.Serving(blobs.url)


def test_a_refresh_that_fails_leaves_the_one_in_use(blobs):
    first = publish(blobs, 1)
    in_use = gristmill.Serving(blobs.url)
    assert not in_use.refresh()
    second = publish(blobs, 2)
    blobs.delete(f"snapshots/{second}/manifest.json")
    with pytest.raises(LakeError, match=f"has no snapshot {second}"):
        in_use.refresh()
    assert in_use.snapshot.manifest.snapshot_id == first
    assert wrong_answers(in_use.snapshot, 1) == []
    publish(blobs, 2)  # the pointer stays, the manifest is there again
    assert in_use.refresh()
    assert in_use.snapshot.manifest.snapshot_id == second


def test_threads_search_without_a_pause_while_it_swaps(blobs):
    publish(blobs, 1)
    in_use = gristmill.Serving(blobs.url)
    over, problems, seen = Event(), [], []

    def search() -> None:
        last = 0
        while not over.is_set():
            snapshot = in_use.snapshot
            problems.extend(wrong_answers(snapshot, last % 20))
            number = int(snapshot.manifest.run_id.removeprefix("number-"))
            if number < last:
                problems.append(f"back from {last} to {number}")
            last = number
            seen.append(number)

    def refresh() -> None:
        while not over.is_set():
            in_use.refresh()

    threads = [Thread(target=work) for work in (search, search, search, refresh, refresh)]
    for thread in threads:
        thread.start()
    try:
        for number in range(2, 22):
            snapshot_id = publish(blobs, number)
            in_use.refresh()
            assert in_use.snapshot.manifest.snapshot_id == snapshot_id
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert len(set(seen)) > 1
