"""The ingest loop: feeds sources to the stages and turns their outcomes into batches of the lake."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flows.deriving import DERIVE, CutSource, Deriving
from flows.desk import Key, VectorDesk, Want
from flows.embedding import EMBED, submit_sound, submit_want
from flows.kept import UNPACK, Ready, Unpacking, with_pixels_of
from flows.long_files import LongFiles
from flows.plan import Again, Contents, Recut
from flows.rows import BatchRows
from flows.settle import Settling, count
from flows.sounds import DECODE, Sounds
from flows.written import WrittenVectors
from infra.lake import SourceFacts
from schemas.balance import Balance
from schemas.engine import Failure
from schemas.errors import LakeError, StaleError, UnreadableError
from stages.messages import Decoded, DecodedPiece, DecodeRequest, LongFile, Milled

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.plan import Plan
    from flows.settle import Lost
    from flows.watcher import Watcher
    from infra.lake import Lake, LakeState
    from schemas.balance import FileOutcome
    from schemas.config import Engine
    from schemas.derived import GeneratorContract
    from schemas.engine import Arrays, Outcome, Session
    from schemas.space import Embedding, SpaceContract

    Job = Contents | Again | Recut

RECOGNISE: Final = "recognise"
_QUEUED_DECODES: Final = 32
# Enough waits for the encoder to fill its batches; more would only make sources land later, and lose more in a kill.
_QUEUED_EMBEDS: Final = 1_000
_QUEUED_EMBED_S: Final = 20.0
_POLL_S: Final = 0.2
_OTHER_PIXELS: Final = Failure.of(
    StaleError("decoded as it is now, its pictures are not those of its units: run over its folder")
)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A source between its units and its batch, and what it waits for."""

    source: CutSource
    wants: list[Want]


class Ingest:
    """One run's ingestion.

    Args:
        lake: Where it goes; the caller holds its writer lock.
        session: Running pools named decode, recognise and embed.
        spaces: Contracts to embed in.
        fingerprint: Of decoding and segmenting.
        run_id: The run.
        engine: Limits of the loop.
        watcher: Hears of progress.
        generators: What derives text.
    """

    def __init__(  # noqa: PLR0913  # the loop's whole surroundings, passed once by wiring
        self,
        lake: Lake,
        session: Session,
        *,
        spaces: tuple[SpaceContract, ...],
        fingerprint: str,
        run_id: str,
        engine: Engine,
        watcher: Watcher,
        generators: tuple[GeneratorContract, ...] = (),
    ) -> None:
        self._lake = lake
        self._session = session
        self._spaces = {space.key: space for space in spaces}
        self._fingerprint = fingerprint
        self._run_id = run_id
        self._engine = engine
        self._watcher = watcher
        self._desk = VectorDesk(spaces)
        self._written = WrittenVectors(lake, self._spaces)
        self._deriving = Deriving(lake, session, generators)
        self._unpacking = Unpacking(lake, session, self._spaces, self._wanted, generators)
        self._decoding: dict[str, Contents] = {}
        # Of those that are decoded for their pixels alone: the spaces they lack, and their units.
        self._units_of: dict[str, tuple[tuple[str, ...], Milled]] = {}
        self._long = LongFiles()
        self._sounds = Sounds(lake, session)
        self._pending: dict[str, _Pending] = {}
        self._lost: list[Lost] = []
        self._batches = 0
        self._rows = self._new_rows()
        self._sealed_at = self._started_at = time.monotonic()
        self._embedded_before = session.stats()[EMBED].items
        self._committer = ThreadPoolExecutor(1, "committer")
        self._commits: deque[Future[None]] = deque()
        self.balance = Balance()

    def run(self, plan: Plan, state: LakeState) -> Balance:
        """Do what the plan says; every batch that was complete is committed, whatever happens after."""
        self._listed = plan.listed
        self._settling = Settling(self._lake, state, self.balance)
        self._watcher.started(plan)
        try:
            self._settling.settle(plan, self._rows)
            self._unpacking.expect(plan.again)
            self._mill(deque([*plan.again, *plan.recut, *plan.decode]))
            self._settling.settle_lost(self._lost, self._rows)
            self._seal()
        finally:
            self._committer.shutdown(wait=True)
        for commit in self._commits:
            commit.result()
        return self.balance

    def _mill(self, todo: deque[Job]) -> None:
        while todo or self._long or self._sounds or self._session.pending():
            while (todo or self._long or self._sounds) and (
                self._has_room() or not self._session.pending()
            ):
                self._feed_next(todo)
            if not todo and not self._preparing + self._session.pending(RECOGNISE):
                self._session.flush(DERIVE if self._session.pending(DERIVE) else EMBED)
            for outcome in self._session.poll(_POLL_S):
                self._handle(outcome)
            self._seal_when_due()
            self._watcher.progressed(self.balance, self._session, self._long.progress())

    def _has_room(self) -> bool:
        return (
            self._preparing < _QUEUED_DECODES
            and self._session.pending(EMBED) + self._session.pending(DERIVE)
            < max(_QUEUED_EMBEDS, self._embed_rate * _QUEUED_EMBED_S)
            and self._session.bytes_in_flight() < self._engine.bytes_in_flight
        )

    @property
    def _preparing(self) -> int:
        return self._session.pending(DECODE) + self._session.pending(UNPACK)

    @property
    def _embed_rate(self) -> float:
        """Items a second since the start."""
        done = self._session.stats()[EMBED].items - self._embedded_before
        return done / max(1.0, time.monotonic() - self._started_at)

    def _feed_next(self, todo: deque[Job]) -> None:
        """Files that were begun come before others, so that what is held of them can go."""
        if self._sounds:
            self._sounds.ask_next()
        elif self._long:
            key, request = self._long.next_request()
            self._session.submit(DECODE, key, request)
        else:
            self._feed(todo.popleft())

    def _feed(self, job: Job) -> None:
        if isinstance(job, Contents):
            self._decode(job)
        elif isinstance(job, Again) and job.decode:
            self._decode_pixels(job, self._unpacking.units_of(job))
        else:
            self._unpacking.feed(job)

    def _decode(self, contents: Contents) -> None:
        file = contents.first
        self._decoding[file.source_id] = contents
        self._session.submit(DECODE, file.source_id, DecodeRequest(file))

    def _decode_pixels(self, again: Again, units: Milled) -> None:
        self._units_of[units.source_id] = (again.spaces, units)
        self._decode(again.contents)

    def _handle(self, outcome: Outcome) -> None:
        if outcome.failure and outcome.failure.code == LakeError.code:
            raise LakeError(outcome.failure.reason)  # no word on the source
        if self._sounds.is_part(outcome.key):
            self._heard(outcome)
        elif outcome.stage == UNPACK:
            self._unpacked(outcome)
        elif outcome.stage in (DERIVE, EMBED):
            self._handle_units(outcome)
        elif self._long.is_range(outcome.key):
            self._handle_range(outcome)
        elif outcome.failure:
            self._long.drop(outcome.key)
            self._lose(self._decoding.pop(outcome.key), outcome, outcome.failure)
        elif isinstance(outcome.value, Decoded):
            self._session.submit(RECOGNISE, outcome.key, outcome.value, arrays=outcome.arrays)
        elif isinstance(outcome.value, LongFile):
            self._long.begin(self._decoding[outcome.key], outcome.value)
        else:
            arrays = self._long.finish(outcome.key) or outcome.arrays
            self._decoded(self._decoding.pop(outcome.key), outcome, arrays)

    def _handle_units(self, outcome: Outcome) -> None:
        if outcome.stage == DERIVE:
            self._embed(self._deriving.arrived(outcome))
            return
        space, _, input_hash = outcome.key.partition("/")
        result = outcome.failure or outcome.value
        self._answered(Key(space, input_hash), result, outcome.attempts)

    def _decoded(self, contents: Contents, outcome: Outcome, arrays: Arrays | None) -> None:
        milled: Milled = outcome.value
        if milled.source_id not in self._units_of:
            how: FileOutcome = "indexed" if self._listed else "redecoded"
            self._embed(self._deriving.enter(CutSource(contents, milled, arrays, how)))
            return
        spaces, units = self._units_of[milled.source_id]
        seen = with_pixels_of(milled, units)
        if all(w.unit.pixels_array is not None for w in self._wanted(seen, spaces)):
            del self._units_of[milled.source_id]
            self._embed(CutSource(contents, seen, arrays, "redecoded", spaces))
        else:
            self._lose(contents, outcome, _OTHER_PIXELS)

    def _handle_range(self, outcome: Outcome) -> None:
        source_id = self._long.source_of(outcome.key)
        if source_id is None:
            return
        failure, value = outcome.failure, outcome.value
        if failure and failure.code == UnreadableError.code:
            self._long.drop(source_id)
            self._lose(self._decoding.pop(source_id), outcome, failure)
            return
        if isinstance(value, DecodedPiece) and value.piece.content.needs_recognition:
            self._session.submit(RECOGNISE, outcome.key, value, arrays=outcome.arrays)
            return
        following = self._long.arrived(outcome.key, failure or (value.piece, outcome.arrays))
        if isinstance(following, Failure):
            self._lose(self._decoding.pop(source_id), outcome, following)
        elif following is not None:
            self._session.submit(DECODE, source_id, following)

    def _lose(self, contents: Contents, outcome: Outcome, failure: Failure) -> None:
        """It could not be decoded. If the place is at fault, it is read from the next place that has the content.

        Without a listing all that is lost stays as the lake has it.
        """
        stage, attempts = outcome.stage, outcome.attempts
        if failure.code == UnreadableError.code:
            self._lost.append((contents.first, DECODE, failure, attempts))
            if contents.others:
                self._decode(Contents(contents.others[0], contents.others[1:]))
                return
        elif self._listed:
            self._settling.reject(self._rows, contents.files, stage, failure, attempts)
        else:
            self._lost.extend((file, stage, failure, attempts) for file in contents.files)
        self._units_of.pop(contents.first.source_id, None)

    def _unpacked(self, outcome: Outcome) -> None:
        source = self._unpacking.arrived(outcome)
        if source is None:
            return
        job = source.job
        if isinstance(source, Ready):
            self._embed(self._deriving.enter(source.cut))
        elif isinstance(job, Again) and not self._listed:  # something of it is gone or damaged
            self._decode_pixels(job, source.milled)
        else:
            self._decode(job.contents)

    def _embed(self, source: CutSource | None) -> None:
        """Ask for the vectors that nobody asked for yet; only in some spaces, where the lake has the units."""
        if source is None:  # something is still being said about it
            return
        source_id = source.milled.source_id
        wants = self._wanted(source.milled, source.spaces)
        self._pending[source_id] = _Pending(source, wants)
        fresh = self._desk.enter(source_id, wants)
        recalled = self._written.recall(fresh)
        sounds = []
        for want in fresh:
            space = self._spaces[want.key.space]
            if want.key in recalled:
                self._desk.arrived(want.key, recalled[want.key], attempts=0)
            elif space.input == "sound":
                sounds.append(want)
            else:
                submit_want(self._session, space, want, source.arrays)
        for want, failure in self._sounds.ask(source.contents, sounds):
            self._desk.arrived(want.key, failure, attempts=1)
        if self._desk.is_complete(source_id):
            self._finish(self._pending.pop(source_id))

    def _heard(self, outcome: Outcome) -> None:
        """The sound of some units came, or why not."""
        for want, sound in self._sounds.arrived(outcome, listed=self._listed):
            if isinstance(sound, Failure):
                self._answered(want.key, sound, outcome.attempts)
            else:
                submit_sound(self._session, self._spaces[want.key.space], want, sound)

    def _answered(self, key: Key, result: Embedding | Failure, attempts: int) -> None:
        for source_id in self._desk.arrived(key, result, attempts):
            self._finish(self._pending.pop(source_id))

    def _wanted(self, milled: Milled, spaces: Collection[str]) -> list[Want]:
        return [w for w in self._desk.wants(milled, spaces) if not self._written.has(w)]

    def _finish(self, pending: _Pending) -> None:
        """Every vector has its answer: the source goes into the batch."""
        source = pending.source
        milled, contents = source.milled, source.contents
        if unheard := self._sounds.lost.pop(milled.source_id, None):
            self._lost.extend((file, DECODE, *unheard) for file in contents.files)
            self._desk.leave(milled.source_id, pending.wants)
            return
        for want in self._desk.wants(milled, source.spaces):
            self._place_vector(want, contents)
        self._deriving.place(source, self._rows, sorted(self._spaces))
        self._count_units(source)
        self._finish_names(source)
        for reject in milled.rejects:
            failure = Failure(
                reject.code, reject.reason, reject.retryable, reject.page, reject.second
            )
            self._rows.add_reject(contents.first, reject.stage, failure)
            count(self.balance.unit_rejects, reject.code)
        self._desk.leave(milled.source_id, pending.wants)

    def _count_units(self, source: CutSource) -> None:
        for unit in source.new_units:
            count(self.balance.units, str(unit.partition))
        kept_bytes = self._sounds.kept_bytes.pop(source.milled.source_id, 0)
        self.balance.kept_bytes += source.milled.kept_bytes + kept_bytes
        for lost in source.lost:
            count(self.balance.unit_rejects, lost.failure.code)

    def _finish_names(self, source: CutSource) -> None:
        """Its names have the content now; without a listing they had it before, and only new units are told of."""
        milled, contents = source.milled, source.contents
        facts = SourceFacts(milled.media_type, milled.title, milled.notes, len(milled.units))
        for file in contents.files:
            duplicate = file is not contents.first
            if self._listed or not source.spaces:
                self._rows.add_path(file, "duplicate" if duplicate else "indexed", facts)
            self.balance.count("duplicate" if duplicate else source.how)

    def _place_vector(self, want: Want, contents: Contents) -> None:
        partition = want.unit.partition
        label = f"{partition} @ {self._spaces[want.key.space].name}"
        if self._written.has(want):
            count(self.balance.reused, label)
            return
        result, attempts = self._desk.result(want.key)
        if isinstance(result, Failure):
            self._rows.add_reject(
                contents.first, EMBED, result, attempts=attempts, unit_id=want.unit.unit_id
            )
            count(self.balance.unit_rejects, result.code)
            return
        self._rows.add_vector(want.key.space, partition, want.key.input_hash, result)
        self._written.add(want)
        count(self.balance.vectors if attempts else self.balance.reused, label)

    def _new_rows(self) -> BatchRows:
        self._batches += 1
        return BatchRows(f"{self._run_id}-{self._batches:06d}", self._run_id, self._fingerprint)

    def _seal_when_due(self) -> None:
        waited_s = time.monotonic() - self._sealed_at
        if (
            self._rows.size >= self._engine.commit_rows
            or waited_s >= self._engine.commit_interval_s
        ):
            self._seal()

    def _seal(self) -> None:
        """Hand the rows to the committer; raises what an earlier commit raised."""
        self._sealed_at = time.monotonic()
        while self._commits and self._commits[0].done():
            self._commits.popleft().result()
        if self._rows.completions:
            rows, self._rows = self._rows, self._new_rows()
            self._commits.append(self._committer.submit(self._commit, rows))

    def _commit(self, rows: BatchRows) -> None:
        self._lake.commit(rows.seal(), run_id=self._run_id)
