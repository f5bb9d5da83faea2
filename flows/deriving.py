"""Sources between their units and their vectors: generators are asked for more text about the units."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from flows.embedding import EMBED
from schemas.derived import GENERATOR, is_derived, same_input, without_derived
from schemas.ids import digest
from stages.messages import Derived, DeriveRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flows.plan import Contents, Rederive
    from flows.rows import BatchRows
    from infra.lake import Lake
    from schemas.balance import FileOutcome
    from schemas.derived import GeneratorContract
    from schemas.engine import Arrays, Failure, Outcome, Session
    from schemas.unit import Unit
    from stages.messages import Milled

DERIVE: Final = "derive"


@dataclass(frozen=True, slots=True)
class LostText:
    """Why a generator gave nothing for a unit. `unit_id` is that of nothing else: the unit itself is not lost."""

    unit_id: str
    failure: Failure
    attempts: int


@dataclass(frozen=True, slots=True)
class CutSource:
    """A source with its units, ready to be embedded.

    Attributes:
        contents: Its names.
        milled: Its units; derived ones among them, once generators were asked.
        arrays: What the units' `pixels_array` counts in.
        how: What it will be counted as.
        spaces: Keys of those it lacks, if its units are in the lake already; else empty: all of them.
        rederive: What is to be done about the derived texts among units that are in the lake.
        written: unit_ids that the lake has of it, where derived texts are to be settled.
        generators: Keys of those whose texts are now among its units, if they were not, or are written with them.
        lost: Texts that could not be derived.
    """

    contents: Contents
    milled: Milled
    arrays: Arrays | None
    how: FileOutcome
    spaces: tuple[str, ...] = ()
    rederive: Rederive | None = None
    written: frozenset[str] = frozenset()
    generators: tuple[str, ...] = ()
    lost: tuple[LostText, ...] = ()

    @property
    def new_units(self) -> list[Unit]:
        """Those that the lake has not."""
        if not self.is_rewritten:
            return []
        return [unit for unit in self.milled.units if unit.unit_id not in self.written]

    @property
    def is_rewritten(self) -> bool:
        """Whether its units are to be written, as a whole."""
        if not self.spaces:
            return True
        if self.rederive is None:
            return False
        return self.rederive.withdraw or {u.unit_id for u in self.milled.units} != self.written


@dataclass(slots=True)
class _Asked:
    source: CutSource
    waiting: int = 0
    units: list[Unit] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    lost: list[LostText] = field(default_factory=list)


class Deriving:
    """Asks generators about the units of sources, each source about each unit once.

    Args:
        lake: Where the units go.
        session: Has a pool named `DERIVE`.
        generators: As configured.
    """

    def __init__(
        self, lake: Lake, session: Session, generators: Sequence[GeneratorContract]
    ) -> None:
        self._old_rejects = _OldRejects(lake)
        self._session = session
        self._generators = {contract.key: contract for contract in generators}
        self._asked: dict[str, _Asked] = {}
        self._parents: dict[str, tuple[str, str, tuple[Unit, ...]]] = {}

    def enter(self, source: CutSource) -> CutSource | None:
        """A source was cut; it comes back at once if there is nothing to ask about it."""
        if source.rederive is not None:
            keys = source.rederive.ask
            source = _stripped(source, self._generators.keys() - keys)
        elif source.spaces:
            return source
        else:
            keys = tuple(self._generators)
        source = replace(source, generators=tuple(self._generators))
        asked = _Asked(source)
        for key in keys:
            self._ask(asked, self._generators[key])
        if not asked.waiting:
            return source
        self._asked[source.milled.source_id] = asked
        return None

    def arrived(self, outcome: Outcome) -> CutSource | None:
        """A generator answered; gives the source with its last answer."""
        source_id, key, parents = self._parents.pop(outcome.key)
        asked = self._asked[source_id]
        asked.waiting -= 1
        if outcome.failure:
            asked.lost += _lost(key, parents, outcome.failure, outcome.attempts)
        else:
            derived: Derived = outcome.value
            asked.units += derived.units
            asked.tokens += derived.tokens
        if asked.waiting:
            return None
        return _joined(self._asked.pop(source_id))

    def place(self, source: CutSource, rows: BatchRows, spaces: Sequence[str]) -> None:
        """Put into a batch the units of a source, or what is new about them, and what could not be said.

        Args:
            source: Whose vectors have come.
            rows: The batch.
            spaces: Keys of all spaces.
        """
        source_id = source.milled.source_id
        if source.is_rewritten:
            rows.add_units(source.milled, list(spaces))
            for row in self._old_rejects.of(source) if source.rederive else ():
                rows.add_old_reject(row)
        else:
            rows.add_spaces(source_id, source.spaces)
        rows.add_derived(source_id, source.generators)
        for lost in source.lost:
            first = source.contents.first
            rows.add_reject(
                first, DERIVE, lost.failure, attempts=lost.attempts, unit_id=lost.unit_id
            )

    def _ask(self, asked: _Asked, contract: GeneratorContract) -> None:
        source_id = asked.source.milled.source_id
        alike: dict[str, list[Unit]] = defaultdict(list)
        for unit in asked.source.milled.units:
            if contract.takes(unit):
                alike[same_input(unit)].append(unit)
        for number, parents in enumerate(alike.values()):
            name = f"{source_id}/{contract.key}/{number}"
            first, arrays = parents[0], asked.source.arrays
            pixels = None
            if contract.frame_size and first.pixels_array is not None and arrays is not None:
                pixels = arrays.pick(first.pixels_array)
            self._parents[name] = (source_id, contract.key, tuple(parents))
            request = DeriveRequest(
                contract.key, tuple(replace(u, pixels_array=None) for u in parents)
            )
            self._session.submit(DERIVE, name, request, arrays=pixels, group=contract.key)
            asked.waiting += 1


class _OldRejects:
    """What was said to be lost of sources whose units are written again: it still is.

    Args:
        lake: As it is when this is first asked.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def of(self, source: CutSource) -> Iterator[Mapping[str, Any]]:
        """Rows of rejects of its parts, and of texts of generators that are not asked again.

        Those of vectors are not among them: every vector that is not there is asked for again.
        """
        asked = source.rederive.ask if source.rederive else ()
        for row in self._rows.get(source.milled.source_id, ()):
            if row["stage"] == EMBED or (
                row["stage"] == DERIVE and row["reason"].partition(": ")[0] in asked
            ):
                continue
            yield row

    @cached_property
    def _rows(self) -> dict[str, list[Mapping[str, Any]]]:
        found = defaultdict(list)
        for row in self._lake.rejects().to_pylist():
            found[row["source_id"]].append(row)
        return found


def _stripped(source: CutSource, kept: Collection[str]) -> CutSource:
    """What the lake has of it, without what was derived by generators other than these."""
    milled = source.milled
    tokens = {u.unit_id: n for u, n in zip(milled.units, milled.tokens, strict=True)}
    units = tuple(without_derived(milled.units, but_of=kept))
    lengths = tuple(tokens[unit.unit_id] for unit in units)
    return replace(
        source,
        milled=replace(milled, units=units, tokens=lengths),
        written=frozenset(tokens),
    )


def _joined(asked: _Asked) -> CutSource:
    """All units in order of unit_id, each once; one that was cut stands before one that was derived."""
    milled = asked.source.milled
    pairs = [
        *zip(milled.units, milled.tokens, strict=True),
        *zip(asked.units, asked.tokens, strict=True),
    ]
    once: dict[str, tuple[Unit, int]] = {}
    for unit, tokens in sorted(pairs, key=lambda pair: _rank(pair[0])):
        once.setdefault(unit.unit_id, (unit, tokens))
    ordered = [once[unit_id] for unit_id in sorted(once)]
    units, tokens_of = zip(*ordered, strict=True)
    return replace(
        asked.source,
        milled=replace(milled, units=units, tokens=tokens_of),
        lost=tuple(sorted(asked.lost, key=lambda lost: lost.unit_id)),
    )


def _rank(unit: Unit) -> tuple[str, str]:
    """First what was cut."""
    return (unit.attributes[GENERATOR], unit.parent_id) if is_derived(unit.attributes) else ("", "")


def _lost(key: str, parents: Sequence[Unit], failure: Failure, attempts: int) -> Iterator[LostText]:
    for unit in parents:
        said = replace(
            failure,
            reason=f"{key}: no text about {unit.partition} unit {unit.unit_id}: {failure.reason}",
            page=unit.locator.page,
            second=unit.locator.start_s,
        )
        yield LostText(digest("no text", key, unit.unit_id), said, attempts)
