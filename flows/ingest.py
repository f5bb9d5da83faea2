"""The ingest loop: feeds sources to the stages and turns their outcomes into batches of the lake."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from flows.desk import Key, VectorDesk, Want
from flows.plan import Contents
from flows.rows import BatchRows
from infra.lake import SourceFacts
from schemas.balance import Balance
from schemas.engine import Failure
from schemas.errors import UnreadableError
from stages.messages import Decoded, DecodeRequest, EmbedRequest, Milled

if TYPE_CHECKING:
    import numpy as np

    from flows.plan import Plan
    from infra.lake import Lake, LakeState
    from schemas.config import Engine
    from schemas.engine import Arrays, Outcome, Session
    from schemas.source import SourceFile
    from schemas.space import SpaceContract

DECODE: Final = "decode"
RECOGNISE: Final = "recognise"
EMBED: Final = "embed"
CALL_COST: Final = 4_000_000  # of one embed call: four fixed-shape forward passes
_PASS_COST: Final = (
    CALL_COST // 4
)  # an item costs its share, rounded down: a full call has whole passes
_QUEUED_DECODES: Final = 32
# Enough waits for the encoder to fill its batches; more would only make sources land later, and lose more in a kill.
_QUEUED_EMBEDS: Final = 1_000
_QUEUED_EMBED_S: Final = 20.0
_POLL_S: Final = 0.2


class Watcher(Protocol):
    """Hears what happens, to show it."""

    def started(self, plan: Plan) -> None:
        """The plan is made."""

    def progressed(self, balance: Balance, session: Session) -> None:
        """Something moved."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A source between its units and its batch."""

    contents: Contents
    milled: Milled
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
    ) -> None:
        self._lake = lake
        self._session = session
        self._spaces = {space.key: space for space in spaces}
        self._fingerprint = fingerprint
        self._run_id = run_id
        self._engine = engine
        self._watcher = watcher
        self._desk = VectorDesk(spaces)
        self._written = {
            space.key: lake.embedded(space.key) for space in spaces
        }  # (modality, granularity, input_hash) that are in the lake or in a batch on its way
        self._decoding: dict[str, Contents] = {}
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
            self._mill(deque(plan.decode))
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

    def _mill(self, todo: deque[Contents]) -> None:
        while todo or self._session.pending():
            while todo and self._has_room():
                self._feed(todo.popleft())
            if not todo and not self._session.pending(DECODE) + self._session.pending(RECOGNISE):
                self._session.flush(EMBED)
            for outcome in self._session.poll(_POLL_S):
                self._handle(outcome)
            self._seal_when_due()
            self._watcher.progressed(self.balance, self._session)

    def _has_room(self) -> bool:
        return (
            self._session.pending(DECODE) < _QUEUED_DECODES
            and self._session.pending(EMBED)
            < max(_QUEUED_EMBEDS, self._embed_rate * _QUEUED_EMBED_S)
            and self._session.bytes_in_flight() < self._engine.bytes_in_flight
        )

    @property
    def _embed_rate(self) -> float:
        """Items a second since the start."""
        done = self._session.stats()[EMBED].items - self._embedded_before
        return done / max(1.0, time.monotonic() - self._started_at)

    def _feed(self, contents: Contents) -> None:
        file = contents.first
        self._decoding[file.source_id] = contents
        self._session.submit(DECODE, file.source_id, DecodeRequest(file))

    def _handle(self, outcome: Outcome) -> None:
        if outcome.stage == EMBED:
            space, _, input_hash = outcome.key.partition("/")
            result = outcome.failure or outcome.value
            for source_id in self._desk.arrived(Key(space, input_hash), result, outcome.attempts):
                self._finish(self._pending.pop(source_id))
        elif outcome.failure:
            contents = self._decoding.pop(outcome.key)
            if outcome.failure.code == UnreadableError.code:
                self._lose_first(contents, outcome.failure, outcome.attempts)
            else:
                self._reject_files(contents.files, outcome.stage, outcome.failure, outcome.attempts)
        elif isinstance(outcome.value, Decoded):
            self._session.submit(RECOGNISE, outcome.key, outcome.value, arrays=outcome.arrays)
        else:
            self._embed(self._decoding.pop(outcome.key), outcome.value, outcome.arrays)

    def _lose_first(self, contents: Contents, failure: Failure, attempts: int) -> None:
        """The place is at fault, not the content: it is read from the next place that has it."""
        self._lost.append((contents.first, failure, attempts))
        if contents.others:
            self._feed(Contents(contents.others[0], contents.others[1:]))

    def _embed(self, contents: Contents, milled: Milled, arrays: Arrays | None) -> None:
        """Ask for the vectors that nobody asked for yet."""
        wants = [want for want in self._desk.wants(milled) if not self._is_written(want)]
        pending = _Pending(contents, milled, wants)
        fresh = self._desk.enter(milled.source_id, wants)
        recalled = self._recall(fresh)
        for want in fresh:
            if want.key in recalled:
                self._desk.arrived(want.key, recalled[want.key], attempts=0)
            else:
                self._submit_want(want, arrays)
        if self._desk.is_complete(milled.source_id):
            self._finish(pending)
        else:
            self._pending[milled.source_id] = pending

    def _recall(self, wants: list[Want]) -> dict[Key, np.ndarray]:
        """Vectors of contents that were embedded before, though for units of another partition.

        One that is on its way into the lake right now is not found, and embedded again.
        """
        known: dict[str, list[str]] = {}
        for want in wants:
            if self._written[want.key.space].anywhere(want.key.input_hash):
                known.setdefault(want.key.space, []).append(want.key.input_hash)
        return {
            Key(space, input_hash): vector
            for space, hashes in known.items()
            for input_hash, vector in self._lake.view().vectors_of(space, hashes).items()
        }

    def _is_written(self, want: Want) -> bool:
        partition = want.unit.partition
        row = (partition.modality, partition.granularity, want.key.input_hash)
        return row in self._written[want.key.space]

    def _submit_want(self, want: Want, arrays: Arrays | None) -> None:
        contract = self._spaces[want.key.space]
        key = f"{want.key.space}/{want.key.input_hash}"
        if contract.input == "text":
            bucket = contract.bucket(want.tokens)
            rows = max(1, contract.batch_tokens // bucket)
            self._session.submit(
                EMBED,
                key,
                EmbedRequest(contract.key, want.unit.embedded_text),
                cost=_PASS_COST // rows,
                group=f"{contract.key}/{bucket}",
            )
            return
        if arrays is None or want.unit.pixels_array is None:
            raise ValueError(f"unit {want.unit.unit_id} has a pixels_hash but no pixels")
        frames = arrays.pick(want.unit.pixels_array)
        n_frames = max(1, frames.nbytes // (contract.frame_size**2 * 3))
        self._session.submit(
            EMBED,
            key,
            EmbedRequest(contract.key),
            arrays=frames,
            cost=_PASS_COST * n_frames // contract.batch_frames,
            group=contract.key,
        )

    def _finish(self, pending: _Pending) -> None:
        """Every vector has its answer: the source goes into the batch."""
        milled, contents = pending.milled, pending.contents
        for want in self._desk.wants(milled):
            self._place_vector(want, contents)
        self._rows.add_units(milled, sorted(self._spaces))
        for unit in milled.units:
            _count(self.balance.units, str(unit.partition))
        facts = SourceFacts(milled.media_type, milled.title, milled.notes, len(milled.units))
        for file in contents.files:
            duplicate = file is not contents.first
            self._rows.add_path(file, "duplicate" if duplicate else "indexed", facts)
            self.balance.duplicate += duplicate
            self.balance.indexed += not duplicate
        for reject in milled.rejects:
            failure = Failure(reject.code, reject.reason, False, reject.page, reject.second)
            self._rows.add_reject(contents.first, reject.stage, failure)
            _count(self.balance.unit_rejects, reject.code)
        self._desk.leave(milled.source_id, pending.wants)

    def _place_vector(self, want: Want, contents: Contents) -> None:
        partition = want.unit.partition
        label = f"{partition} @ {self._spaces[want.key.space].name}"
        if self._is_written(want):
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
        self._written[want.key.space].add(
            (partition.modality, partition.granularity, want.key.input_hash)
        )
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
