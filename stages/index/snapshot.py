"""Opening and searching a published snapshot. Needs faiss, numpy and pyarrow, nothing else of this world.

snapshot = OpenSnapshot.open(Manifest.from_json(text), lambda key: lake / key)
snapshot.search(Partition.parse("text/paragraph"), "minilm-0123456789ab", vectors, k=10)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.errors import ConfigError, IntegrityError, VectorError
from schemas.ids import digest_file
from schemas.search import Candidate
from stages.index.inverted import open_inverted
from stages.index.late.codecs import Codebook
from stages.index.late.search import LateIndex, checked_lists
from stages.index.maps import AffineMap
from stages.index.segments import (
    OpenSegment,
    SegmentPaths,
    search_segments,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from schemas.filters import Filter
    from schemas.inverted import InvertedIndex
    from schemas.manifest import FileRef, IndexManifest, Manifest, SegmentRef
    from schemas.partition import Partition
    from stages.index.bm25 import LexicalIndex
    from stages.index.segments import Neighbours
    from stages.index.sparse import SparseIndex


@dataclass(frozen=True, slots=True)
class SourcePlace:
    """Where a source can be found: path relative to its SRC, URI, and the title found inside."""

    path: str
    uri: str
    title: str


class OpenSnapshot:
    """A snapshot on local disk. Files open on first use, memory-mapped; safe to search from several threads.

    Args:
        manifest: What the snapshot is made of.
        local_path: Where the file of a key (``segments/.../index.faiss``) lies.
    """

    def __init__(self, manifest: Manifest, local_path: Callable[[str], Path]) -> None:
        self.manifest = manifest
        self._local_path = local_path
        self._indexes = {(str(i.parsed_partition), i.space): i for i in manifest.indexes}
        self._segments: dict[tuple[str, str], tuple[OpenSegment, ...]] = {}
        self._late: dict[tuple[str, str], LateIndex] = {}
        self._maps: dict[str, AffineMap] = {}
        self._opening = Lock()
        self._inverted: dict[tuple[str, str], LexicalIndex | SparseIndex] = {}

    @classmethod
    def open(
        cls, manifest: Manifest, local_path: Callable[[str], Path], *, verify: bool = False
    ) -> OpenSnapshot:
        """Open a snapshot.

        Args:
            manifest: What the snapshot is made of.
            local_path: Where the file of a key lies.
            verify: Read every file once and compare sizes and checksums first.

        Raises:
            IntegrityError: A file is missing or not what the manifest says (with `verify`; else on first use).
        """
        snapshot = cls(manifest, local_path)
        if verify:
            for ref in manifest.files():
                check_file(ref, local_path(ref.key))
        return snapshot

    @property
    def indexes(self) -> list[tuple[Partition, str]]:
        """(partition, key of the space) of every index, in order."""
        return [(i.parsed_partition, i.space) for i in self.manifest.indexes]

    def entry(self, partition: Partition, space: str) -> IndexManifest:
        """The manifest's entry for one index, or for the old one that a map leads to from this space.

        Raises:
            ConfigError: The snapshot has no such index; the message names those it has.
        """
        targets = [m.target for m in self.manifest.maps if m.source == space]
        reached = (self._indexes.get((str(partition), key)) for key in (space, *targets))
        found = next((entry for entry in reached if entry is not None), None)
        if found is None:
            there = ", ".join(f"{name} in {key}" for name, key in self._indexes) or "none"
            raise ConfigError(
                f"snapshot {self.manifest.snapshot_id} has no index for {partition} in {space}; it has {there}"
            )
        return found

    def segments(self, partition: Partition, space: str) -> tuple[OpenSegment, ...]:
        """The opened segments of one index, in the manifest's order.

        Raises:
            ConfigError: The snapshot has no such index.
            IntegrityError: A file is missing or does not open.
        """
        entry = self.entry(partition, space)
        key = (entry.partition, entry.space)
        with self._opening:
            if key not in self._segments:
                self._segments[key] = tuple(self._open_segments(entry))
            return self._segments[key]

    def inverted(self, entry: InvertedIndex) -> LexicalIndex | SparseIndex:
        """What an entry of `manifest.inverted` names; its rows are those of the segments of the index beside it.

        Raises:
            IntegrityError: A file is missing or does not open.
        """
        segments = self.segments(entry.parsed_partition, entry.space)
        key = (entry.partition, entry.encoder)
        with self._opening:
            if key not in self._inverted:
                self._inverted[key] = open_inverted(entry, segments, self._local_path)
            return self._inverted[key]

    def search(
        self,
        partition: Partition,
        space: str,
        vectors: np.ndarray | Sequence[np.ndarray],
        k: int,
        *,
        where: Filter | None = None,
    ) -> list[list[Candidate]]:
        """The nearest units of each query, best first; equal similarities in order of unit_id.

        Args:
            partition: Where to look.
            space: Key of the space that the vectors are in. Where the partition has no index in it, but one in a space
                that the snapshot has a map into, they are mapped and asked there.
            vectors: float32 [n_queries, dim] as the space's encoder gives them; of a space whose units have many
                vectors, those of each query, float32 [n, dim].
            k: How many, at least 1; fewer come back where there are fewer.
            where: What the units must be like, and who asks; without, access labels are not looked at.

        Raises:
            ConfigError: No such index, or `k` below 1.
            VectorError: Other dtype or dim, or not finite.
            IntegrityError: A file is missing or does not open.
        """
        found = self.neighbours(partition, space, vectors, k, where=where)
        return [
            [
                self.candidate(partition, space, similarity, (segment, row))
                for similarity, segment, row in zip(*columns, strict=True)
                if row >= 0
            ]
            for columns in zip(
                found.similarity.tolist(), found.segment.tolist(), found.row.tolist(), strict=True
            )
        ]

    def neighbours(
        self,
        partition: Partition,
        space: str,
        vectors: np.ndarray | Sequence[np.ndarray],
        k: int,
        *,
        where: Filter | None = None,
    ) -> Neighbours:
        """The same as arrays of segment and row numbers, without reading a row; for rankings over several indices."""
        if k < 1:
            raise ConfigError(f"k is {k}; ask for at least 1")
        entry = self.entry(partition, space)
        segments = self.segments(partition, space)
        dim, place = self._dim(space), f"{partition} in {space}"
        allowed = [segment.mask(where) for segment in segments] if where else None
        if entry.late is not None:
            lists = checked_lists(list(vectors), dim, place)
            return self.late_index(partition, space).search(lists, k, entry.search, allowed=allowed)
        queries = _checked_queries(np.asarray(vectors), dim, place)
        if entry.space != space:
            queries = self.map_into(entry.space).apply(queries)
        return search_segments(
            segments, queries, k, entry.search, metric=entry.metric, allowed=allowed
        )

    def late_index(self, partition: Partition, space: str) -> LateIndex:
        """The opened index of a space whose units have many vectors.

        Raises:
            ConfigError: The snapshot has no such index.
            IntegrityError: A file is missing or does not open, or units have one vector each there.
        """
        entry = self.entry(partition, space)
        segments = self.segments(partition, space)
        if entry.late is None:
            raise IntegrityError(f"{partition} in {space} is no index for late interaction")
        key = (entry.partition, space)
        with self._opening:
            if key not in self._late:
                codebook = Codebook.read(self._local_path(entry.late.codebook.key))
                paths = [self._segment_paths(ref) for ref in entry.segments]
                self._late[key] = LateIndex.of(segments, paths, entry.parameters, codebook)
            return self._late[key]

    def candidate(
        self, partition: Partition, space: str, similarity: float, at: tuple[int, int]
    ) -> Candidate:
        """The unit at (number of the segment, row), with the similarity that it was found by."""
        segment, row = at
        values = self.segments(partition, space)[segment].row(row)
        return _candidate(self.entry(partition, space), similarity, values)

    def find(self, partition: Partition, unit_id: str) -> Candidate | None:
        """A unit of a partition, from whichever of its indices has it; its similarity is 0."""
        for where, space in self.indexes:
            for number, segment in enumerate(
                self.segments(where, space) if where == partition else ()
            ):
                row = segment.find(unit_id)
                if row is not None:
                    return self.candidate(partition, space, 0.0, (number, row))
        return None

    def origin(
        self, partition: Partition, space: str, at: tuple[int, int]
    ) -> tuple[str, dict[str, Any]]:
        """source_id and locator of the unit at (number of the segment, row): what tells hits of one answer apart."""
        segment, row = at
        rows = self.segments(partition, space)[segment].rows
        locator: dict[str, Any] = json.loads(rows.column("locator")[row].as_py())
        return rows.column("source_id")[row].as_py(), locator

    def prototypes(self, partition: Partition, space: str) -> np.ndarray:
        """What a router judges the index by, float32 [n, dim].

        Raises:
            ConfigError: The snapshot has no such index.
            IntegrityError: The file is missing or is no array.
        """
        path = self._local_path(self.entry(partition, space).prototypes.key)
        try:
            found: np.ndarray = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise IntegrityError(f"cannot read {path}: {error}") from error
        return found

    def map_into(self, space: str) -> AffineMap:
        """The map by which queries reach the indices of a space that is being replaced.

        Raises:
            ConfigError: The snapshot has none.
            IntegrityError: Its file is missing or is no map.
        """
        found = next((m for m in self.manifest.maps if m.target == space), None)
        if found is None:
            raise ConfigError(
                f"snapshot {self.manifest.snapshot_id} has no map into the space {space}"
            )
        with self._opening:
            if space not in self._maps:
                path = self._local_path(found.file.key)
                opened = AffineMap.read(path, normalised=found.normalised)
                dims = (self._dim(found.source), self._dim(space))
                if opened.matrix.shape != dims:
                    raise IntegrityError(
                        f"{path} maps {list(opened.matrix.shape)}, the spaces have {list(dims)} dims"
                    )
                self._maps[space] = opened
            return self._maps[space]

    def paths(self, source_id: str) -> SourcePlace:
        """Where a source can be found; of several places the first by path.

        Raises:
            IntegrityError: The snapshot does not know the source.
        """
        places = self.places.get(source_id)
        if not places:
            raise IntegrityError(
                f"snapshot {self.manifest.snapshot_id} has a unit of source {source_id}, but no place for it"
            )
        return places[0]

    @cached_property
    def places(self) -> dict[str, list[SourcePlace]]:
        """Every place of every source, by source_id, in order of path.

        Raises:
            IntegrityError: The file of sources is missing or does not open.
        """
        path = self._local_path(self.manifest.sources.key)
        try:
            with pa.memory_map(str(path)) as file:
                columns = pa.ipc.open_file(file).read_all().to_pydict()
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(f"cannot open {path}: {error}") from error
        rows = zip(
            columns["source_id"], columns["path"], columns["uri"], columns["title"], strict=True
        )
        places: dict[str, list[SourcePlace]] = {}
        for source_id, where, uri, title in rows:  # the file is sorted by path within a source
            places.setdefault(source_id, []).append(SourcePlace(where, uri, title))
        return places

    def _open_segments(self, entry: IndexManifest) -> Iterator[OpenSegment]:
        for ref in entry.segments:
            segment = OpenSegment.open(self._segment_paths(ref), entry.family, entry.parameters)
            if (len(segment.rows), segment.live_rows) != (ref.rows, ref.live_rows):
                raise IntegrityError(
                    f"segment {ref.digest} has {len(segment.rows)} rows of which {segment.live_rows} count, the"
                    f" manifest says {ref.rows} and {ref.live_rows}"
                )
            yield segment

    def _segment_paths(self, ref: SegmentRef) -> SegmentPaths:
        named = {f.key.rpartition("/")[2]: self._local_path(f.key) for f in ref.files}
        deleted = self._local_path(ref.deleted.key) if ref.deleted else None
        try:
            return SegmentPaths.of(named, deleted)
        except IntegrityError as error:
            raise IntegrityError(f"segment {ref.digest}: {error}") from error

    def _dim(self, space: str) -> int:
        return next(s.dim for s in self.manifest.spaces if s.key == space)


def check_file(ref: FileRef, path: Path) -> None:
    """Compare size and SHA-256 of a file with the manifest.

    Raises:
        IntegrityError: They differ, or the file cannot be read.
    """
    try:
        size_bytes = path.stat().st_size
        found = digest_file(path) if size_bytes == ref.size_bytes else ""
    except OSError as error:
        raise IntegrityError(f"{ref.key} cannot be read: {error}") from error
    if size_bytes != ref.size_bytes:
        raise IntegrityError(
            f"{ref.key} has {size_bytes} bytes, the manifest says {ref.size_bytes}"
        )
    if found != ref.sha256:
        raise IntegrityError(
            f"{ref.key} has SHA-256 {found}, the manifest says {ref.sha256}: restore the file"
            " or publish again"
        )


def _candidate(entry: IndexManifest, similarity: float, row: dict[str, Any]) -> Candidate:
    return Candidate(
        partition=entry.partition,
        space=entry.space,
        similarity=similarity,
        unit_id=row["unit_id"],
        source_id=row["source_id"],
        parent_id=row["parent_id"],
        locator=json.loads(row["locator"]),
        text=row["text"],
        context=row["context"],
        attributes=json.loads(row["attributes"]),
    )


def _checked_queries(vectors: np.ndarray, dim: int, place: str) -> np.ndarray:
    if vectors.ndim != 2 or vectors.dtype != np.float32 or vectors.shape[1] != dim:
        raise VectorError(
            f"{place}: query vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dim}]"
        )
    if not np.isfinite(vectors).all():
        raise VectorError(f"{place}: a query vector has NaN or infinity in it")
    return np.ascontiguousarray(vectors)
