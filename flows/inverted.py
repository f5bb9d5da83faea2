"""Inverted indices of every partition, beside the segments of one of its indices: its words, and sparse spaces."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from schemas.ids import digest
from schemas.inverted import InvertedIndex, PostingsRef, postings_of
from schemas.partition import Partition
from schemas.space import SparseVector
from stages.index.bm25 import K1, B
from stages.index.gate import require
from stages.index.inverted import LENGTHS_SUFFIX, POSTINGS_SUFFIX
from stages.index.inverted_gate import SAMPLE_ROWS, InvertedCheck
from stages.index.lexical import (
    LEXICAL_FORMAT,
    LEXICAL_ROW_BYTES,
    LexicalRequest,
    lexical_digest,
)
from stages.index.segments import open_rows
from stages.index.sparse import SPARSE_FORMAT, SPARSE_ROW_BYTES, SparseRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.pools import Pool
    from flows.segment_store import SegmentStore
    from infra.lake.read import LakeView
    from schemas.manifest import IndexManifest, Manifest, SegmentRef
    from schemas.space import Marked, SpaceContract
    from stages.index.inverted_gate import Sample

_SUFFIXES = (POSTINGS_SUFFIX, LENGTHS_SUFFIX)


@dataclass(frozen=True, slots=True)
class PlannedInverted:
    """An inverted index that is going to stand beside an index.

    Attributes:
        partition: ``text/paragraph``.
        space: Name of the sparse space that gives its terms; empty for words.
        rows: Of the index beside.
        serve_bytes: About what it takes while it is served, by its rows.
    """

    partition: str
    space: str
    rows: int
    serve_bytes: int

    @property
    def what(self) -> str:
        """For people."""
        return "sparse postings" if self.space else "words"


class Place(NamedTuple):
    """Where postings may stand: a partition, the key of a space, live vectors there."""

    partition: str
    space: str
    rows: int


Placed = TypeVar("Placed", "IndexManifest", Place)


def planned_inverted(
    places: Sequence[Place], spaces: Sequence[SpaceContract], *, lexical: bool
) -> tuple[PlannedInverted, ...]:
    """What :class:`InvertedBuilder` is going to build beside these."""
    found = []
    for place in _to_stand_beside(places, spaces):
        for space in _terms_of(place.partition, spaces, lexical=lexical):
            per_row = SPARSE_ROW_BYTES if space else LEXICAL_ROW_BYTES
            name = space.name if space else ""
            found.append(PlannedInverted(place.partition, name, place.rows, place.rows * per_row))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Beside:
    """An index to stand beside, and what gives the terms: a sparse space, or the words of the texts (None)."""

    index: IndexManifest
    space: SpaceContract | None

    @property
    def encoder(self) -> str:
        return self.space.key if self.space else ""

    @property
    def built_with(self) -> str:
        return SPARSE_FORMAT if self.space else LEXICAL_FORMAT

    @property
    def place(self) -> str:
        what = f"sparse postings in {self.encoder}" if self.space else "words"
        return f"{self.index.partition}, {what}"


class InvertedBuilder:
    """Builds inverted indices; postings of segments that were there before are taken as they are.

    Args:
        store: Where files go.
        pool: For all that needs computing.
        view: Of the lake.
        known: Manifests to reuse postings of.
    """

    def __init__(
        self, store: SegmentStore, pool: Pool, view: LakeView, known: Sequence[Manifest]
    ) -> None:
        self._store = store
        self._pool = pool
        self._view = view
        refs = [(e, ref) for manifest in known for e in manifest.inverted for ref in e.segments]
        self._by_segment = {(e.built_with, e.encoder, r.segment): r for e, r in refs}
        self._by_input = {ref.input_digest: ref for _, ref in refs}

    def build(
        self, indexes: Sequence[IndexManifest], spaces: Sequence[SpaceContract], *, lexical: bool
    ) -> list[InvertedIndex]:
        """For each partition with a dense index of texts: of its words, and of each sparse space that takes it.

        They stand beside its index in the first such space of the profile.

        Raises:
            GateError: A number of the gate does not hold; nothing is published.
        """
        return [
            self._entry(_Beside(index, space))
            for index in _to_stand_beside(indexes, spaces)
            for space in _terms_of(index.partition, spaces, lexical=lexical)
        ]

    def _entry(self, beside: _Beside) -> InvertedIndex:
        index = beside.index
        found = self._refs(beside)
        refs = tuple(found[segment.digest] for segment in index.segments)
        parameters = {} if beside.space else {"k1": K1, "b": B}
        place = (index.partition, index.space, beside.encoder, parameters, index.rows, refs)
        request = InvertedCheck(
            InvertedIndex(*place),
            index,
            tuple(map(self._store.paths, index.segments)),
            {file.key: self._store.path_of(file) for ref in refs for file in ref.files},
            self._sample(beside),
        )
        _, checks, _ = self._pool.ask(f"check {beside.place}", request)
        require(beside.place, checks)
        return InvertedIndex(*place, checks, beside.built_with)

    def _refs(self, beside: _Beside) -> dict[str, PostingsRef]:
        """By digest of the segment: those that are there, those that are found by their input, and new ones."""
        refs: dict[str, PostingsRef] = {}
        digests: dict[str, str] = {}
        for segment in beside.index.segments:
            known = self._by_segment.get((beside.built_with, beside.encoder, segment.digest))
            if known is not None and known.rows == segment.rows and self._is_whole(known):
                refs[segment.digest] = known
                continue
            built_from, request, arrays = self._request(beside, segment)
            known = self._find(built_from)
            if known is not None:
                refs[segment.digest] = replace(known, segment=segment.digest)
            else:
                digests[segment.digest] = built_from
                self._pool.submit(segment.digest, request, arrays)
        for name, built, files in self._pool.replies():
            refs[name] = self._keep(
                PostingsRef(name, digests[name], files=(), **asdict(built)), files
            )
        return refs

    def _request(
        self, beside: _Beside, segment: SegmentRef
    ) -> tuple[str, Any, Sequence[np.ndarray]]:
        """Digest of what the postings depend on, and how to have them made."""
        path = self._store.paths(segment).rows
        rows = open_rows(path)
        if beside.space is None:
            return lexical_digest(rows), LexicalRequest(path), ()
        hashes = rows.column("input_hash").to_pylist()
        found = self._view.vectors_of(beside.space.key, hashes)
        there = [name if name in found else "" for name in hashes]
        built_from = digest(SPARSE_FORMAT, beside.space.key, *there)
        return (
            built_from,
            SparseRequest(len(there) - there.count("")),
            _arrays([found.get(name) for name in hashes]),
        )

    def _find(self, input_digest: str) -> PostingsRef | None:
        raw = self._store.noted(input_digest)
        ref = self._by_input.get(input_digest) or (postings_of(raw) if raw else None)
        return ref if ref is not None and self._is_whole(ref) else None

    def _is_whole(self, ref: PostingsRef) -> bool:
        return all(map(self._store.is_there, ref.files))

    def _keep(self, ref: PostingsRef, arrays: Sequence[np.ndarray]) -> PostingsRef:
        files = tuple(
            self._store.put_file(data.tobytes(), suffix.removeprefix("."))
            for data, suffix in zip(arrays, _SUFFIXES, strict=False)
        )
        kept = replace(ref, files=files)
        self._store.note(ref.input_digest, asdict(kept))
        return kept

    def _sample(self, beside: _Beside) -> Sample:
        """Some units with what the sparse encoder said of them; the ids are digests, so the first are any."""
        if beside.space is None:
            return ()
        chosen = []
        each = -(-SAMPLE_ROWS // len(beside.index.segments))
        for number, segment in enumerate(beside.index.segments):
            rows = open_rows(self._store.paths(segment).rows)
            hashes = rows.column("input_hash").slice(0, each).to_pylist()
            found = self._view.vectors_of(beside.space.key, hashes)
            chosen += [
                (number, row, _marked(found[name]).as_sparse())
                for row, name in enumerate(hashes)
                if name in found
            ]
        return tuple(chosen)


def _terms_of(
    partition: str, spaces: Sequence[SpaceContract], *, lexical: bool
) -> Iterator[SpaceContract | None]:
    """What gives terms to a partition's texts: their words (None), and each sparse space that takes it."""
    if lexical:
        yield None
    for space in spaces:
        if space.representation == "sparse" and space.takes(Partition.parse(partition)):
            yield space


def _to_stand_beside(
    indexes: Sequence[Placed], spaces: Sequence[SpaceContract]
) -> Iterator[Placed]:
    """Of each partition the index in the first dense space of texts."""
    keys = [s.key for s in spaces if s.input == "text" and s.representation == "dense"]
    first: dict[str, Placed] = {}
    for index in sorted((i for i in indexes if i.space in keys), key=lambda i: keys.index(i.space)):
        first.setdefault(index.partition, index)
    yield from (first[name] for name in sorted(first))


def _arrays(vectors: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many terms each row has, and all terms and weights, one row after the other."""
    none = SparseVector(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))
    sparse = [none if vector is None else _marked(vector).as_sparse() for vector in vectors]
    counts = np.array([len(vector.terms) for vector in sparse], dtype=np.int64)
    terms = np.concatenate([none.terms, *(vector.terms for vector in sparse)])
    weights = np.concatenate([none.weights, *(vector.weights for vector in sparse)])
    return counts, terms, weights


def _marked(embedding: Any) -> Marked:
    """A sparse space has no other embeddings."""
    found: Marked = embedding
    return found
