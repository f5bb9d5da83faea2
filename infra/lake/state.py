"""What the lake knows of the corpus: the values that planning a run needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from dataclasses import dataclass, field

Input = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class KnownPath:
    """The latest word on one uri that is there.

    Attributes:
        uri: Identity of the place.
        root: URI of the SRC it was found under.
        path: Relative to its SRC.
        source_id: Identity of the content.
        size_bytes: At listing time.
        mtime_ns: At listing time, nanoseconds since the epoch; 0 for unknown.
        etag: Of an object at listing time, empty for local files.
        content_hash: SHA-256 of the bytes, empty where they could not be read.
        outcome: ``indexed``, ``duplicate`` or ``rejected``.
        reject_code: Why, when rejected or, while the lake keeps what it had, unreadable at the last look; else empty.
        fingerprint: Of decoding and segmenting when that was said.
        batch: That said so.
        title: Found inside the content.
    """

    uri: str
    root: str
    path: str
    source_id: str
    size_bytes: int
    mtime_ns: int
    content_hash: str
    outcome: str
    reject_code: str
    fingerprint: str
    batch: str
    title: str = ""
    etag: str = ""

    @property
    def has_content(self) -> bool:
        """Whether the lake shows something of it; a rejected one has an identity all the same."""
        return self.outcome != "rejected"


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What decoding found out about a content, whatever its names.

    Attributes:
        media_type: What it is.
        title: Found inside.
        notes: For people.
        units: Number of units it was cut into.
    """

    media_type: str = ""
    title: str = ""
    notes: tuple[str, ...] = ()
    units: int = 0


@dataclass(frozen=True, slots=True)
class LakeState:
    """Everything complete, as of one version of `completions`.

    Attributes:
        paths: By uri; what is gone is left out.
        units_done: source_id -> (fingerprint of decoding and segmenting, batch), the latest.
        spaces_done: (source_id, space key) whose units, as of now, all have their vectors.
        live_sources: source_ids with content under at least one path.
        derived_done: source_id -> keys of the generators whose texts are among its units, as of now.
    """

    paths: dict[str, KnownPath] = field(default_factory=dict)
    units_done: dict[str, tuple[str, str]] = field(default_factory=dict)
    spaces_done: set[tuple[str, str]] = field(default_factory=set)
    live_sources: set[str] = field(default_factory=set)
    derived_done: dict[str, frozenset[str]] = field(default_factory=dict)


class EmbeddedInputs(MutableSet[Input]):
    """A set of (modality, granularity, input_hash), at the memory of one string an element."""

    def __init__(self, inputs: Iterable[Input] = ()) -> None:
        self._hashes: dict[tuple[str, str], set[str]] = {}
        for item in inputs:
            self.add(item)

    def add(self, value: Input) -> None:
        """Add one."""
        modality, granularity, input_hash = value
        self._hashes.setdefault((modality, granularity), set()).add(input_hash)

    def add_all(self, modality: str, granularity: str, input_hashes: Iterable[str]) -> None:
        """Add many of one partition."""
        self._hashes.setdefault((modality, granularity), set()).update(input_hashes)

    def discard(self, value: Input) -> None:
        """Remove one if it is there."""
        modality, granularity, input_hash = value
        self._hashes.get((modality, granularity), set()).discard(input_hash)

    def anywhere(self, input_hash: str) -> bool:
        """Whether any partition has this content."""
        return any(input_hash in hashes for hashes in self._hashes.values())

    def __contains__(self, value: object) -> bool:
        if not (isinstance(value, tuple) and len(value) == 3):
            return False
        return value[2] in self._hashes.get(value[:2], ())

    def __iter__(self) -> Iterator[Input]:
        return ((*partition, h) for partition, hashes in self._hashes.items() for h in hashes)

    def __len__(self) -> int:
        return sum(map(len, self._hashes.values()))
