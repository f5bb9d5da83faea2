"""Inverted indices of a snapshot: for each term the units that have it. Standard library only."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.files import FileRef, GateCheck
from schemas.partition import Partition

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class PostingsRef:
    """The postings of the rows of one segment of the index beside it: its row numbers and tombstones hold for both.

    Attributes:
        segment: Digest of that segment.
        input_digest: Over all the postings depend on; equal input is not read again.
        rows: How many have anything to find them by; in a sparse space a vector.
        terms: Different ones.
        postings: Pairs of a term and a row.
        files: The postings; of lexical ones also the length of each row. See stages/index/postings.py.
        languages: Rows by language, deleted ones included; empty for those of a sparse encoder.
    """

    segment: str
    input_digest: str
    rows: int
    terms: int
    postings: int
    files: tuple[FileRef, ...]
    languages: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvertedIndex:
    """Postings of one partition.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space whose index of the partition it stands beside.
        encoder: Key of the sparse space that gave terms and weights; empty for the words of the texts (BM25).
        parameters: Of scoring by words: ``k1`` and ``b``.
        rows: Of the index beside it that can be found.
        segments: In the order of that index.
        checks: The gate's numbers.
        built_with: Version of how texts become terms and terms files.
    """

    partition: str
    space: str
    encoder: str
    parameters: dict[str, float]
    rows: int
    segments: tuple[PostingsRef, ...]
    checks: tuple[GateCheck, ...] = ()
    built_with: str = ""

    @property
    def parsed_partition(self) -> Partition:
        """`partition` as a value."""
        return Partition.parse(self.partition)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of the texts, in order of their codes."""
        return tuple(sorted({code for part in self.segments for code in part.languages} - {""}))

    @property
    def terms(self) -> int:
        """Different ones of each segment, summed."""
        return sum(part.terms for part in self.segments)

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files())

    def files(self) -> Iterator[FileRef]:
        """Every file it consists of."""
        for segment in self.segments:
            yield from segment.files

    def served(self) -> list[Any]:
        """What of it a snapshot's id depends on."""
        parts = [[s.segment, *(f.sha256 for f in s.files)] for s in self.segments]
        return [[self.partition, self.space, self.encoder], sorted(self.parameters.items()), parts]

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> InvertedIndex:
        """The inverse of ``asdict`` after JSON."""
        checks = tuple(GateCheck(**check) for check in raw["checks"])
        segments = tuple(map(postings_of, raw["segments"]))
        return cls(**{**raw, "segments": segments, "checks": checks})


def postings_of(raw: dict[str, Any]) -> PostingsRef:
    """The postings of a segment from the plain values of their JSON."""
    return PostingsRef(**{**raw, "files": tuple(FileRef(**file) for file in raw["files"])})


def plain(ref: PostingsRef) -> dict[str, Any]:
    """The inverse of :func:`postings_of`."""
    return asdict(ref)
