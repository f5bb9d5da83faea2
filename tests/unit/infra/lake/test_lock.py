import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import time_machine

from infra.blobs import open_blobs
from infra.lake.lock import LockEntry, WriterLock
from schemas.errors import ConflictError, LakeError

ROOT = Path(__file__).parents[4]
HOLD = """
import sys, time
from infra.blobs import open_blobs
from infra.lake.lock import WriterLock
WriterLock.acquire(open_blobs(sys.argv[1]), "first")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def blobs(tmp_path):
    return open_blobs(str(tmp_path))


def held_by(blobs, number=1, **changes):
    """An entry as another process would have left it."""
    entry = LockEntry(
        run_id="other",
        host="elsewhere",
        pid_namespace="",
        pid=1,
        process_started_s=0.0,
        heartbeat_s=time.time(),
    )
    data = json.dumps(asdict(entry) | changes).encode()
    blobs.put(f"locks/writer/{number:010}.json", data)


def take(blobs):
    WriterLock.acquire(blobs, "mine").release()


def test_it_can_be_taken_again_once_it_is_released(blobs):
    for _ in range(3):
        take(blobs)
    assert len(blobs.list("locks")) == 1


def test_a_second_writer_is_told_who_holds_it(blobs):
    lock = WriterLock.acquire(blobs, "first")
    with pytest.raises(ConflictError, match=f"run first .process {os.getpid()} on "):
        WriterLock.acquire(blobs, "second")
    lock.check()
    lock.release()


def test_a_killed_writer_blocks_nobody(blobs):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, blobs.url], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        try:
            assert child.stdout.readline() == b"held\n"
            with pytest.raises(ConflictError, match="run first"):
                take(blobs)
        finally:
            child.send_signal(signal.SIGKILL)
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        take(blobs)  # dead, though its parent has not reaped it yet


def test_a_live_writer_elsewhere_is_respected(blobs):
    held_by(blobs)
    with pytest.raises(ConflictError, match=r"run other .process 1 on elsewhere"):
        take(blobs)


@pytest.mark.parametrize("hours_off", [-5, 0, 5])
def test_a_writer_elsewhere_counts_as_gone_when_its_heart_stops_under_our_eyes(
    blobs, monkeypatch, hours_off
):
    monkeypatch.setattr("infra.lake.lock.STALE_S", 0.6)
    monkeypatch.setattr("infra.lake.lock.POLL_S", 0.02)
    clock_s = time.time() + hours_off * 3600  # clocks of hosts differ, and jump
    held_by(blobs, heartbeat_s=clock_s)
    beats = threading.Timer(0.4, held_by, [blobs], {"heartbeat_s": clock_s + 10})
    beats.start()
    started_s = time.monotonic()
    WriterLock.acquire(blobs, "mine", wait_s=20).release()
    assert time.monotonic() - started_s >= 0.9  # the beat in between counted


def test_waiting_ends_when_the_holder_lets_go(blobs):
    first = WriterLock.acquire(blobs, "first")
    timer = threading.Timer(0.3, first.release)
    timer.start()
    told = []
    second = WriterLock.acquire(blobs, "second", wait_s=20, on_wait=told.append)
    assert [who.split(" (")[0] for who in told] == ["run first"]
    second.check()
    second.release()


def test_of_many_that_wait_each_gets_it_once_and_alone(blobs, monkeypatch):
    monkeypatch.setattr("infra.lake.lock.POLL_S", 0.01)
    inside, seen = [], []

    def work(name):
        lock = WriterLock.acquire(blobs, name, wait_s=60)
        inside.append(name)
        seen.append((name, len(inside), lock.number))
        time.sleep(0.01)
        inside.remove(name)
        lock.release()

    threads = [threading.Thread(target=work, args=(f"run{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _, _ in seen) == [f"run{i}" for i in range(8)]
    assert {together for _, together, _ in seen} == {1}
    numbers = [number for _, _, number in seen]
    assert numbers == sorted(set(numbers))


def test_another_process_with_the_same_pid_is_not_the_writer(blobs):
    WriterLock.acquire(blobs, "first").release()  # leaves an entry of this very process
    (key,) = blobs.list("locks")
    mine = json.loads(blobs.get(key)) | {"released": False}
    held_by(blobs, **mine)
    with pytest.raises(ConflictError, match="run first"):
        take(blobs)
    held_by(blobs, **mine | {"process_started_s": mine["process_started_s"] - 60})
    take(blobs)


@pytest.mark.parametrize("days", [-365, 365])
def test_a_clock_that_jumps_makes_no_stranger_of_a_living_writer(blobs, tmp_path, days):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "held\n"
        with (
            time_machine.travel(datetime.now(UTC) + timedelta(days=days)),
            pytest.raises(ConflictError, match="run first"),
        ):
            take(blobs)
        (key,) = blobs.list("locks")
        started_s = json.loads(blobs.get(key))["process_started_s"]
        assert started_s < time.clock_gettime(
            time.CLOCK_BOOTTIME
        )  # since boot, not by the wall clock
    finally:
        process.kill()
        process.communicate()


def test_after_a_restart_of_the_machine_no_holder_is_left(blobs):
    WriterLock.acquire(blobs, "first").release()
    (key,) = blobs.list("locks")
    held_by(blobs, **json.loads(blobs.get(key)) | {"released": False, "boot": "another"})
    take(blobs)


def test_a_pid_of_another_container_says_nothing(blobs):
    held_by(blobs, host=socket.gethostname(), pid_namespace="pid:[1]", pid=2**22)
    with pytest.raises(ConflictError, match="run other"):
        take(blobs)


def test_an_ousted_writer_finds_out(blobs):
    lock = WriterLock.acquire(blobs, "first")
    held_by(blobs, number=2)
    with pytest.raises(ConflictError, match="run other"):
        lock.check()
    lock.release()
    with pytest.raises(
        ConflictError, match="run other"
    ):  # its release did not free the lock of the other
        take(blobs)


def test_a_broken_entry_says_what_to_do(blobs):
    blobs.put("locks/writer/0000000001.json", b"{")
    with pytest.raises(LakeError, match="delete it if no run is active"):
        take(blobs)


def test_its_heartbeat_is_seen(blobs, monkeypatch):
    monkeypatch.setattr("infra.lake.lock.HEARTBEAT_S", 0.05)
    lock = WriterLock.acquire(blobs, "first")
    (key,) = blobs.list("locks")
    first = json.loads(blobs.get(key))["heartbeat_s"]
    deadline = time.monotonic() + 10
    while json.loads(blobs.get(key))["heartbeat_s"] == first and time.monotonic() < deadline:
        time.sleep(0.02)
    assert json.loads(blobs.get(key))["heartbeat_s"] > first
    lock.release()
