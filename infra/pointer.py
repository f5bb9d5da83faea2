"""The publish log: which snapshot is current. Standard library and a blob store only.

Entry n lies at ``pointer/<n>.json`` and is created put-if-absent; the highest n is current; nothing is ever
rewritten, so publishing and rolling back are one atomic create, and readers never see a half-moved pointer.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

from schemas.errors import ConflictError, IntegrityError, LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.blobs import BlobStore

_KEY: Final = re.compile(r"pointer/(\d{10})\.json")
_SNAPSHOT: Final = re.compile(r"[A-Za-z0-9_-]+")
_ATTEMPTS: Final = 20  # each lost race means that another publisher got through


@dataclass(frozen=True, slots=True)
class PointerEntry:
    """One move of the pointer.

    Attributes:
        number: Place in the log, from 1.
        snapshot_id: What became current.
        action: ``publish``, or ``rollback`` to something published before.
        run_id: The run that did it.
        reason: For people.
        moved_at: ISO 8601, UTC.
    """

    number: int
    snapshot_id: str
    action: Literal["publish", "rollback"]
    run_id: str
    reason: str
    moved_at: str


def current(blobs: BlobStore) -> str | None:
    """Id of the current snapshot, None before the first one."""
    entry = _latest(blobs)
    return entry.snapshot_id if entry else None


def history(blobs: BlobStore) -> list[PointerEntry]:
    """All moves, oldest first."""
    return [_read(blobs, number) for number in _numbers(blobs)]


def look(blobs: BlobStore) -> tuple[dict[int, PointerEntry], dict[int, str]]:
    """Every entry that can be read, and what is wrong with the others, by number; a missing one is wrong."""
    numbers = _numbers(blobs)
    entries: dict[int, PointerEntry] = {}
    wrong = {n: "is missing" for n in range(1, max(numbers, default=0)) if n not in set(numbers)}
    for number in numbers:
        try:
            entries[number] = _read(blobs, number)
        except IntegrityError as error:
            wrong[number] = str(error)
    return entries, dict(sorted(wrong.items()))


def mend(blobs: BlobStore, run_id: str, set_aside: Callable[[str], None]) -> list[int]:
    """Put a stand-in wherever an entry cannot be read: the move before it once more, or else the one after it.

    Args:
        blobs: The lake's.
        run_id: Who does it.
        set_aside: Moves the file of a key away.

    Returns:
        The numbers. Where not one entry could be read, all are set aside, and nothing is published any more.
    """
    entries, wrong = look(blobs)
    if wrong and not entries:
        for number in wrong:
            set_aside(key_of(number))
        return list(wrong)
    for number in wrong:
        before = max((n for n in entries if n < number), default=min(entries))
        moved = replace(
            entries[before], number=number, run_id=run_id, reason="stands in for a damaged entry"
        )
        set_aside(key_of(number))
        blobs.put_if_absent(key_of(number), _encode(moved))
    return list(wrong)


def retract(blobs: BlobStore, set_aside: Callable[[str], None]) -> None:
    """Publish nothing any more: every entry is set aside. Oldest first, since the highest is the current one."""
    for number in _numbers(blobs):
        set_aside(key_of(number))


def publish(blobs: BlobStore, snapshot_id: str, *, run_id: str, reason: str) -> int:
    """Make `snapshot_id` current.

    Returns:
        Number of its entry; the one that is there already when it is current.

    Raises:
        IntegrityError: It has no manifest.
        ConflictError: Other publishers won every race.
    """
    return _move(blobs, _move_to(snapshot_id, "publish", run_id, reason))


def rollback(
    blobs: BlobStore,
    snapshot_id: str | None = None,
    *,
    run_id: str = "",
    reason: str = "rollback",
) -> str:
    """Make an earlier snapshot current again.

    Args:
        blobs: The lake's.
        snapshot_id: Which; None for the :func:`previous` one.
        run_id: The run that asks, if there is one.
        reason: For people.

    Returns:
        The snapshot that is current now.

    Raises:
        LakeError: There is nothing to go back to.
        IntegrityError: The snapshot has no manifest (any more).
        ConflictError: Other publishers won every race.
    """
    target = snapshot_id or previous(blobs)
    if target is None:
        raise LakeError(f"nothing to roll back to in {blobs.url}: fewer than two snapshots stand")
    _move(blobs, _move_to(target, "rollback", run_id, reason))
    return target


def previous(blobs: BlobStore) -> str | None:
    """The snapshot before the current one, of those that maintenance has left; None if there is none.

    A rollback makes it the current one, and then the one before that is the previous one: after publishing A, B, C two
    rollbacks lead to A. A snapshot that was rolled back is left out.
    """
    standing: list[str] = []
    for entry in _standing(blobs):
        if entry.action == "rollback" and entry.snapshot_id in standing:
            last = len(standing) - 1 - standing[::-1].index(entry.snapshot_id)
            del standing[last + 1 :]
        else:
            standing.append(entry.snapshot_id)
    return next((s for s in reversed(standing) if s != standing[-1]), None)


def _standing(blobs: BlobStore) -> list[PointerEntry]:
    """The moves to snapshots that maintenance has left."""
    entries = history(blobs)
    left = {s for s in {e.snapshot_id for e in entries} if blobs.exists(_manifest(s))}
    return [entry for entry in entries if entry.snapshot_id in left]


def _move_to(
    snapshot_id: str, action: Literal["publish", "rollback"], run_id: str, reason: str
) -> PointerEntry:
    """An entry that has no number yet."""
    moved_at = datetime.now(UTC).isoformat(timespec="seconds")
    return PointerEntry(0, snapshot_id, action, run_id, reason, moved_at)


def _move(blobs: BlobStore, move: PointerEntry) -> int:
    """Add an entry, and one that goes back if maintenance expired the snapshot in between."""
    manifest = _manifest(move.snapshot_id)
    if not blobs.exists(manifest):
        raise IntegrityError(
            f"snapshot {move.snapshot_id} has no {manifest} in {blobs.url}: list the snapshots and take one of them"
        )
    before = current(blobs)
    number = _append(blobs, move)
    if blobs.exists(manifest):
        return number
    if before:
        reason = f"{move.snapshot_id} has expired"
        _append(blobs, _move_to(before, "rollback", move.run_id, reason))
    raise IntegrityError(
        f"snapshot {move.snapshot_id} has just expired in {blobs.url}: take another"
    )


def _append(blobs: BlobStore, move: PointerEntry) -> int:
    """Create the next entry, unless it would say what the latest one says."""
    for _ in range(_ATTEMPTS):
        latest = _latest(blobs)
        if latest and latest.snapshot_id == move.snapshot_id:
            return latest.number
        entry = replace(move, number=latest.number + 1 if latest else 1)
        if blobs.put_if_absent(key_of(entry.number), _encode(entry)):
            return entry.number
    raise ConflictError(
        f"other publishers won {_ATTEMPTS} races for the pointer of {blobs.url}: try again"
    )


def _manifest(snapshot_id: str) -> str:
    return f"snapshots/{snapshot_id}/manifest.json"


def _latest(blobs: BlobStore) -> PointerEntry | None:
    numbers = _numbers(blobs)
    return _read(blobs, numbers[-1]) if numbers else None


def _numbers(blobs: BlobStore) -> list[int]:
    matches = map(_KEY.fullmatch, blobs.list("pointer"))
    return sorted(int(match[1]) for match in matches if match)


def _read(blobs: BlobStore, number: int) -> PointerEntry:
    try:
        entry = PointerEntry(**json.loads(blobs.get(key_of(number))))
    except (ValueError, TypeError) as error:
        raise IntegrityError(
            f"{key_of(number)} in {blobs.url} cannot be read ({error}): gristmill verify --repair"
        ) from error
    if entry.number != number or not _SNAPSHOT.fullmatch(str(entry.snapshot_id)):
        raise IntegrityError(
            f"{key_of(number)} in {blobs.url} is no entry of that number: gristmill verify --repair"
        )
    return entry


def _encode(entry: PointerEntry) -> bytes:
    return json.dumps(asdict(entry), sort_keys=True).encode()


def key_of(number: int) -> str:
    """Where an entry lies."""
    return f"pointer/{number:010}.json"
