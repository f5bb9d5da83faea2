"""What there is to do: the listing compared with what the lake knows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from flows.listing import hash_files, look_again
from schemas.errors import ConfigError, GoneError, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flows.listing import Listing
    from infra.lake import KnownPath, LakeState
    from schemas.source import SourceFile


_FEW_GONE: Final = 10


@dataclass(frozen=True, slots=True)
class Contents:
    """The names of one content: decoded once, as `first`; the `others` are duplicates of it."""

    first: SourceFile
    others: tuple[SourceFile, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All of them, in order of uri."""
        return (self.first, *self.others)


@dataclass(frozen=True, slots=True)
class Rederive:
    """Derived texts that are not as configured: these generators are to be asked; others' texts are to go."""

    ask: tuple[str, ...]
    withdraw: bool


@dataclass(frozen=True, slots=True)
class Again:
    """A content whose units stay as the lake has them, and which lacks vectors in some spaces.

    Attributes:
        contents: Its names.
        spaces: Keys of those spaces.
        decode: Its file is decoded for the pixels of these units, which are not kept.
        rederive: What is to be done about derived texts first; vectors are then looked for in all spaces.
    """

    contents: Contents
    spaces: tuple[str, ...]
    decode: bool = False
    rederive: Rederive | None = None


@dataclass(frozen=True, slots=True)
class Recut:
    """A content that is cut anew from what was decoded before, which the lake keeps under this key."""

    contents: Contents
    key: str


@dataclass(slots=True)
class Plan:
    """What a run has to do, and what it can leave alone.

    Attributes:
        found: Names listed.
        decode: Contents that are new or were read in another way before.
        again: Contents whose units are embedded as they are (see flows/kept.py).
        recut: Contents to be cut anew without being decoded.
        relink: Contents the lake has complete: only their names are new (moves, copies).
        unchanged: Number of files whose content the lake has.
        refresh: (file, outcome) of those among them that look different now: written anew with equal content, moved
            in time, or unreadable at the last look. Only their rows in `sources` are to be brought up to date.
        known_rejects: (file, code) of files rejected before that have not changed.
        unreadable: (file, reason) of what cannot be read and was never read before.
        kept: (file, reason, what is known of it): cannot be read now, so the lake keeps what it has.
        unseen: Number of known files below folders that could not be entered; the lake keeps them.
        gone: uris the lake knows and the listing lacks.
        tried: Attempts before this run, by uri, of what is tried again.
        listed: It was made from a listing of sources. Otherwise names stay as they are, and so does what is lost.
    """

    found: int = 0
    decode: list[Contents] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    recut: list[Recut] = field(default_factory=list)
    relink: list[Contents] = field(default_factory=list)
    unchanged: int = 0
    refresh: list[tuple[SourceFile, str]] = field(default_factory=list)
    known_rejects: list[tuple[SourceFile, str]] = field(default_factory=list)
    unreadable: list[tuple[SourceFile, str]] = field(default_factory=list)
    kept: list[tuple[SourceFile, str, KnownPath]] = field(default_factory=list)
    unseen: int = 0
    gone: list[str] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)
    listed: bool = True


class Planned:
    """A plan and the state it was made from; opaque to Prefect, which would look into every row."""

    def __init__(self, plan: Plan, state: LakeState) -> None:
        self.plan = plan
        self.state = state


def make_plan(
    listing: Listing,
    state: LakeState,
    fingerprint: str,
    spaces: Iterable[str],
    generators: Iterable[str] = (),
) -> Plan:
    """Compare.

    Args:
        listing: What is there now.
        state: What the lake knows.
        fingerprint: Of decoding and segmenting, as it would be done now.
        spaces: Keys of the spaces every source must be complete in.
        generators: Keys of those whose texts must be among its units, and no others'.
    """
    plan = Plan(found=len(listing.files) + len(listing.unreadable))
    complete = _complete_sources(state, fingerprint, tuple(spaces), frozenset(generators))
    contents: dict[str, list[SourceFile]] = defaultdict(list)
    for file in _hashed(listing, state, plan):
        known = state.paths.get(file.uri)
        if known is not None and known.content_hash == file.content_hash:
            if known.outcome == "rejected" and known.fingerprint == fingerprint:
                plan.known_rejects.append((file, known.reject_code))
                continue
            if known.source_id == file.source_id and file.source_id in complete:
                plan.unchanged += 1
                if known.reject_code or not _looks_the_same(file, known):
                    plan.refresh.append((file, known.outcome))
                continue
        contents[file.source_id].append(file)
    _share_out(contents, complete, plan)
    _settle_unreadable(listing.unreadable, state, plan)
    _settle_missing(listing, state, plan)
    return plan


def make_retry_plan(rejects: Sequence[Mapping[str, Any]], state: LakeState) -> Plan:
    """Read the files of these rejects again, whatever the lake has of them; those that vanished are gone.

    Args:
        rejects: Rows of the table of rejects that hold.
        state: What the lake knows.
    """
    plan = Plan()
    names = defaultdict(list)
    for uri, known in state.paths.items():
        names[known.source_id].append(uri)
    for row in rejects:
        # A part was lost under a name that may have moved on since, while its source has not.
        for uri in [row["uri"]] if row["uri"] in state.paths else names[row["source_id"]]:
            plan.tried[uri] = max(row["attempts"], plan.tried.get(uri, 0))
    present = []
    for uri in sorted(plan.tried):
        file, reason = look_again(uri, state.paths[uri].root)
        if file is None:
            plan.gone.append(uri)
        elif reason:
            plan.unreadable.append((file, reason))
        else:
            present.append(file)
    plan.found = len(present) + len(plan.unreadable)
    contents: dict[str, list[SourceFile]] = defaultdict(list)
    for file, reason in hash_files(present):
        if reason:
            plan.unreadable.append((file, reason))
        else:
            contents[file.source_id].append(file)
    _share_out(contents, set(), plan)
    _settle_unreadable((), state, plan)
    return plan


def choose_rejects(
    rejects: Iterable[Mapping[str, Any]], names: Sequence[str], codes: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Those that are named, by path (``*`` and ``?`` allowed), uri or source_id, or by code; else the retryable ones.

    Raises:
        ConfigError: A name or a code matches none.
    """
    rows = list(rejects)
    if not names and not codes:
        return [row for row in rows if row["retryable"]]
    chosen = []
    for what, matches in [(n, _is_named) for n in names] + [(c, _has_code) for c in codes]:
        found = [row for row in rows if matches(row, what)]
        if not found:
            raise ConfigError(f"no reject matches {what}: gristmill rejects lists them")
        chosen.extend(found)
    return chosen


def _is_named(row: Mapping[str, Any], name: str) -> bool:
    return name in (row["path"], row["uri"], row["source_id"]) or fnmatchcase(row["path"], name)


def _has_code(row: Mapping[str, Any], code: str) -> bool:
    return bool(row["code"] == code)


def check_gone(plan: Plan, listing: Listing, state: LakeState, max_share: float) -> None:
    """Refuse to take a folder that suddenly lacks most files at its word: a mount may be missing.

    Args:
        plan: Of this listing and state.
        listing: What is there now.
        state: What the lake knows.
        max_share: Of the known files of a root that may be gone at once, 0 to 1. A few may always be, while any are
            left.

    Raises:
        GoneError: More are gone.
        ConfigError: A prefix has no object, and never had.
    """
    gone = set(plan.gone)
    for root in listing.roots:
        known = [uri for uri in state.paths if uri.startswith(f"{root}/")]
        if root in listing.bare and not known:
            raise ConfigError(f"{root} does not exist: give an object, or a prefix that has some")
        lost = sum(uri in gone for uri in known)
        few = lost <= _FEW_GONE and lost < len(known)
        if lost > max_share * len(known) and not few:
            raise GoneError(
                f"{lost} of the {len(known)} files known under {root} are no longer there; nothing was changed."
                " See that the folder is complete and mounted. If they are meant to be gone: --accept-gone"
            )


def _settle_unreadable(
    listed: Iterable[tuple[SourceFile, str]], state: LakeState, plan: Plan
) -> None:
    unread, plan.unreadable = [*listed, *plan.unreadable], []
    for file, reason in unread:
        known = state.paths.get(file.uri)
        if known is not None and known.has_content:
            plan.kept.append((file, reason, known))
        elif _was_unreadable(known) and file.uri not in plan.tried:
            plan.known_rejects.append((file, UnreadableError.code))
        else:
            plan.unreadable.append((file, reason))


def _was_unreadable(known: KnownPath | None) -> bool:
    return known is not None and known.reject_code == UnreadableError.code


def _settle_missing(listing: Listing, state: LakeState, plan: Plan) -> None:
    listed = {f.uri for f in listing.files} | {f.uri for f, _ in listing.unreadable}
    # Below a listed folder, whichever folder it was found under before: sources may overlap.
    inside = tuple(f"{root}/" for root in listing.roots)
    blocked = tuple(f"{uri}/" for uri in listing.blocked)
    for uri in sorted(state.paths):
        if uri in listed or not uri.startswith(inside):
            continue
        if uri.startswith(blocked):
            plan.unseen += 1
        else:
            plan.gone.append(uri)


def _complete_sources(
    state: LakeState, fingerprint: str, spaces: tuple[str, ...], generators: frozenset[str]
) -> set[str]:
    derived = state.derived_done
    return {
        source_id
        for source_id, (done, _) in state.units_done.items()
        if done == fingerprint
        and all((source_id, space) in state.spaces_done for space in spaces)
        and derived.get(source_id, frozenset()) == generators
    }


def rederivation(state: LakeState, source_id: str, generators: Sequence[str]) -> Rederive | None:
    """What is to be done about a source's derived texts; None if they are as these generators give them."""
    done = state.derived_done.get(source_id, frozenset())
    ask = tuple(key for key in generators if key not in done)
    withdraw = not done.issubset(generators)
    return Rederive(ask, withdraw) if ask or withdraw else None


def _hashed(listing: Listing, state: LakeState, plan: Plan) -> Iterable[SourceFile]:
    """The files with their content hash; those of known size and time, or etag, are not read again."""
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
    """Whether size and time, or size and etag, are proof enough that the content is what it was."""
    if not (known.content_hash and (known.etag or known.mtime_ns)):
        return False
    return (file.size_bytes, file.mtime_ns, file.etag) == (
        known.size_bytes,
        known.mtime_ns,
        known.etag,
    )


def _share_out(contents: dict[str, list[SourceFile]], complete: set[str], plan: Plan) -> None:
    for source_id in sorted(contents, key=lambda s: contents[s][0].uri):
        files = sorted(contents[source_id], key=lambda f: f.uri)
        todo = plan.relink if source_id in complete else plan.decode
        todo.append(Contents(files[0], tuple(files[1:])))
