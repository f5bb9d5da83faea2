"""What a snapshot is made of. Standard library only, so that any serving process can read it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import FormatError
from schemas.files import FileRef as FileRef
from schemas.files import GateCheck as GateCheck
from schemas.ids import canonical_json, digest
from schemas.inverted import InvertedIndex
from schemas.partition import Partition
from schemas.space import SpaceContract
from schemas.space_map import MappedPartition, SpaceMap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.space import Metric, Probe

FORMAT_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """An immutable part of an index: ``segments/<digest>/{index.faiss,rows.arrow,stats.json}``, and maybe others.

    Attributes:
        digest: Over the bytes of its files but stats.json.
        input_digest: Over the rows, the digests of their vectors and the parameters; equal input is not built again.
        rows: Number of vectors, deleted ones included.
        files: Its files. ``full.npy`` has every vector of a family that rescores; ``tokens.npy``, ``offsets.npy`` and
            ``kinds.npy`` have those of units with many.
        shard: (i, n): it was built from the i-th of n equal ranges of unit ids, so serving can spread them;
            (0, 1) for what was added later.
        deleted: Numbers of rows that count no more, a roaring bitmap (32-bit, the portable format of
            RoaringFormatSpec, without run containers); None if all of them count.
        deleted_rows: How many those are.
        health: Numbers of the gate taken when it was built: see stages/index/health.py.
    """

    digest: str
    input_digest: str
    rows: int
    files: tuple[FileRef, ...]
    shard: tuple[int, int] = (0, 1)
    deleted: FileRef | None = None
    deleted_rows: int = 0
    health: dict[str, float] = field(default_factory=dict)

    @property
    def live_rows(self) -> int:
        """Rows that can be found."""
        return self.rows - self.deleted_rows


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What one choice of search parameters gives, measured on the published bytes.

    Attributes:
        search: The parameters.
        recall_at_10: The lowest over the kinds of queries.
        latency_ms_p50, latency_ms_p99: Of one query over all segments, one thread, on the machine that measured.
        cost_bytes: Bytes of vectors and codes that one query looks at, by formula: what choices are ordered by, since
            it is the same on every machine.
    """

    search: dict[str, int]
    recall_at_10: float
    latency_ms_p50: float
    latency_ms_p99: float
    cost_bytes: float


@dataclass(frozen=True, slots=True)
class Training:
    """The quantiser that all segments of an index share.

    Attributes:
        file: The trained, empty index, as faiss serialises it.
        rows: Live rows of the partition when it was trained.
        sample_rows: Vectors it was trained on.
        imbalance: Imbalance factor of the lists then: 1 if all are equally long (Jegou et al., as faiss computes it).
    """

    file: FileRef
    rows: int
    sample_rows: int
    imbalance: float


@dataclass(frozen=True, slots=True)
class LateManifest:
    """What an index of late interaction has besides: see docs/late-interaction.md.

    Attributes:
        codebook: An npz that all segments share: ``centre``, ``centroids`` and ``parts``, see
            stages/index/late/codecs.py.
        vectors: In all segments, those of deleted units included.
        unit_bytes: Of one unit in index.faiss, tokens.npy, offsets.npy and kinds.npy, on average.
        kept_recall_at_10: Of exact MaxSim over the vectors that the index keeps, against all that units have; 1 if it
            keeps all. No number of the gate: how many to keep is for the configuration to say.
    """

    codebook: FileRef
    vectors: int
    unit_bytes: float
    kept_recall_at_10: float


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """The index of one partition in one space.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family, e.g. ``flat`` or ``ivf_sq8``.
        parameters: Build parameters, see stages/index/families.
        search: Search parameters chosen by tuning (``nprobe``, ``ef_search``, ``rescore``).
        rows: Vectors that can be found, over all segments.
        recall_at_10: Measured on the published bytes against exact search; the lowest over the kinds of queries.
        latency_ms_p50, latency_ms_p99: Of one query on this machine, one thread.
        checks: The gate's numbers.
        segments: In order of digest.
        calibration: What it answers to background questions, see stages/route/calibrate.py.
        prototypes: The npy file with the router's prototypes, float32 [n, dim], see stages/route/prototypes.py.
        metric: What is near, see schemas/space.py.
        recalls: recall@10 by kind of query: ``rows`` (made from held-out rows), ``text`` (questions in words),
            ``asked`` (those of the configuration).
        curve: Every choice of search parameters that was measured, by cost.
        training: The shared quantiser; None for a family that does not train.
        truth: Queries with their exact neighbours, see stages/index/truth.py.
        reason: Why it is built like this, for people.
        built_with: Digest of what the build depends on besides rows and vectors.
        late: Of a space whose units have many vectors.
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
    calibration: dict[str, float]
    prototypes: FileRef
    truth: FileRef
    metric: Metric = "inner_product"
    recalls: dict[str, float] = field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    training: Training | None = None
    reason: str = ""
    built_with: str = ""
    late: LateManifest | None = None

    @property
    def parsed_partition(self) -> Partition:
        """`partition` as a value."""
        return Partition.parse(self.partition)

    def files(self) -> Iterator[FileRef]:
        """Every file it consists of."""
        for segment in self.segments:
            yield from segment.files
            if segment.deleted is not None:
                yield segment.deleted
        yield self.prototypes
        yield self.truth
        if self.training is not None:
            yield self.training.file
        if self.late is not None:
            yield self.late.codebook


@dataclass(frozen=True, slots=True)
class Manifest:
    """A snapshot. `snapshot_id` is computed from what it serves, never from when it was made.

    Where `maps` has one into a space, queries for all indices of that space are embedded in the map's source.
    `probes` has what each space's encoder made of the inputs of its self-check, by the space's key.
    """

    snapshot_id: str
    created_at: str
    run_id: str
    table_versions: dict[str, int]
    spaces: tuple[SpaceContract, ...]
    indexes: tuple[IndexManifest, ...]
    sources: FileRef
    router: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    probes: dict[str, Probe] = field(default_factory=dict)
    inverted: tuple[InvertedIndex, ...] = ()
    maps: tuple[SpaceMap, ...] = ()

    @property
    def rows(self) -> int:
        """Vectors that can be found, over all indices."""
        return sum(index.rows for index in self.indexes)

    def files(self) -> Iterator[FileRef]:
        """Every file it consists of."""
        yield self.sources
        for index in self.indexes:
            yield from index.files()
        for inverted in self.inverted:
            yield from inverted.files()
        for space_map in self.maps:
            yield space_map.file

    @property
    def query_spaces(self) -> tuple[SpaceContract, ...]:
        """Spaces that a question must be embedded in to be asked of every index."""
        mapped = {space_map.target for space_map in self.maps}
        return tuple(space for space in self.spaces if space.key not in mapped)

    def to_json(self) -> str:
        """Indented JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what :meth:`to_json` wrote.

        Raises:
            FormatError: The format version is another one; the message says what to do.
            ValueError, KeyError, TypeError, AttributeError: It is no manifest.
        """
        raw = json.loads(text)
        version = format_version_of(raw)
        if version != FORMAT_VERSION:
            raise FormatError(f"snapshot {raw.get('snapshot_id')} {other_format(version)}")
        return cls(
            **{
                **raw,
                "spaces": tuple(SpaceContract.from_dict(s) for s in raw["spaces"]),
                "indexes": tuple(_index(i) for i in raw["indexes"]),
                "sources": FileRef(**raw["sources"]),
                "inverted": tuple(map(InvertedIndex.from_dict, raw.get("inverted", ()))),
                "maps": tuple(_map(m) for m in raw.get("maps", ())),
            }
        )

    @staticmethod
    def identity(
        spaces: tuple[SpaceContract, ...],
        indexes: tuple[IndexManifest, ...],
        sources: FileRef,
        *,
        router: dict[str, Any] | None = None,
        inverted: tuple[InvertedIndex, ...] = (),
        maps: tuple[SpaceMap, ...] = (),
    ) -> str:
        """Snapshot id (16 hex characters): equal bytes to serve, routed alike, give equal ids."""
        served: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "spaces": sorted(s.key for s in spaces),
            "indexes": sorted(
                [
                    [i.partition, i.space, i.family],
                    sorted(i.search.items()),
                    sorted(i.calibration.items()),
                    i.prototypes.sha256,
                    [[s.digest, s.deleted.sha256 if s.deleted else ""] for s in i.segments],
                    *([i.late.codebook.sha256, sorted(i.parameters.items())] if i.late else []),
                ]
                for i in indexes
            ),
            "sources": sources.sha256,
        }
        if router:
            served["router"] = router
        if inverted:
            served["inverted"] = sorted(index.served() for index in inverted)
        if maps:
            served["maps"] = sorted(
                [m.source, m.target, m.file.sha256]
                + [[p.partition, sorted(p.calibration.items())] for p in m.partitions]
                for m in maps
            )
        return digest("snapshot", canonical_json(served))[:16]


def format_version_of(raw: dict[str, Any]) -> int:
    """The format version that a manifest states.

    Raises:
        ValueError: It states none.
    """
    version = raw.get("format_version")
    if type(version) is not int or version < 1:
        raise ValueError(f"its format version is {version!r}, which none is")
    return version


def other_format(version: int) -> str:
    """What is wrong with a snapshot of another format version, and what to do."""
    if version > FORMAT_VERSION:
        return (
            f"has format version {version}, newer than this gristmill reads ({FORMAT_VERSION}):"
            " update gristmill"
        )
    return (
        f"has format version {version}, this gristmill reads {FORMAT_VERSION}: build a new one with gristmill index and"
        " gristmill publish, or open it with the gristmill that wrote it"
    )


def _index(raw: dict[str, Any]) -> IndexManifest:
    return IndexManifest(
        **{
            **raw,
            "checks": tuple(GateCheck(**c) for c in raw["checks"]),
            "segments": tuple(segment_of(s) for s in raw["segments"]),
            "curve": tuple(CurvePoint(**p) for p in raw["curve"]),
            "training": training_of(raw["training"]) if raw["training"] else None,
            "prototypes": FileRef(**raw["prototypes"]),
            "truth": FileRef(**raw["truth"]),
            "late": _late(raw["late"]) if raw.get("late") else None,
        }
    )


def _late(raw: dict[str, Any]) -> LateManifest:
    return LateManifest(**{**raw, "codebook": FileRef(**raw["codebook"])})


def segment_of(raw: dict[str, Any]) -> SegmentRef:
    """A segment from the plain values of its JSON."""
    files = tuple(FileRef(**f) for f in raw["files"])
    first, of = raw["shard"]
    return SegmentRef(
        **{**raw, "files": files, "shard": (first, of), "deleted": _file(raw["deleted"])}
    )


def training_of(raw: dict[str, Any]) -> Training:
    """A shared quantiser from the plain values of its JSON."""
    return Training(**{**raw, "file": FileRef(**raw["file"])})


def _map(raw: dict[str, Any]) -> SpaceMap:
    partitions = tuple(MappedPartition(**p) for p in raw["partitions"])
    return SpaceMap(**{**raw, "file": FileRef(**raw["file"]), "partitions": partitions})


def _file(raw: dict[str, Any] | None) -> FileRef | None:
    return FileRef(**raw) if raw else None
