"""Sources that need no decoding: their units and the pixels of those are kept, or their content is."""

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
from flows.plan import Again, Recut, rederivation
from infra.lake import SourceFacts
from infra.payloads import Payloads
from schemas.partition import ALL_PARTITIONS, Partition
from schemas.tables import PARTITION_COLUMNS, UNITS
from schemas.unit import Locator, Unit
from stages.messages import Milled, RecutRequest, Unpacked, UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flows.desk import Want
    from flows.plan import Contents, Plan
    from infra.lake import Lake, LakeState, LakeView
    from schemas.balance import FileOutcome
    from schemas.derived import GeneratorContract
    from schemas.engine import Arrays, Outcome, Session
    from schemas.space import SpaceContract

UNPACK: Final = "unpack"
_TEXTS: Final = 1_000  # of one request
_PIXELS: Final = 32  # of one request: 5 MB of pictures, 75 MB of clips
# Units that are read at once: some 100 MB of text. Each time the table of units is gone over.
_UNITS: Final = 100_000
_CUT: Final = "cut"  # stands in place of the number of a part
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
    is needed that is not is decoded. Sounds have a way of their own (flows/sounds.py).

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
    view, payloads = lake.view(), Payloads(lake.blobs)
    for space in spaces:
        lacking = [source_id for source_id, again in short.items() if space.key in again.spaces]
        for source_id in undecoded(view, payloads, lacking, space):
            del short[source_id]
    for generator in generators:
        asked = [s for s, again in short.items() if generator.key in _asked(again)]
        for source_id in _unseen(view, payloads, asked, generator):
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
    rederive = rederivation(state, source_id, [generator.key for generator in generators])
    keys = (s.key for s in spaces if rederive or (source_id, s.key) not in state.spaces_done)
    return Again(contents, tuple(keys), rederive=rederive)


def _asked(job: Again) -> tuple[str, ...]:
    """Keys of the generators that are asked about units that the lake has."""
    return job.rederive.ask if job.rederive else ()


def _unseen(
    view: LakeView, payloads: Payloads, source_ids: Sequence[str], generator: GeneratorContract
) -> set[str]:
    """Those with a unit that a generator looks at, and whose pixels are not kept."""
    if not generator.frame_size or not source_ids:
        return set()
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


def spare_recutting(plan: Plan, kept: Mapping[str, str]) -> None:
    """Move what is cut otherwise than before, and whose content is kept, from `plan.decode` to `plan.recut`.

    Args:
        plan: What needs no more than vectors was taken out of it.
        kept: Keys of the contents that decoding would give now, by source_id.
    """
    for contents in plan.decode:
        if key := kept.get(contents.first.source_id):
            plan.recut.append(Recut(contents, key))
    plan.decode = [c for c in plan.decode if c.first.source_id not in kept]


def unkept(
    view: LakeView, payloads: Payloads, source_ids: Sequence[str], space: SpaceContract
) -> set[str]:
    """Those with a unit whose vector in a space is not there, nor what it is made of; none where it takes texts."""
    if space.input == "text" or not source_ids:
        return set()
    chosen, found = pa.array(source_ids), set[str]()
    embedded, kept = view.embedded(space.key), payloads.kept(space.frame_size)
    for partition in filter(space.takes, ALL_PARTITIONS):
        where = (partition.modality, partition.granularity)
        for batch in view.stream_units(partition, ["source_id", "input_hash"], space.input_column):
            rows = batch.filter(pc.is_in(batch["source_id"], value_set=chosen))
            pairs = zip(*(rows[name].to_pylist() for name in rows.schema.names), strict=True)
            found.update(s for s, h in pairs if h not in kept and (*where, h) not in embedded)
    return found


def undecoded(
    view: LakeView, payloads: Payloads, source_ids: Sequence[str], space: SpaceContract
) -> set[str]:
    """Those that are decoded before they can be embedded in a space; for its sounds alone a source need not be."""
    return unkept(view, payloads, source_ids, space) if space.input == "pixels" else set()


@dataclass(frozen=True, slots=True)
class Ready:
    """A source that can be embedded: as if it had just been cut, though only with the pixels that are needed."""

    job: Again | Recut
    milled: Milled
    arrays: Arrays

    @property
    def cut(self) -> CutSource:
        """The same as one that was cut."""
        job = self.job
        if isinstance(job, Recut):
            return CutSource(job.contents, self.milled, self.arrays, "resegmented")
        how: FileOutcome = "reembedded"
        return CutSource(job.contents, self.milled, self.arrays, how, job.spaces, job.rederive)


@dataclass(frozen=True, slots=True)
class Missing:
    """A source of which something that is needed is not kept, or is damaged; its units without their pixels."""

    job: Again | Recut
    milled: Milled


@dataclass(slots=True)
class _Opened:
    """A source of which something is being unpacked: what it is, what was asked for, and what came, by number."""

    job: Again | Recut
    milled: Milled
    parts: list[UnpackRequest] = field(default_factory=list)
    came: dict[int, tuple[Unpacked, Arrays | None]] = field(default_factory=dict)


class Unpacking:
    """Has sources unpacked whose units or whose content the lake has, part by part.

    Args:
        lake: Where the units are.
        session: Has a pool named `UNPACK`.
        spaces: What there is to be embedded in, by key.
        wanted: Gives what a source still lacks in some spaces, or in all.
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
        """The units of these will be asked for, in this order."""
        if again:
            self._view = self._lake.view()
            self._ahead.extend(each.contents.first.source_id for each in again)
            self._facts = self._view.facts(self._ahead)

    def units_of(self, again: Again) -> Milled:
        """A source as it was cut, without pixels; once."""
        source_id = again.contents.first.source_id
        if source_id not in self._units:
            self._read_units()
        return _milled(again.contents, self._facts.pop(source_id), self._units.pop(source_id))

    def feed(self, job: Again | Recut) -> None:
        """Ask for all that one source needs; first of all to be cut, if it must be."""
        if isinstance(job, Again):
            milled = self.units_of(job)
            self._ask(job, milled, self._split(milled, job.spaces, _asked(job)))
            return
        source_id = job.contents.first.source_id
        self._opened[source_id] = _Opened(job, _milled(job.contents, SourceFacts(), ()))
        self._session.submit(UNPACK, f"{source_id}/{_CUT}", RecutRequest(source_id, job.key))

    def arrived(self, outcome: Outcome) -> Ready | Missing | None:
        """A part of a source was unpacked, or could not be had.

        Returns:
            The source, with its last part; that something is missing, with the first part that cannot be had; None
            with any other part.
        """
        source_id, _, number = outcome.key.partition("/")
        opened = self._opened.get(source_id)
        if opened is None:
            return None
        if outcome.failure:
            del self._opened[source_id]
            return Missing(opened.job, opened.milled)
        if number == _CUT:
            return self._cut(opened.job, outcome.value)
        opened.came[int(number)] = (outcome.value, outcome.arrays)
        if len(opened.came) < len(opened.parts):
            return None
        return _ready(self._opened.pop(source_id))

    def _cut(self, job: Again | Recut, milled: Milled) -> Ready | None:
        """Texts were measured with the cutting; pixels are seldom needed, since equal ones have their vectors."""
        parts = [part for part in self._split(milled, (), self._generators) if part.pixels]
        if not parts:
            del self._opened[milled.source_id]
            return _ready(_Opened(job, milled))
        self._ask(job, milled, [replace(part, texts=()) for part in parts])
        return None

    def _ask(self, job: Again | Recut, milled: Milled, parts: list[UnpackRequest]) -> None:
        parts = parts or [UnpackRequest((), 0, ())]
        self._opened[milled.source_id] = _Opened(job, milled, parts)
        for number, part in enumerate(parts):
            self._session.submit(UNPACK, f"{milled.source_id}/{number}", part)

    def _split(
        self, milled: Milled, spaces: Collection[str], asked: Iterable[str]
    ) -> list[UnpackRequest]:
        """What is needed of a source, in requests of a bounded size."""
        texts: dict[str, None] = {}
        pixels: dict[int, dict[str, None]] = {}
        for want in self._wanted(milled, spaces):
            space = self._spaces[want.key.space]
            if space.input == "text":
                texts[want.unit.embedded_text] = None
            elif space.input == "pixels":
                pixels.setdefault(space.frame_size, {})[want.unit.pixels_hash] = None
        for generator in (self._generators[key] for key in asked):
            for unit in filter(generator.takes, milled.units if generator.frame_size else ()):
                if unit.pixels_hash:
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


def with_pixels_of(decoded: Milled, units: Milled) -> Milled:
    """Units as they were cut, with the pixels of the same content decoded again: none where it has others now."""
    place = {unit.pixels_hash: unit.pixels_array for unit in decoded.units}
    return _placed(units, place)


def _placed(milled: Milled, place: Mapping[str, int | None]) -> Milled:
    """The same with its pixels at other places, by their hashes."""
    units = tuple(
        replace(unit, pixels_array=place.get(unit.pixels_hash) if unit.pixels_hash else None)
        for unit in milled.units
    )
    return replace(milled, units=units)


def _milled(contents: Contents, facts: SourceFacts, units: Sequence[Unit]) -> Milled:
    return Milled(
        contents.first.source_id,
        facts.media_type,
        facts.title,
        facts.notes,
        (),
        tuple(units),
        (0,) * len(units),
    )


def _ready(opened: _Opened) -> Ready:
    came = [opened.came[number] for number in range(len(opened.parts))]
    tokens: dict[str, int] = {}
    for part, (unpacked, _) in zip(opened.parts, came, strict=True):
        tokens |= zip(part.texts, unpacked.tokens, strict=True)
    names = (name for part in opened.parts for name in part.pixels)
    milled = _placed(opened.milled, {name: number for number, name in enumerate(names)})
    counted = zip(milled.units, milled.tokens, strict=True)
    milled = replace(
        milled, tokens=tuple(tokens.get(unit.embedded_text, count) for unit, count in counted)
    )
    handles = tuple(arrays for _, arrays in came if arrays is not None)
    return Ready(opened.job, milled, JoinedArrays(handles))


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
