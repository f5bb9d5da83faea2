"""The ingest loop: feeds sources to the stages and turns their outcomes into batches of the lake."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flows.deriving import DERIVE, CutSource, Deriving
from flows.desk import Key, VectorDesk, Want
from flows.embedding import EMBED, submit_want
from flows.kept import UNPACK, Ready, Unpacking
from flows.long_files import LongFiles
from flows.plan import Again, Contents
from flows.rows import BatchRows
from flows.written import WrittenVectors
from infra.lake import SourceFacts
from schemas.balance import Balance
from schemas.engine import Failure
from schemas.errors import LakeError, UnreadableError
from stages.messages import Decoded, DecodedPiece, DecodeRequest, LongFile, Milled

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.plan import Plan
    from flows.watcher import Watcher
    from infra.lake import Lake, LakeState
    from schemas.config import Engine
    from schemas.derived import GeneratorContract
    from schemas.engine import Outcome, Session
    from schemas.source import SourceFile
    from schemas.space import SpaceContract

DECODE: Final = "decode"
RECOGNISE: Final = "recognise"
_QUEUED_DECODES: Final = 32
# Enough waits for the encoder to fill its batches; more would only make sources land later, and lose more in a kill.
_QUEUED_EMBEDS: Final = 1_000
_QUEUED_EMBED_S: Final = 20.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class _Pending:
    """A source between its units and its batch."""

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
        self._long = LongFiles()
        self._pending: dict[str, _Pending] = {}
        self._lost: list[tuple[SourceFile, Failure, int]] = []
        self._tried: dict[str, int] = {}
        self._batches = 0
        self._rows = self._new_rows()
        self._sealed_at = self._started_at = time.monotonic()
        self._embedded_before = session.stats()[EMBED].items
        self._committer = ThreadPoolExecutor(1, "committer")
        self._commits: deque[Future[None]] = deque()
        self.balance = Balance()

    def run(self, plan: Plan, state: LakeState) -> Balance:
        """Do what the plan says; every batch that was complete is committed, whatever happens after."""
        self.balance.found = plan.found
        self.balance.unchanged = plan.unchanged
        self._tried = plan.tried
        self._watcher.started(plan)
        try:
            self._settle_known(plan, state)
            self._unpacking.expect(plan.again)
            self._mill(deque([*plan.again, *plan.decode]))
            self._settle_lost(state)
            self._seal()
        finally:
            self._committer.shutdown(wait=True)
        for commit in self._commits:
            commit.result()
        return self.balance

    def _settle_known(self, plan: Plan, state: LakeState) -> None:
        """Everything that needs no decoding."""
        for uri in plan.gone:
            self._rows.add_gone(uri)
        self.balance.gone = len(plan.gone)
        for file, reason in plan.unreadable:
            self._reject_files([file], "list", _unreadable(reason), 1)
        for _, code in plan.known_rejects:
            self._count_rejected(code)
        self._settle_kept(plan)
        named = [c.first.source_id for c in plan.relink]
        facts = self._lake.facts([*named, *(file.source_id for file, _ in plan.refresh)])
        for file, outcome in plan.refresh:
            self._rows.add_path(file, outcome, facts[file.source_id])
        gone = set(plan.gone)
        stays = {known.source_id for uri, known in state.paths.items() if uri not in gone}
        for contents in plan.relink:
            taken = contents.first.source_id in stays
            for file in contents.files:
                outcome = "duplicate" if taken else "indexed"
                self._rows.add_path(file, outcome, facts[file.source_id])
                self.balance.duplicate += taken
                self.balance.unchanged += not taken
                taken = True

    def _settle_kept(self, plan: Plan) -> None:
        """What cannot be read now, and was before."""
        facts = self._lake.facts(known.source_id for _, _, known in plan.kept)
        for _, reason, known in plan.kept:
            if not known.reject_code:  # else it was said before
                self._rows.add_kept(known, facts[known.source_id], "list", _unreadable(reason))
            self._count_rejected(UnreadableError.code)
        self.balance.kept = len(plan.kept) + plan.unseen

    def _settle_lost(self, state: LakeState) -> None:
        """What was there when the plan was made and could not be had to decode it.

        Nothing is written down of how it looked, so the next run reads it. A name that had a content before keeps it.
        """
        known = {
            file.uri: state.paths[file.uri]
            for file, _, _ in self._lost
            if file.uri in state.paths and state.paths[file.uri].has_content
        }
        facts = self._lake.facts(path.source_id for path in known.values())
        for file, failure, attempts in self._lost:
            if file.uri in known:
                path = known[file.uri]
                self._rows.add_kept(path, facts[path.source_id], DECODE, failure, attempts)
                self._count_rejected(failure.code)
                self.balance.kept += 1
            else:
                unseen = replace(file, size_bytes=0, mtime_ns=0, etag="", content_hash="")
                self._reject_files([unseen], DECODE, failure, attempts)

    def _mill(self, todo: deque[Again | Contents]) -> None:
        while todo or self._long or self._session.pending():
            while (todo or self._long) and (self._has_room() or not self._session.pending()):
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

    def _feed_next(self, todo: deque[Again | Contents]) -> None:
        """Files that were begun come before others, so that what is held of them can go."""
        if self._long:
            key, request = self._long.next_request()
            self._session.submit(DECODE, key, request)
        else:
            self._feed(todo.popleft())

    def _feed(self, contents: Again | Contents) -> None:
        if isinstance(contents, Again):
            self._unpacking.feed(contents)
            return
        file = contents.first
        self._decoding[file.source_id] = contents
        self._session.submit(DECODE, file.source_id, DecodeRequest(file))

    def _handle(self, outcome: Outcome) -> None:
        if outcome.failure and outcome.failure.code == LakeError.code:
            raise LakeError(outcome.failure.reason)  # no word on the source
        if outcome.stage == UNPACK:
            self._unpacked(outcome)
        elif outcome.stage in (DERIVE, EMBED):
            self._handle_units(outcome)
        elif self._long.is_range(outcome.key):
            self._handle_range(outcome)
        elif outcome.failure:
            self._long.drop(outcome.key)
            contents = self._decoding.pop(outcome.key)
            if outcome.failure.code == UnreadableError.code:
                self._lose_first(contents, outcome.failure, outcome.attempts)
            else:
                self._reject_files(contents.files, outcome.stage, outcome.failure, outcome.attempts)
        elif isinstance(outcome.value, Decoded):
            self._session.submit(RECOGNISE, outcome.key, outcome.value, arrays=outcome.arrays)
        elif isinstance(outcome.value, LongFile):
            self._long.begin(self._decoding[outcome.key], outcome.value)
        else:
            arrays = self._long.finish(outcome.key) or outcome.arrays
            cut = CutSource(self._decoding.pop(outcome.key), outcome.value, arrays)
            self._embed(self._deriving.enter(cut))

    def _handle_units(self, outcome: Outcome) -> None:
        if outcome.stage == DERIVE:
            self._embed(self._deriving.arrived(outcome))
            return
        space, _, input_hash = outcome.key.partition("/")
        result = outcome.failure or outcome.value
        for source_id in self._desk.arrived(Key(space, input_hash), result, outcome.attempts):
            self._finish(self._pending.pop(source_id))

    def _handle_range(self, outcome: Outcome) -> None:
        source_id = self._long.source_of(outcome.key)
        if source_id is None:
            return
        failure, value = outcome.failure, outcome.value
        if failure and failure.code == UnreadableError.code:
            self._long.drop(source_id)
            self._lose_first(self._decoding.pop(source_id), failure, outcome.attempts)
            return
        if isinstance(value, DecodedPiece) and value.piece.content.needs_recognition:
            self._session.submit(RECOGNISE, outcome.key, value, arrays=outcome.arrays)
            return
        following = self._long.arrived(outcome.key, failure or (value.piece, outcome.arrays))
        if isinstance(following, Failure):
            contents = self._decoding.pop(source_id)
            self._reject_files(contents.files, outcome.stage, following, outcome.attempts)
        elif following is not None:
            self._session.submit(DECODE, source_id, following)

    def _lose_first(self, contents: Contents, failure: Failure, attempts: int) -> None:
        """The place is at fault, not the content: it is read from the next place that has it."""
        self._lost.append((contents.first, failure, attempts))
        if contents.others:
            self._feed(Contents(contents.others[0], contents.others[1:]))

    def _unpacked(self, outcome: Outcome) -> None:
        source = self._unpacking.arrived(outcome)
        if isinstance(source, Ready):
            self._embed(self._deriving.enter(source.cut))
        elif source is not None:  # something of it is gone or damaged
            self._feed(source.contents)

    def _embed(self, source: CutSource | None) -> None:
        """Ask for the vectors that nobody asked for yet; only in some spaces, where the lake has the units."""
        if source is None:  # something is still being said about it
            return
        source_id = source.milled.source_id
        wants = self._wanted(source.milled, source.spaces)
        self._pending[source_id] = _Pending(source, wants)
        fresh = self._desk.enter(source_id, wants)
        recalled = self._written.recall(fresh)
        for want in fresh:
            if want.key in recalled:
                self._desk.arrived(want.key, recalled[want.key], attempts=0)
            else:
                submit_want(self._session, self._spaces[want.key.space], want, source.arrays)
        if self._desk.is_complete(source_id):
            self._finish(self._pending.pop(source_id))

    def _wanted(self, milled: Milled, spaces: Collection[str]) -> list[Want]:
        return [w for w in self._desk.wants(milled, spaces) if not self._written.has(w)]

    def _finish(self, pending: _Pending) -> None:
        """Every vector has its answer: the source goes into the batch."""
        source = pending.source
        milled, contents, again = source.milled, source.contents, bool(source.again)
        for want in self._desk.wants(milled, source.spaces):
            self._place_vector(want, contents)
        self._deriving.place(source, self._rows, sorted(self._spaces))
        self._count_units(source)
        facts = SourceFacts(milled.media_type, milled.title, milled.notes, len(milled.units))
        for file in contents.files:
            duplicate = file is not contents.first
            self._rows.add_path(file, "duplicate" if duplicate else "indexed", facts)
            self.balance.duplicate += duplicate
            self.balance.reembedded += again and not duplicate
            self.balance.indexed += not again and not duplicate
        for reject in milled.rejects:
            failure = Failure(
                reject.code, reject.reason, reject.retryable, reject.page, reject.second
            )
            self._rows.add_reject(contents.first, reject.stage, failure)
            _count(self.balance.unit_rejects, reject.code)
        self._desk.leave(milled.source_id, pending.wants)

    def _count_units(self, source: CutSource) -> None:
        for unit in source.new_units:
            _count(self.balance.units, str(unit.partition))
        self.balance.kept_bytes += source.milled.kept_bytes
        for lost in source.lost:
            _count(self.balance.unit_rejects, lost.failure.code)

    def _place_vector(self, want: Want, contents: Contents) -> None:
        partition = want.unit.partition
        label = f"{partition} @ {self._spaces[want.key.space].name}"
        if self._written.has(want):
            _count(self.balance.reused, label)
            return
        result, attempts = self._desk.result(want.key)
        if isinstance(result, Failure):
            self._rows.add_reject(
                contents.first, EMBED, result, attempts=attempts, unit_id=want.unit.unit_id
            )
            _count(self.balance.unit_rejects, result.code)
            return
        self._rows.add_vector(want.key.space, partition, want.key.input_hash, result)
        self._written.add(want)
        _count(self.balance.vectors if attempts else self.balance.reused, label)

    def _reject_files(
        self,
        files: tuple[SourceFile, ...] | list[SourceFile],
        stage: str,
        failure: Failure,
        attempts: int,
    ) -> None:
        for file in files:
            before = self._tried.get(file.uri, 0)
            self._rows.add_rejected(file, stage, failure, before + attempts)
            self._count_rejected(failure.code)

    def _count_rejected(self, code: str) -> None:
        _count(self.balance.rejected, code)

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


def _unreadable(reason: str) -> Failure:
    return Failure(UnreadableError.code, reason, retryable=True)


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
