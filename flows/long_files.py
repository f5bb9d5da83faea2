"""Long files on their way: which ranges of them were read, and what is still to come."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stages.messages import DecodeRequest, JoinRequest

if TYPE_CHECKING:
    from flows.plan import Contents
    from schemas.engine import Arrays, Failure
    from stages.messages import LongFile
    from stages.ranges import Piece

    Arrived = tuple[Piece, Arrays | None] | Failure


@dataclass(frozen=True, slots=True)
class LongProgress:
    """How far a long file is: `done` of `total` ranges are read."""

    path: str
    done: int
    total: int


@dataclass(slots=True)
class _Reading:
    contents: Contents
    long: LongFile
    serial: int
    arrived: dict[int, Arrived] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return len(self.arrived) == len(self.long.spans)

    def pieces(self) -> list[tuple[Piece, Arrays | None]]:
        """What was read, in order."""
        found = (self.arrived[number] for number in sorted(self.arrived))
        return [item for item in found if isinstance(item, tuple)]


class LongFiles:
    """Keeps the ranges of long files together, whatever order they come in.

    The key of a range is made of its source's, of how many files were begun before (one may be given up and begun again
    from another place, while ranges are still on their way), and of its number.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._reading: dict[str, _Reading] = {}
        self._waiting: deque[tuple[str, DecodeRequest]] = deque()

    def __bool__(self) -> bool:
        """Whether there are ranges to be asked for."""
        return bool(self._waiting)

    def begin(self, contents: Contents, long: LongFile) -> None:
        """A file turned out to be long."""
        self._begun += 1
        self._reading[long.source_id] = _Reading(contents, long, self._begun)
        self._waiting.extend(
            (f"{long.source_id}#{self._begun}#{number}", DecodeRequest(contents.first, span))
            for number, span in enumerate(long.spans)
        )

    def next_request(self) -> tuple[str, DecodeRequest]:
        """The next range to ask for, with its key."""
        return self._waiting.popleft()

    @staticmethod
    def is_range(key: str) -> bool:
        """Whether a key is that of a range."""
        return "#" in key

    def source_of(self, key: str) -> str | None:
        """The source that a range belongs to; None if it was given up since."""
        source_id, serial, _ = key.split("#")
        reading = self._reading.get(source_id)
        return source_id if reading is not None and reading.serial == int(serial) else None

    def arrived(self, key: str, answer: Arrived) -> JoinRequest | Failure | None:
        """A range of a file that is still wanted was read or lost.

        Returns:
            After the last range what to ask for next, or why there is nothing to ask for; None before.
        """
        source_id, _, number = key.split("#")
        reading = self._reading[source_id]
        reading.arrived[int(number)] = answer
        if not reading.is_complete:
            return None
        pieces = reading.pieces()
        if not pieces:
            self.drop(source_id)
            return _first_failure(reading)
        lost = (
            reading.long.spans[number].lost(answer)
            for number, answer in sorted(reading.arrived.items())
            if not isinstance(answer, tuple)
        )
        return JoinRequest(
            reading.contents.first,
            reading.long.media_type,
            tuple(piece for piece, _ in pieces),
            tuple(lost),
        )

    def drop(self, source_id: str) -> None:
        """Forget a file; what still comes of it is of no use."""
        self._reading.pop(source_id, None)
        kept = [item for item in self._waiting if item[0].partition("#")[0] != source_id]
        self._waiting = deque(kept)

    def finish(self, source_id: str) -> JoinedArrays | None:
        """The arrays of all ranges of a file that was joined; None for a file that was not long."""
        reading = self._reading.pop(source_id, None)
        if reading is None:
            return None
        return JoinedArrays(tuple(arrays for _, arrays in reading.pieces() if arrays is not None))

    def progress(self) -> tuple[LongProgress, ...]:
        """How far each is."""
        return tuple(
            LongProgress(r.contents.first.path, len(r.arrived), len(r.long.spans))
            for r in self._reading.values()
        )


@dataclass(frozen=True, slots=True)
class JoinedArrays:
    """Handles to the arrays of several answers, as if they were those of one."""

    handles: tuple[Arrays, ...]

    @property
    def count(self) -> int:
        """Number of arrays."""
        return sum(handle.count for handle in self.handles)

    @property
    def nbytes(self) -> int:
        """Their size in bytes."""
        return sum(handle.nbytes for handle in self.handles)

    def pick(self, index: int) -> Arrays:
        """A handle to one of them.

        Raises:
            IndexError: There is no such array.
        """
        left = index
        for handle in self.handles:
            if left < handle.count:
                return handle.pick(left)
            left -= handle.count
        raise IndexError(f"array {index} of {self.count}")


def _first_failure(reading: _Reading) -> Failure:
    return next(a for _, a in sorted(reading.arrived.items()) if not isinstance(a, tuple))
