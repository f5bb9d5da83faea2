"""What there is to do: the listing compared with what the lake knows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flows.listing import hash_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.listing import Listing
    from infra.lake import KnownPath, LakeState
    from schemas.source import SourceFile


@dataclass(frozen=True, slots=True)
class Contents:
    """The names of one content: decoded once, as `first`; the `others` are duplicates of it."""

    first: SourceFile
    others: tuple[SourceFile, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All of them, in order of uri."""
        return (self.first, *self.others)


@dataclass(slots=True)
class Plan:
    """What a run has to do, and what it can leave alone.

    Attributes:
        found: Names listed.
        decode: Contents that are new or were read in another way before.
        relink: Contents the lake has complete: only their names are new (moves, copies).
        unchanged: Number of files that need nothing.
        known_rejects: (file, code) of files rejected before that have not changed.
        unreadable: (file, reason).
        gone: uris the lake knows and the listing lacks.
    """

    found: int = 0
    decode: list[Contents] = field(default_factory=list)
    relink: list[Contents] = field(default_factory=list)
    unchanged: int = 0
    known_rejects: list[tuple[SourceFile, str]] = field(default_factory=list)
    unreadable: list[tuple[SourceFile, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class Planned:
    """A plan and the state it was made from; opaque to Prefect, which would look into every row."""

    def __init__(self, plan: Plan, state: LakeState) -> None:
        self.plan = plan
        self.state = state


def make_plan(listing: Listing, state: LakeState, fingerprint: str, spaces: Iterable[str]) -> Plan:
    """Compare.

    Args:
        listing: What is there now.
        state: What the lake knows.
        fingerprint: Of decoding and segmenting, as it would be done now.
        spaces: Keys of the spaces every source must be complete in.
    """
    plan = Plan(found=len(listing.files) + len(listing.unreadable))
    plan.unreadable.extend(listing.unreadable)
    complete = _complete_sources(state, fingerprint, tuple(spaces))
    contents: dict[str, list[SourceFile]] = defaultdict(list)
    for file in _hashed(listing, state, plan):
        known = state.paths.get(file.uri)
        if known is not None and known.content_hash == file.content_hash:
            if known.outcome == "rejected" and known.fingerprint == fingerprint:
                plan.known_rejects.append((file, known.reject_code))
                continue
            if known.source_id == file.source_id and file.source_id in complete:
                plan.unchanged += 1
                continue
        contents[file.source_id].append(file)
    _share_out(contents, complete, plan)
    listed = {f.uri for f in listing.files} | {f.uri for f, _ in listing.unreadable}
    plan.gone = sorted(
        uri
        for uri, known in state.paths.items()
        if known.root in listing.roots and uri not in listed
    )
    return plan


def _complete_sources(state: LakeState, fingerprint: str, spaces: tuple[str, ...]) -> set[str]:
    return {
        source_id
        for source_id, (done, _) in state.units_done.items()
        if done == fingerprint and all((source_id, space) in state.spaces_done for space in spaces)
    }


def _hashed(listing: Listing, state: LakeState, plan: Plan) -> Iterable[SourceFile]:
    """The files with their content hash; those of known size and time are not read again."""
    unknown = []
    for file in listing.files:
        known = state.paths.get(file.uri)
        if known is not None and _looks_the_same(file, known):
            yield replace(file, content_hash=known.content_hash)
        else:
            unknown.append(file)
    for file, reason in hash_files(unknown):
        if reason:
            plan.unreadable.append((file, reason))
        else:
            yield file


def _looks_the_same(file: SourceFile, known: KnownPath) -> bool:
    return bool(known.content_hash) and (
        (file.size_bytes, file.mtime_ns) == (known.size_bytes, known.mtime_ns)
    )


def _share_out(contents: dict[str, list[SourceFile]], complete: set[str], plan: Plan) -> None:
    for source_id in sorted(contents, key=lambda s: contents[s][0].uri):
        files = sorted(contents[source_id], key=lambda f: f.uri)
        todo = plan.relink if source_id in complete else plan.decode
        todo.append(Contents(files[0], tuple(files[1:])))
