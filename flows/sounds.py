"""Sounds of units on their way to the encoder: kept ones are read, others are decoded once the units are known."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from flows.kept import UNPACK
from infra.payloads import Payloads
from schemas.engine import Failure
from schemas.errors import CorruptError, LimitError, UnreadableError
from schemas.sound import sound_span
from stages.messages import SoundRequest, UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flows.desk import Want
    from flows.plan import Contents
    from infra.lake import Lake
    from schemas.engine import Arrays, Outcome, Session

    Request = SoundRequest | UnpackRequest
    Answered = list[tuple[Want, Arrays | Failure]]

DECODE: Final = "decode"
# Of one request: 58 MB of samples. A long recording is decoded from the beginning of each such part of it.
_PART_S: Final = 1800
_PART_MS: Final = 1000 * _PART_S
_KEPT: Final = 60  # of one request: as much
_NO_SOUND: Final = Failure.of(CorruptError("decoded again, its sound ends before this segment"))


@dataclass(frozen=True, slots=True)
class _Part:
    """Units of a source whose sound is asked for together, and who wants it; `kept` if it is read from the lake."""

    contents: Contents
    begin_s: int
    wants: dict[str, list[Want]]
    kept: bool

    @property
    def request(self) -> Request:
        if self.kept:
            return UnpackRequest((), 0, tuple(self.wants))
        spans = tuple(sound_span(wants[0].unit.locator) for wants in self.wants.values())
        return SoundRequest(self.contents.first, self.begin_s, spans, tuple(self.wants))


class Sounds:
    """What is asked for, part by part, and for whom. A part has a key of its source's and its number.

    Args:
        lake: Which may keep sounds.
        session: Has pools named `DECODE` and `UNPACK`.

    Attributes:
        lost: source_id -> why its sound could not be had though its file may have it, and attempts: it is to be lost as
            if it could not be decoded.
        kept_bytes: source_id -> what was written of its sounds to be kept.
    """

    def __init__(self, lake: Lake, session: Session) -> None:
        self.lost: dict[str, tuple[Failure, int]] = {}
        self.kept_bytes: dict[str, int] = defaultdict(int)
        self._lake = lake
        self._session = session
        self._asked = 0
        self._parts: dict[str, _Part] = {}
        self._waiting: deque[str] = deque()

    def __bool__(self) -> bool:
        """Whether there are parts to be asked for."""
        return bool(self._waiting)

    def ask(self, contents: Contents, wants: Iterable[Want]) -> list[tuple[Want, Failure]]:
        """These will be needed of a source; gives those that nobody will ask for, and why."""
        refused = []
        kept: dict[str, list[Want]] = {}
        parts: dict[int, dict[str, list[Want]]] = defaultdict(dict)
        for want in wants:
            try:
                begin = sound_span(want.unit.locator).start_ms // _PART_MS
            except LimitError as error:
                refused.append((want, Failure.of(error)))
                continue
            unit_id = want.key.input_hash
            part = kept if unit_id in self._kept else parts[begin]
            part.setdefault(unit_id, []).append(want)
        for begin, part in sorted(parts.items()):
            self._add(_Part(contents, begin * _PART_S, part, kept=False))
        for names in _runs(list(kept), _KEPT):
            self._add(_Part(contents, 0, {name: kept[name] for name in names}, kept=True))
        return refused

    def ask_next(self) -> None:
        """Ask for the next part."""
        key = self._waiting.popleft()
        part = self._parts[key]
        self._session.submit(UNPACK if part.kept else DECODE, key, part.request)

    def is_part(self, key: str) -> bool:
        """Whether a key is that of a part."""
        return key in self._parts

    def arrived(self, outcome: Outcome, *, listed: bool) -> Answered:
        """A part came, or could not be had; nothing yet if it is asked for in another way now.

        Args:
            outcome: Of a part.
            listed: Sources were listed: what their files have not got is a reject, not a loss.
        """
        part, failure = self._parts.pop(outcome.key), outcome.failure
        if failure and self._try_otherwise(part, failure):
            return []
        source_id = part.contents.first.source_id
        if failure and (failure.code == UnreadableError.code or not listed):
            self.lost[source_id] = (failure, outcome.attempts)
        elif not failure and not part.kept:
            self.kept_bytes[source_id] += outcome.value.kept_bytes
        return [
            (want, failure or _sound(outcome.arrays, number))
            for number, wants in enumerate(part.wants.values())
            for want in wants
        ]

    def _try_otherwise(self, part: _Part, failure: Failure) -> bool:
        """Decode what is kept no more; read from the next place that has the content."""
        others = part.contents.others
        if part.kept:
            self._kept.difference_update(part.wants)
            self.ask(part.contents, [want for wants in part.wants.values() for want in wants])
        elif failure.code == UnreadableError.code and others:
            elsewhere = type(part.contents)(others[0], others[1:])
            self._add(_Part(elsewhere, part.begin_s, part.wants, kept=False))
        else:
            return False
        return True

    def _add(self, part: _Part) -> None:
        self._asked += 1
        key = f"{part.contents.first.source_id}~{self._asked}"
        self._parts[key] = part
        self._waiting.append(key)

    @cached_property
    def _kept(self) -> set[str]:
        return Payloads(self._lake.blobs).kept(0)


def _sound(arrays: Arrays | None, number: int) -> Arrays | Failure:
    found = arrays.pick(number) if arrays is not None else None
    return found if found is not None and found.nbytes else _NO_SOUND


def _runs(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
