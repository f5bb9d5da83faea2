"""What one snapshot has that another has not. Segments that both have are not read, rows are compared in bulk."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows import wiring
from flows.manifests import find_snapshot, read_manifest
from schemas.errors import IntegrityError
from schemas.tables import SEGMENT_ROWS
from stages.index.tombstones import read_tombstones

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.blobs import BlobStore
    from schemas.manifest import FileRef, IndexManifest, Manifest, SegmentRef

_CHUNK_ROWS: Final = 1 << 16  # compared at once
_CONTENT: Final = tuple(name for name in SEGMENT_ROWS.names if name != "unit_id")

Change = tuple[Any, Any]  # what it was, what it is; None where it is not


@dataclass(frozen=True, slots=True)
class IndexDiff:
    """What became of one index.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of its space.
        rows: That can be found.
        added, removed: Rows by unit_id.
        changed: Rows that both have, with another vector, text, label or any other column.
        segments_reused, segments_new, segments_dropped: By digest.
        tombstones_added: Rows that were deleted in reused segments.
        recall_at_10: Measured when each was built.
        recalls: The same by kind of query, where it differs.
        changes: Whatever differs of ``family``, ``metric``, ``parameters.*`` and ``search.*``.
    """

    partition: str
    space: str
    rows: Change
    added: int
    removed: int
    changed: int
    segments_reused: int
    segments_new: int
    segments_dropped: int
    tombstones_added: int
    recall_at_10: Change
    recalls: dict[str, Change]
    changes: dict[str, Change]


@dataclass(frozen=True, slots=True)
class InvertedDiff:
    """What became of one inverted index.

    Attributes:
        partition: ``text/paragraph``.
        encoder: Key of its sparse space; empty for words.
        rows: That can be found.
        terms: Summed over its segments.
        files_reused, files_new, files_dropped: Postings of segments, by what is in them.
    """

    partition: str
    encoder: str
    rows: Change
    terms: Change
    files_reused: int
    files_new: int
    files_dropped: int


@dataclass(frozen=True, slots=True)
class SpacesDiff:
    """Keys of the spaces that one has alone; by name, what differs in the contract of one that both have."""

    added: list[str]
    removed: list[str]
    changed: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class SourcesDiff:
    """URIs, sorted; `changed` ones have other content."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MapsDiff:
    """Maps between spaces that one has alone, as ``new into old``."""

    added: list[str]
    removed: list[str]


@dataclass(frozen=True, slots=True)
class SnapshotDiff:
    """What the snapshot `new` has that `old` has not, and the other way round."""

    old: str
    new: str
    indexes: list[IndexDiff]
    spaces: SpacesDiff
    maps: MapsDiff
    sources: SourcesDiff
    inverted: list[InvertedDiff] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def diff_snapshots(lake_url: str, old: str, new: str) -> SnapshotDiff:
    """Compare two snapshots of a lake.

    Args:
        lake_url: The lake.
        old: What to compare with, see :func:`~flows.manifests.find_snapshot`.
        new: What to compare, named the same way.

    Raises:
        ConfigError: A name is that of several, or nothing is published.
        FormatError: One is of another format version.
        LakeError: There is no such snapshot, or a file of it cannot be read.
    """
    blobs = wiring.open_blobs_of(lake_url)
    before, after = (read_manifest(blobs, find_snapshot(blobs, name)) for name in (old, new))
    olds, news = ({(i.partition, i.space): i for i in m.indexes} for m in (before, after))
    return SnapshotDiff(
        before.snapshot_id,
        after.snapshot_id,
        [
            _diff_index(blobs, place, olds.get(place), news.get(place))
            for place in sorted({*olds, *news})
        ],
        _diff_spaces(before, after),
        _diff_maps(before, after),
        _diff_sources(blobs, before.sources, after.sources),
        _diff_inverted(before, after),
    )


def _diff_inverted(old: Manifest, new: Manifest) -> list[InvertedDiff]:
    befores, afters = ({(e.partition, e.encoder): e for e in m.inverted} for m in (old, new))
    found = []
    for place in sorted({*befores, *afters}):
        was, now = befores.get(place), afters.get(place)
        had, has = ({file.sha256 for file in e.files()} if e else set() for e in (was, now))
        rows = (was.rows if was else None, now.rows if now else None)
        terms = (was.terms if was else None, now.terms if now else None)
        counts = (len(had & has), len(has - had), len(had - has))
        found.append(InvertedDiff(*place, rows, terms, *counts))
    return found


def _diff_index(
    blobs: BlobStore,
    place: tuple[str, str],
    old: IndexManifest | None,
    new: IndexManifest | None,
) -> IndexDiff:
    before, after = _segments(old), _segments(new)
    reused = before.keys() & after.keys()
    added, removed, changed = _diff_rows(blobs, before, after)
    recalls = _changes(old.recalls if old else {}, new.recalls if new else {})
    return IndexDiff(
        *place,
        rows=(old.rows if old else None, new.rows if new else None),
        added=added,
        removed=removed,
        changed=changed,
        segments_reused=len(reused),
        segments_new=len(after) - len(reused),
        segments_dropped=len(before) - len(reused),
        tombstones_added=sum(after[d].deleted_rows - before[d].deleted_rows for d in reused),
        recall_at_10=(old.recall_at_10 if old else None, new.recall_at_10 if new else None),
        recalls=recalls,
        changes=_changes(_settings(old), _settings(new)) if old and new else {},
    )


def _segments(index: IndexManifest | None) -> dict[str, SegmentRef]:
    return {segment.digest: segment for segment in index.segments} if index else {}


def _settings(index: IndexManifest | None) -> dict[str, Any]:
    if index is None:
        return {}
    numbers = {f"parameters.{name}": value for name, value in index.parameters.items()}
    numbers |= {f"search.{name}": value for name, value in index.search.items()}
    return {"family": index.family, "metric": index.metric, **numbers}


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Change]:
    names = [*old, *(name for name in new if name not in old)]
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: (was, now) for name, (was, now) in pairs.items() if was != now}


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of one segment, by their numbers, int64 [n]."""

    rows: pa.Table
    numbers: np.ndarray

    @property
    def unit_ids(self) -> pa.ChunkedArray:
        column = self.rows.column("unit_id")
        return column if len(self.numbers) == len(column) else column.take(pa.array(self.numbers))

    def content(self, positions: np.ndarray) -> pa.Table:
        return self.rows.select(_CONTENT).take(pa.array(self.numbers[positions]))


def _diff_rows(
    blobs: BlobStore, old: dict[str, SegmentRef], new: dict[str, SegmentRef]
) -> tuple[int, int, int]:
    """(added, removed, changed). What lives in a segment of both is the same, and no other row has its id."""
    befores, afters = [], []
    for digest in sorted({*old, *new}):
        before, after = old.get(digest), new.get(digest)
        if before and after and before.deleted == after.deleted:
            continue
        rows = _rows(blobs.local_path(_key_of_rows(before or after)))
        lived, lives = (_live(blobs, segment, len(rows)) for segment in (before, after))
        befores.append(_Part(rows, np.flatnonzero(lived & ~lives)))
        afters.append(_Part(rows, np.flatnonzero(lives & ~lived)))
    return _compare([p for p in befores if len(p.numbers)], [p for p in afters if len(p.numbers)])


def _live(blobs: BlobStore, segment: SegmentRef | None, rows: int) -> np.ndarray:
    if segment is None or segment.deleted is None:
        return np.full(rows, segment is not None)
    return ~read_tombstones(blobs.local_path(segment.deleted.key), rows)


def _key_of_rows(segment: SegmentRef | None) -> str:
    files = segment.files if segment else ()
    return next(file.key for file in files if file.key.endswith("/rows.arrow"))


def _rows(path: Path) -> pa.Table:
    try:
        with pa.memory_map(str(path)) as file:
            return pa.ipc.open_file(file).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise IntegrityError(f"cannot open {path}: {error}") from error


def _compare(olds: Sequence[_Part], news: Sequence[_Part]) -> tuple[int, int, int]:
    ids, others = (
        pa.chunked_array([c for p in parts for c in p.unit_ids.chunks], pa.string())
        for parts in (olds, news)
    )
    found = pc.index_in(others, value_set=ids)
    both = np.flatnonzero(found.is_valid().to_numpy())
    positions = found.drop_null().to_numpy().astype(np.int64)
    changed = sum(
        _count_changed(before, after) for before, after in _pairs(olds, news, positions, both)
    )
    return len(others) - len(both), len(ids) - len(both), changed


def _pairs(
    olds: Sequence[_Part], news: Sequence[_Part], was: np.ndarray, now: np.ndarray
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Content of the rows that both have, in chunks of one segment each; positions count over all parts."""
    old_part, old_row = _places(olds, was)
    new_part, new_row = _places(news, now)
    pair = old_part * len(news) + new_part
    order = np.argsort(pair, kind="stable")
    for number in np.unique(pair).tolist():
        start, end = np.searchsorted(pair[order], [number, number + 1])
        before, after = olds[number // len(news)], news[number % len(news)]
        for first in range(start, end, _CHUNK_ROWS):
            chosen = order[first : min(first + _CHUNK_ROWS, end)]
            yield before.content(old_row[chosen]), after.content(new_row[chosen])


def _places(parts: Sequence[_Part], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(number of the part, row in it) of each position."""
    starts = np.cumsum([0, *(len(part.numbers) for part in parts)])
    part = np.searchsorted(starts, positions, side="right") - 1
    return part, positions - starts[part]


def _count_changed(before: pa.Table, after: pa.Table) -> int:
    changed = np.zeros(len(before), dtype=bool)
    for name in _CONTENT:
        was, now = before.column(name), after.column(name)
        if was.equals(now):
            continue
        if pa.types.is_list(was.type):  # arrow compares no lists
            pairs = zip(was.to_pylist(), now.to_pylist(), strict=True)
            changed |= np.array([one != other for one, other in pairs])
        else:
            changed |= pc.not_equal(was, now).fill_null(True).to_numpy()
    return int(changed.sum())


def _diff_spaces(old: Manifest, new: Manifest) -> SpacesDiff:
    olds, news = ({space.key: space for space in m.spaces} for m in (old, new))
    names = {space.name: space for key, space in olds.items() if key not in news}
    renewed = {s.name: s for key, s in news.items() if key not in olds and s.name in names}
    return SpacesDiff(
        sorted(k for k, s in news.items() if k not in olds and s.name not in renewed),
        sorted(k for k, s in olds.items() if k not in news and s.name not in renewed),
        {name: names[name].differences(space) for name, space in sorted(renewed.items())},
    )


def _diff_maps(old: Manifest, new: Manifest) -> MapsDiff:
    olds, news = (
        {m.file.sha256: f"{m.source} into {m.target}" for m in manifest.maps}
        for manifest in (old, new)
    )
    return MapsDiff(
        sorted(told for sha, told in news.items() if sha not in olds),
        sorted(told for sha, told in olds.items() if sha not in news),
    )


def _diff_sources(blobs: BlobStore, old: FileRef, new: FileRef) -> SourcesDiff:
    if old.sha256 == new.sha256:
        return SourcesDiff()
    was, now = (_sources(blobs.local_path(ref.key)) for ref in (old, new))
    return SourcesDiff(
        sorted(now.keys() - was.keys()),
        sorted(was.keys() - now.keys()),
        sorted(uri for uri in was.keys() & now.keys() if was[uri] != now[uri]),
    )


def _sources(path: Path) -> dict[str, str]:
    rows = _rows(path)
    return dict(
        zip(rows.column("uri").to_pylist(), rows.column("source_id").to_pylist(), strict=True)
    )
