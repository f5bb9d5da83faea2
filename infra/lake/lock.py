"""One writer at a time: an advisory lock of numbered entries in the blob store.

Entry n lies at ``locks/writer/<n>.json``; the highest n is the holder, until it says `released`, its process is gone
or its heartbeat stops. The next holder creates n + 1 put-if-absent, so that of several only one gets it, and nobody
can delete the entry of another by mistake. n never falls: it tells an ousted writer that it was ousted.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from schemas.errors import ConflictError, LakeError

if TYPE_CHECKING:
    from schemas.blobs import BlobStore

HEARTBEAT_S: Final = 10.0
STALE_S: Final = 60.0  # six missed heartbeats
_START_TOLERANCE_S: Final = 2.0  # psutil derives it from the boot time, which moves with the clock
_FOLDER: Final = "locks/writer"
_KEY: Final = re.compile(rf"{_FOLDER}/(\d{{10}})\.json")


@dataclass(frozen=True, slots=True)
class LockEntry:
    """Who holds the lock.

    Attributes:
        run_id: The run.
        host: Host name.
        pid_namespace: In which `pid` means something: a container has its own.
        pid: Process id.
        process_started_s: When the process started, seconds since the epoch: a reused pid has another.
        heartbeat_s: When the holder last showed itself, seconds since the epoch, by its own clock.
        released: It is done.
    """

    run_id: str
    host: str
    pid_namespace: str
    pid: int
    process_started_s: float
    heartbeat_s: float
    released: bool = False

    def is_held(self, now_s: float) -> bool:
        """Whether its holder still is there."""
        if self.released or now_s - self.heartbeat_s > STALE_S:
            return False
        is_here = (self.host, self.pid_namespace) == (socket.gethostname(), _pid_namespace())
        return not is_here or _is_running(self.pid, self.process_started_s)


class WriterLock:
    """A lock that is held from construction by :meth:`acquire` until :meth:`release`."""

    def __init__(self, blobs: BlobStore, number: int, entry: LockEntry) -> None:
        self._blobs = blobs
        self._number = number
        self._entry = entry
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lake-writer-lock", daemon=True)

    @classmethod
    def acquire(cls, blobs: BlobStore, run_id: str) -> WriterLock:
        """Take the lock.

        Raises:
            ConflictError: Somebody holds it; the message says who.
        """
        numbers = _numbers(blobs)
        number = numbers[-1] + 1 if numbers else 1
        if numbers and (holder := _read(blobs, numbers[-1])) and holder.is_held(time.time()):
            raise _taken(blobs, holder)
        entry = LockEntry(
            run_id=run_id,
            host=socket.gethostname(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            process_started_s=psutil.Process().create_time(),
            heartbeat_s=time.time(),
        )
        won = blobs.put_if_absent(_key(number), _encode(entry))
        after = _numbers(blobs)
        if (
            not won or after[-1] != number
        ):  # the number was free only because its owner is long gone
            if won:
                blobs.delete(_key(number))
            raise _taken(blobs, _read(blobs, after[-1]))
        for old in numbers:
            blobs.delete(_key(old))
        lock = cls(blobs, number, entry)
        lock._thread.start()
        return lock

    @property
    def run_id(self) -> str:
        """The run that holds it."""
        return self._entry.run_id

    def check(self) -> None:
        """Raise if another writer took over (this one was asleep for over a minute).

        Raises:
            ConflictError: Names the new holder.
        """
        if not self._is_latest():
            raise _taken(self._blobs, _read(self._blobs, max(_numbers(self._blobs), default=0)))

    def release(self) -> None:
        """Let go of it."""
        self._stop.set()
        self._thread.join()
        if self._is_latest():
            self._blobs.put(_key(self._number), _encode(replace(self._entry, released=True)))

    def _is_latest(self) -> bool:
        return _numbers(self._blobs)[-1:] == [self._number]

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            entry = replace(self._entry, heartbeat_s=time.time())
            try:
                if not self._is_latest():
                    return
                self._blobs.put(_key(self._number), _encode(entry))
            except LakeError:
                continue  # the store may come back before anybody takes over; check() finds out


def _pid_namespace() -> str:
    """Linux' name for it; empty on systems that have none."""
    link = Path("/proc/self/ns/pid")
    return str(link.readlink()) if link.is_symlink() else ""


def _is_running(pid: int, started_s: float) -> bool:
    try:
        process = psutil.Process(pid)
        same: bool = abs(process.create_time() - started_s) <= _START_TOLERANCE_S
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _taken(blobs: BlobStore, holder: LockEntry | None) -> ConflictError:
    who = (
        f"run {holder.run_id} (process {holder.pid} on {holder.host})" if holder else "another run"
    )
    return ConflictError(
        f"{blobs.url} is being written by {who}: wait for it or end it; a dead writer is passed over at once"
        f" on its own host and after {STALE_S:.0f} s elsewhere"
    )


def _numbers(blobs: BlobStore) -> list[int]:
    matches = map(_KEY.fullmatch, blobs.list(_FOLDER))
    return sorted(int(match[1]) for match in matches if match)


def _read(blobs: BlobStore, number: int) -> LockEntry | None:
    """None where it was deleted meanwhile."""
    key = _key(number)
    if not blobs.exists(key):
        return None
    try:
        return LockEntry(**json.loads(blobs.get(key)))
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{key} in {blobs.url} cannot be read ({error}): delete it if no run is active"
        ) from error


def _encode(entry: LockEntry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True).encode()


def _key(number: int) -> str:
    return f"{_FOLDER}/{number:010}.json"
