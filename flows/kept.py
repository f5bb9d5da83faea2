"""Sources that need no decoding: their units stand in the table, and the pixels of those are kept."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from flows.deriving import CutSource
from flows.long_files import JoinedArrays
from flows.plan import Again, unsettled
from infra.payloads import Payloads
from schemas.partition import Partition
from schemas.tables import PARTITION_COLUMNS, UNITS
from schemas.unit import Locator, Unit
from stages.messages import Milled, Unpacked, UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flows.desk import Want
    from flows.plan import Contents, Plan
    from infra.lake import Lake, LakeState, LakeView, SourceFacts
    from schemas.derived import GeneratorContract
    from schemas.engine import Arrays, Outcome, Session
    from schemas.space import SpaceContract

UNPACK: Final = "unpack"
_TEXTS: Final = 1_000  # of one request
_PIXELS: Final = 32  # of one request: 5 MB of pictures, 75 MB of clips
# Units that are read at once: some 100 MB of text. Each time the table of units is gone over.
_UNITS: Final = 100_000
_COLUMNS: Final = [name for name in UNITS.names if name not in ("unit_id", "text_hash", "batch")]


def spare_decoding(  # what a plan is made of, and what there must be
    plan: Plan,
    lake: Lake,
    state: LakeState,
    fingerprint: str,
    spaces: Sequence[SpaceContract],
    generators: Sequence[GeneratorContract] = (),
) -> None:
    """Move what only lacks vectors or derived text, and can get it from what is kept, from `plan.decode` to `again`.

    Texts are in the table of units. Pixels are kept if a run before had `engine.keep_payloads`; a source of which one
    is needed that is not is decoded.

    Args:
        plan: Of this state, with these spaces.
        lake: Where the units are.
        state: What it knows.
        fingerprint: Of decoding and segmenting, as it would be done now.
        spaces: What every source must be complete in.
        generators: Whose texts must be among its units.
    """
    short = {
        contents.first.source_id: _lacking(contents, state, spaces, generators)
        for contents in plan.decode
        if contents.first.source_id in state.live_sources
        and state.units_done.get(contents.first.source_id, ("", ""))[0] == fingerprint
    }
    view = lake.view()
    for space in spaces:
        lacking = [source_id for source_id, again in short.items() if space.key in again.spaces]
        if space.input == "pixels" and lacking:
            for source_id in _unkept(view, Payloads(lake.blobs), lacking, space):
                del short[source_id]
    for generator in generators:
        asked = [
            s for s, again in short.items() if again.settle and generator.key in again.settle.ask
        ]
        if generator.frame_size and asked:
            for source_id in _unseen(view, Payloads(lake.blobs), asked, generator):
                del short[source_id]
    plan.again.extend(short.values())
    plan.decode = [c for c in plan.decode if c.first.source_id not in short]


def _lacking(
    contents: Contents,
    state: LakeState,
    spaces: Sequence[SpaceContract],
    generators: Sequence[GeneratorContract],
) -> Again:
    source_id = contents.first.source_id
    settle = unsettled(state, source_id, [generator.key for generator in generators])
    keys = (
        s.key for s in spaces if settle is not None or (source_id, s.key) not in state.spaces_done
    )
    return Again(contents, tuple(keys), settle)


def _unseen(
    view: LakeView, payloads: Payloads, source_ids: Sequence[str], generator: GeneratorContract
) -> set[str]:
    """Those with a unit that a generator looks at, and whose pixels are not kept."""
    columns = [*PARTITION_COLUMNS, "source_id", "pixels_hash"]
    rows = view.live_units(columns=columns, source_ids=pa.array(source_ids))
    rows = rows.filter(pc.field("pixels_hash") != "")
    kept = payloads.kept(generator.frame_size) if rows.num_rows else set()
    return {
        source_id
        for *where, source_id, pixels_hash in zip(
            *(rows[c].to_pylist() for c in columns), strict=True
        )
        if str(Partition(*where)) in generator.partitions and pixels_hash not in kept
    }


def _unkept(
    view: LakeView, payloads: Payloads, source_ids: Sequence[str], space: SpaceContract
) -> set[str]:
    """Those with a unit whose vector and whose pixels are both not there."""
    columns = [*PARTITION_COLUMNS, "source_id", "pixels_hash"]
    rows = view.live_units(columns=columns, source_ids=pa.array(source_ids))
    rows = rows.filter(pc.field("pixels_hash") != "")
    if not rows.num_rows:
        return set()
    embedded, kept = view.embedded(space.key), payloads.kept(space.frame_size)
    return {
        source_id
        for *where, source_id, pixels_hash in zip(
            *(rows[c].to_pylist() for c in columns), strict=True
        )
        if space.takes(Partition(*where))
        and pixels_hash not in kept
        and (*where, pixels_hash) not in embedded
    }


@dataclass(frozen=True, slots=True)
class Ready:
    """A source that can be embedded: as if it had just been cut, though only with the pixels that are needed."""

    again: Again
    milled: Milled
    arrays: Arrays

    @property
    def cut(self) -> CutSource:
        """The same as one that was cut."""
        return CutSource(self.again.contents, self.milled, self.arrays, self.again)


@dataclass(slots=True)
class _Opened:
    """A source of which something is being unpacked: what it is, what was asked for, and what came, by number."""

    again: Again
    milled: Milled
    parts: list[UnpackRequest] = field(default_factory=list)
    came: dict[int, tuple[Unpacked, Arrays | None]] = field(default_factory=dict)


class Unpacking:
    """Has sources unpacked whose units the lake has, part by part.

    Args:
        lake: Where the units are.
        session: Has a pool named `UNPACK`.
        spaces: What there is to be embedded in, by key.
        wanted: Gives what a source still lacks in some spaces.
        generators: What derives text.
    """

    def __init__(
        self,
        lake: Lake,
        session: Session,
        spaces: Mapping[str, SpaceContract],
        wanted: Callable[[Milled, Collection[str]], list[Want]],
        generators: Sequence[GeneratorContract] = (),
    ) -> None:
        self._lake = lake
        self._session = session
        self._spaces = spaces
        self._wanted = wanted
        self._generators = {contract.key: contract for contract in generators}
        self._ahead: deque[str] = deque()
        self._facts: dict[str, SourceFacts] = {}
        self._units: dict[str, list[Unit]] = {}
        self._opened: dict[str, _Opened] = {}

    def expect(self, again: Sequence[Again]) -> None:
        """These will be fed, in this order."""
        if again:
            self._view = self._lake.view()
            self._ahead.extend(each.contents.first.source_id for each in again)
            self._facts = self._view.facts(self._ahead)

    def feed(self, again: Again) -> None:
        """Ask for all that one source needs."""
        source_id = again.contents.first.source_id
        if source_id not in self._units:
            self._read_units()
        facts, units = self._facts.pop(source_id), tuple(self._units.pop(source_id))
        milled = Milled(
            source_id, facts.media_type, facts.title, facts.notes, (), units, (0,) * len(units)
        )
        parts = self._split(milled, again) or [UnpackRequest((), 0, ())]
        self._opened[source_id] = _Opened(again, milled, parts)
        for number, part in enumerate(parts):
            self._session.submit(UNPACK, f"{source_id}/{number}", part)

    def arrived(self, outcome: Outcome) -> Ready | Again | None:
        """A part of a source was unpacked, or could not be had.

        Returns:
            The source, with its last part; what it was fed as, with the first part that cannot be had: it must be
            decoded then; None with any other part.
        """
        source_id, _, number = outcome.key.partition("/")
        opened = self._opened.get(source_id)
        if opened is None:
            return None
        if outcome.failure:
            return self._opened.pop(source_id).again
        opened.came[int(number)] = (outcome.value, outcome.arrays)
        if len(opened.came) < len(opened.parts):
            return None
        return _ready(self._opened.pop(source_id))

    def _split(self, milled: Milled, again: Again) -> list[UnpackRequest]:
        """What is needed of a source, in requests of a bounded size."""
        texts: dict[str, None] = {}
        pixels: dict[int, dict[str, None]] = {}
        for want in self._wanted(milled, again.spaces):
            space = self._spaces[want.key.space]
            if space.input == "text":
                texts[want.unit.embedded_text] = None
            else:
                pixels.setdefault(space.frame_size, {})[want.unit.pixels_hash] = None
        for key in again.settle.ask if again.settle else ():
            generator = self._generators[key]
            for unit in milled.units if generator.frame_size else ():
                if unit.pixels_hash and generator.takes(unit):
                    pixels.setdefault(generator.frame_size, {})[unit.pixels_hash] = None
        parts = [
            (size, chosen) for size, names in pixels.items() for chosen in _cut(names, _PIXELS)
        ]
        together = zip_longest(_cut(texts, _TEXTS), parts)
        return [UnpackRequest(some or (), *(more or (0, ()))) for some, more in together]

    def _read_units(self) -> None:
        """The units of the sources that come next."""
        chosen: list[str] = []
        count = 0
        while self._ahead and (not chosen or count < _UNITS):
            chosen.append(self._ahead.popleft())
            count += self._facts[chosen[-1]].units
        self._units |= {source_id: [] for source_id in chosen}
        rows = self._view.live_units(columns=_COLUMNS, source_ids=pa.array(chosen))
        for batch in rows.to_batches(max_chunksize=_TEXTS):
            for row in batch.to_pylist():
                self._units[row["source_id"]].append(_unit(row))


def _ready(opened: _Opened) -> Ready:
    came = [opened.came[number] for number in range(len(opened.parts))]
    tokens: dict[str, int] = {}
    for part, (unpacked, _) in zip(opened.parts, came, strict=True):
        tokens |= zip(part.texts, unpacked.tokens, strict=True)
    names = (name for part in opened.parts for name in part.pixels)
    place = {name: number for number, name in enumerate(names)}
    units = opened.milled.units
    milled = replace(
        opened.milled,
        units=tuple(replace(unit, pixels_array=place.get(unit.pixels_hash)) for unit in units),
        tokens=tuple(tokens.get(unit.embedded_text, 0) for unit in units),
    )
    handles = tuple(arrays for _, arrays in came if arrays is not None)
    return Ready(opened.again, milled, JoinedArrays(handles))


def _cut(names: Iterable[str], size: int) -> list[tuple[str, ...]]:
    rest = list(names)
    return [tuple(rest[start : start + size]) for start in range(0, len(rest), size)]


def _unit(row: Mapping[str, Any]) -> Unit:
    """A row of `units` as a value."""
    return Unit(
        source_id=row["source_id"],
        partition=Partition(row["modality"], row["granularity"]),
        locator=Locator(**json.loads(row["locator"])),
        text=row["text"],
        context=row["context"],
        pixels_hash=row["pixels_hash"],
        parent_id=row["parent_id"],
        language=row["language"],
        attributes=json.loads(row["attributes"]),
        acl=tuple(row["acl"]),
    )
