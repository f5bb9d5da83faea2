"""One writer at a time: a lease of numbered entries in the blob store.

Entry n lies at ``locks/writer/<n>.json``; the highest n is the holder, until it says `released`, its process is gone
or its heartbeat stops. The next holder creates n + 1 put-if-absent, so that of several only one gets it, and nobody
can delete the entry of another by mistake. n never falls: it is the fencing token that keeps an ousted writer's late
commits out of the tables (see `infra.lake.delta.DeltaTables.fence`).

Whether a heartbeat has stopped is seen by watching it: an observer counts by its own monotonic clock for how long the
entry has not changed. No two clocks are compared, so a clock that jumps ousts nobody.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from schemas.errors import ConflictError, IntegrityError, LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.blobs import BlobStore

HEARTBEAT_S: Final = 10.0
STALE_S: Final = 60.0  # six missed heartbeats
POLL_S: Final = 0.5
_START_TOLERANCE_S: Final = 0.02  # two ticks
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
        boot: Which start of the machine that was; empty where the system gives it no name.
        process_started_s: When the process started, seconds since then: a reused pid has another. Not by the wall
            clock: one that jumps would make every holder a stranger.
        heartbeat_s: When the holder last showed itself, seconds since the epoch, by its own clock; for people.
        released: It is done.
    """

    run_id: str
    host: str
    pid_namespace: str
    pid: int
    process_started_s: float
    heartbeat_s: float
    released: bool = False
    boot: str = ""

    def may_be_held(self) -> bool:
        """False when it was released, or its process ran here and is gone."""
        if self.released:
            return False
        is_here = (self.host, self.pid_namespace) == (socket.gethostname(), _pid_namespace())
        if not is_here:
            return True
        return self.boot == _boot() and _is_running(self.pid, self.process_started_s)


def fault(blobs: BlobStore) -> tuple[str, str]:
    """Key of the latest entry and what is wrong with it; two empty strings where nothing is.

    Raises:
        LakeError: The store cannot be reached.
    """
    key = _key(max(_numbers(blobs), default=0))
    if not blobs.exists(key):
        return "", ""
    try:
        LockEntry(**json.loads(blobs.get(key)))
    except (ValueError, TypeError) as error:
        return key, f"cannot be read: {error}"
    except IntegrityError:  # it passed on just now
        return "", ""
    return "", ""


class _Watch:
    """Looks at the holder again and again, to see whether its heart beats."""

    def __init__(self) -> None:
        self._seen: tuple[int, LockEntry] | None = None
        self._since_s = 0.0

    def is_held(self, number: int, entry: LockEntry) -> bool:
        """Whether its holder may still be there; no longer, once nothing has moved for `STALE_S`."""
        now_s = time.monotonic()
        if self._seen != (number, entry):
            self._seen, self._since_s = (number, entry), now_s
        return entry.may_be_held() and now_s - self._since_s <= STALE_S


class WriterLock:
    """A lock that is held from construction by :meth:`acquire` until :meth:`release`."""

    def __init__(self, blobs: BlobStore, number: int, entry: LockEntry) -> None:
        self._blobs = blobs
        self._number = number
        self._entry = entry
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lake-writer-lock", daemon=True)

    @classmethod
    def acquire(
        cls,
        blobs: BlobStore,
        run_id: str,
        *,
        wait_s: float = 0.0,
        on_wait: Callable[[str], None] = lambda _: None,
        highest: Callable[[], int] = lambda: 0,
    ) -> WriterLock:
        """Take the lock.

        Args:
            blobs: Of the lake.
            run_id: Who takes it.
            wait_s: How long to wait for a holder that is there. A dead one on this host is passed over at once, one
                elsewhere when its heart has not beaten for `STALE_S` under our eyes.
            on_wait: Hears once of each holder that is waited for.
            highest: Gives the highest number that the tables know of; asked where there is no entry, which is so at
                first, and when somebody deleted them.

        Raises:
            ConflictError: Somebody held it all the time; the message says who.
        """
        until_s = time.monotonic() + wait_s
        watch = _Watch()
        told = 0
        while True:
            numbers = _numbers(blobs)
            last = numbers[-1] if numbers else 0
            holder = _read(blobs, last) if numbers else None
            if holder is None or not watch.is_held(last, holder):
                if lock := cls._take(blobs, run_id, numbers, last or highest()):
                    return lock
                continue
            if time.monotonic() >= until_s:
                raise _taken(blobs, holder)
            if told != last:
                on_wait(_who(holder))
                told = last
            time.sleep(POLL_S)

    @classmethod
    def _take(
        cls, blobs: BlobStore, run_id: str, numbers: list[int], last: int
    ) -> WriterLock | None:
        """Create the entry after `last`; None when another was faster."""
        number = last + 1
        entry = LockEntry(
            run_id=run_id,
            host=socket.gethostname(),
            pid_namespace=_pid_namespace(),
            pid=os.getpid(),
            process_started_s=_started_s(os.getpid()),
            heartbeat_s=time.time(),
            boot=_boot(),
        )
        if not blobs.put_if_absent(_key(number), _encode(entry)):
            return None
        if _numbers(blobs)[-1] != number:  # it was free only because its owner is long gone
            blobs.delete(_key(number))
            return None
        for old in numbers:
            blobs.delete(_key(old))
        lock = cls(blobs, number, entry)
        lock._thread.start()
        return lock

    @property
    def number(self) -> int:
        """The fencing token: higher than that of every holder before."""
        return self._number

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
        """Let go of it. Where the store fails it passes on as that of a dead writer; no earlier error is hidden."""
        self._stop.set()
        self._thread.join()
        with suppress(LakeError):
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


def _boot() -> str:
    """Linux' name for this start of the machine; empty on systems that have none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.is_file() else ""


def _started_s(pid: int) -> float:
    """When a process started, seconds since boot; by the wall clock on systems that do not tell."""
    path = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").is_file():
        started_s: float = psutil.Process(pid).create_time()
        return started_s
    # proc(5): field 22, counted from 1; the second is the name in parentheses, with any character in it.
    ticks = path.read_text(errors="replace").rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def _is_running(pid: int, started_s: float) -> bool:
    try:
        process = psutil.Process(pid)
        same = abs(_started_s(pid) - started_s) <= _START_TOLERANCE_S
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    except psutil.AccessDenied:
        return True


def _taken(blobs: BlobStore, holder: LockEntry | None) -> ConflictError:
    return ConflictError(
        f"{blobs.url} is being written by {_who(holder)}: wait for it or end it; a dead writer is passed over at"
        f" once on its own host and after {STALE_S:.0f} s elsewhere"
    )


def _who(holder: LockEntry | None) -> str:
    if holder is None:
        return "another run"
    return f"run {holder.run_id} (process {holder.pid} on {holder.host})"


def _numbers(blobs: BlobStore) -> list[int]:
    matches = map(_KEY.fullmatch, blobs.list(_FOLDER))
    return sorted(int(match[1]) for match in matches if match)


def _read(blobs: BlobStore, number: int) -> LockEntry | None:
    """None where it was deleted meanwhile."""
    key = _key(number)
    try:
        return LockEntry(**json.loads(blobs.get(key)))
    except IntegrityError:
        return None
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{key} in {blobs.url} cannot be read ({error}): delete it if no run is active"
        ) from error


def _encode(entry: LockEntry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True).encode()


def _key(number: int) -> str:
    return f"{_FOLDER}/{number:010}.json"
