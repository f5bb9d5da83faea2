"""What a plan says of names without anything being read: known, gone, unreadable; and what was lost on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.engine import Failure
from schemas.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.plan import Plan
    from flows.rows import BatchRows
    from infra.lake import Lake, LakeState
    from schemas.balance import Balance
    from schemas.source import SourceFile

    Lost = tuple[SourceFile, str, Failure, int]  # a name, the stage and why it failed, attempts


class Settling:
    """Writes such names into a batch and counts them.

    Args:
        lake: As it is when the run begins.
        state: What it knows.
        balance: Where they are counted.
    """

    def __init__(self, lake: Lake, state: LakeState, balance: Balance) -> None:
        self._lake = lake
        self._state = state
        self._balance = balance
        self._tried: dict[str, int] = {}

    def settle(self, plan: Plan, rows: BatchRows) -> None:
        """Everything that needs no decoding."""
        self._tried = plan.tried
        self._balance.found = plan.found
        self._balance.unchanged = plan.unchanged
        for uri in plan.gone:
            rows.add_gone(uri)
        self._balance.gone = len(plan.gone)
        for file, reason in plan.unreadable:
            self.reject(rows, [file], "list", _unreadable(reason), 1)
        for _, code in plan.known_rejects:
            count(self._balance.rejected, code)
        self._settle_kept(plan, rows)
        named = [c.first.source_id for c in plan.relink]
        facts = self._lake.facts([*named, *(file.source_id for file, _ in plan.refresh)])
        for file, outcome in plan.refresh:
            rows.add_path(file, outcome, facts[file.source_id])
        gone = set(plan.gone)
        stays = {known.source_id for uri, known in self._state.paths.items() if uri not in gone}
        for contents in plan.relink:
            taken = contents.first.source_id in stays
            for file in contents.files:
                outcome = "duplicate" if taken else "indexed"
                rows.add_path(file, outcome, facts[file.source_id])
                self._balance.duplicate += taken
                self._balance.unchanged += not taken
                taken = True

    def settle_lost(self, lost: Iterable[Lost], rows: BatchRows) -> None:
        """What was there when the plan was made and could not be had.

        Nothing is written down of how it looked, so the next run reads it. A name that had a content before keeps it.
        """
        known = {
            file.uri: self._state.paths[file.uri]
            for file, _, _, _ in lost
            if file.uri in self._state.paths and self._state.paths[file.uri].has_content
        }
        facts = self._lake.facts(path.source_id for path in known.values())
        for file, stage, failure, attempts in lost:
            if file.uri in known:
                path = known[file.uri]
                rows.add_kept(path, facts[path.source_id], stage, failure, attempts)
                count(self._balance.rejected, failure.code)
                self._balance.kept += 1
            else:
                unseen = replace(file, size_bytes=0, mtime_ns=0, etag="", content_hash="")
                self.reject(rows, [unseen], stage, failure, attempts)

    def reject(
        self,
        rows: BatchRows,
        files: Iterable[SourceFile],
        stage: str,
        failure: Failure,
        attempts: int,
    ) -> None:
        """These cannot be read."""
        for file in files:
            before = self._tried.get(file.uri, 0)
            rows.add_rejected(file, stage, failure, before + attempts)
            count(self._balance.rejected, failure.code)

    def _settle_kept(self, plan: Plan, rows: BatchRows) -> None:
        """What cannot be read now, and was before."""
        facts = self._lake.facts(known.source_id for _, _, known in plan.kept)
        for _, reason, known in plan.kept:
            if not known.reject_code:  # else it was said before
                rows.add_kept(known, facts[known.source_id], "list", _unreadable(reason))
            count(self._balance.rejected, UnreadableError.code)
        self._balance.kept = len(plan.kept) + plan.unseen


def count(counts: dict[str, int], name: str) -> None:
    """One more."""
    counts[name] = counts.get(name, 0) + 1


def _unreadable(reason: str) -> Failure:
    return Failure(UnreadableError.code, reason, retryable=True)
