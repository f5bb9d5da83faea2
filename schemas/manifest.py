"""What a snapshot is made of. Standard library only, so that any serving process can read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.ids import canonical_json, digest
from schemas.partition import Partition
from schemas.space import SpaceContract

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file by its key under the lake's root, its size and its SHA-256 (64 hex characters)."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """An immutable shard of an index: ``segments/<digest>/{index.faiss,rows.arrow,stats.json}``.

    Attributes:
        digest: Over the bytes of index.faiss and rows.arrow.
        input_digest: Over the rows, vectors and parameters it was built from; equal input is not built again.
        rows: Number of vectors.
        files: The three files.
    """

    digest: str
    input_digest: str
    rows: int
    files: tuple[FileRef, ...]


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One number of the gate: it passes when `value` is at least (or at most) `threshold`."""

    name: str
    value: float
    threshold: float
    at_least: bool
    passed: bool


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """The index of one partition in one space.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family, e.g. ``flat`` or ``ivf_sq8``.
        parameters: Build parameters (``nlist``).
        search: Search parameters chosen by tuning (``nprobe``).
        rows: Vectors over all segments.
        recall_at_10: Measured on the published bytes against exact search.
        latency_ms_p50, latency_ms_p99: Of one query on this machine, one thread.
        checks: The gate's numbers.
        segments: In order of digest.
        calibration: What it answers to background questions, see stages/route/calibrate.py.
        prototypes: The npy file with the router's prototypes, float32 [n, dim], see stages/route/prototypes.py.
    """

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    search: dict[str, int]
    rows: int
    recall_at_10: float
    latency_ms_p50: float
    latency_ms_p99: float
    checks: tuple[GateCheck, ...]
    segments: tuple[SegmentRef, ...]
    calibration: dict[str, float] = field(default_factory=dict)
    prototypes: FileRef | None = None

    @property
    def parsed_partition(self) -> Partition:
        """`partition` as a value."""
        return Partition.parse(self.partition)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A snapshot. `snapshot_id` is computed from what it serves, never from when it was made."""

    snapshot_id: str
    created_at: str
    run_id: str
    table_versions: dict[str, int]
    spaces: tuple[SpaceContract, ...]
    indexes: tuple[IndexManifest, ...]
    sources: FileRef
    router: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def files(self) -> Iterator[FileRef]:
        """Every file it consists of."""
        yield self.sources
        for index in self.indexes:
            for segment in index.segments:
                yield from segment.files
            if index.prototypes is not None:
                yield index.prototypes

    def to_json(self) -> str:
        """Indented JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: The format version is another one; the message says what to do.
        """
        raw = json.loads(text)
        if raw.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"this snapshot has format version {raw.get('format_version')}, this gristmill reads"
                f" {FORMAT_VERSION}: publish it again, or open it with the version that wrote it"
            )
        return cls(
            **{
                **raw,
                "spaces": tuple(SpaceContract.from_dict(s) for s in raw["spaces"]),
                "indexes": tuple(_index(i) for i in raw["indexes"]),
                "sources": FileRef(**raw["sources"]),
            }
        )

    @staticmethod
    def identity(
        spaces: tuple[SpaceContract, ...], indexes: tuple[IndexManifest, ...], sources: FileRef
    ) -> str:
        """Snapshot id (16 hex characters): equal bytes to serve give equal ids."""
        served = {
            "format": FORMAT_VERSION,
            "spaces": sorted(s.key for s in spaces),
            "indexes": sorted(
                [
                    [i.partition, i.space, i.family],
                    sorted(i.search.items()),
                    sorted(i.calibration.items()),
                    i.prototypes.sha256 if i.prototypes else "",
                    [s.digest for s in i.segments],
                ]
                for i in indexes
            ),
            "sources": sources.sha256,
        }
        return digest("snapshot", canonical_json(served))[:16]


def _index(raw: dict[str, Any]) -> IndexManifest:
    return IndexManifest(
        **{
            **raw,
            "checks": tuple(GateCheck(**c) for c in raw["checks"]),
            "segments": tuple(
                SegmentRef(**{**s, "files": tuple(FileRef(**f) for f in s["files"])})
                for s in raw["segments"]
            ),
            "prototypes": FileRef(**raw["prototypes"]) if raw["prototypes"] else None,
        }
    )
