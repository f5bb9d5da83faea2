"""Which vectors are wanted, by whom, and which are there: identical content is embedded once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flows.rows import input_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from schemas.engine import Failure
    from schemas.space import Embedding, SpaceContract
    from schemas.unit import Unit
    from stages.messages import Milled


class Key(NamedTuple):
    """One content in one space."""

    space: str
    input_hash: str


class Want(NamedTuple):
    """A unit wants a vector of a content in a space."""

    key: Key
    unit: Unit
    tokens: int


@dataclass(slots=True)
class _Entry:
    waiting: set[str] = field(default_factory=set)  # sources that wait for it
    users: int = 0  # sources that were not sealed yet
    result: Embedding | Failure | None = None
    attempts: int = 1


class VectorDesk:
    """Bookkeeping of vectors between the sources that want them and the encoder.

    A vector is kept only while a source that is not in a sealed batch may still need it.
    """

    def __init__(self, spaces: tuple[SpaceContract, ...]) -> None:
        self._spaces = spaces
        self._entries: dict[Key, _Entry] = {}
        self._missing: dict[str, int] = {}

    def wants(self, milled: Milled, spaces: Collection[str] = ()) -> list[Want]:
        """All (space, content) pairs of a source, one for each unit and space, or only for spaces with these keys."""
        wants = []
        for unit, tokens in zip(milled.units, milled.tokens, strict=True):
            for space in self._spaces:
                if (spaces and space.key not in spaces) or not space.takes(unit.partition):
                    continue
                input_hash = input_of(unit, space)
                if input_hash:
                    wants.append(Want(Key(space.key, input_hash), unit, tokens))
        return wants

    def enter(self, source_id: str, wants: list[Want]) -> list[Want]:
        """Register a source; gives the wants that nobody has asked the encoder for yet."""
        fresh = []
        missing = 0
        for key, want in {want.key: want for want in wants}.items():
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
                fresh.append(want)
            entry.users += 1
            if entry.result is None:
                entry.waiting.add(source_id)
                missing += 1
        self._missing[source_id] = missing
        return fresh

    def arrived(self, key: Key, result: Embedding | Failure, attempts: int) -> list[str]:
        """The encoder answered; gives the sources that now have everything."""
        entry = self._entries[key]
        entry.result = result
        entry.attempts = attempts
        complete = []
        for source_id in sorted(entry.waiting):
            self._missing[source_id] -= 1
            if self._missing[source_id] == 0:
                complete.append(source_id)
        entry.waiting.clear()
        return complete

    def is_complete(self, source_id: str) -> bool:
        """Whether every vector of the source has its answer."""
        return self._missing[source_id] == 0

    def result(self, key: Key) -> tuple[Embedding | Failure, int]:
        """The vector or the failure, and the attempts it took."""
        entry = self._entries[key]
        if entry.result is None:
            raise KeyError(f"{key} has no answer yet")
        return entry.result, entry.attempts

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._entries and not self._missing

    def leave(self, source_id: str, wants: list[Want]) -> None:
        """The source is in a sealed batch: vectors nobody else needs are let go."""
        del self._missing[source_id]
        for key in {want.key for want in wants}:
            entry = self._entries[key]
            entry.users -= 1
            if entry.users == 0:
                del self._entries[key]
