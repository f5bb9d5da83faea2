"""The words of every partition: lexical postings beside the segments of one of its indices."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from schemas.inverted import InvertedIndex, PostingsRef, postings_of
from stages.index.bm25 import K1, B
from stages.index.gate import require
from stages.index.inverted import LENGTHS_SUFFIX, POSTINGS_SUFFIX
from stages.index.lexical import LEXICAL_FORMAT, LexicalRequest, lexical_digest
from stages.index.lexical_gate import LexicalCheckRequest
from stages.index.segments import open_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from flows.pools import Pool
    from flows.segment_store import SegmentStore
    from schemas.manifest import IndexManifest, Manifest
    from schemas.space import SpaceContract
    from stages.index.lexical import LexicalBuilt


class WordsBuilder:
    """Builds lexical indices; postings of segments that were there before are taken as they are.

    Args:
        store: Where files go.
        pool: For all that needs computing.
        known: Manifests to reuse postings of.
    """

    def __init__(self, store: SegmentStore, pool: Pool, known: Sequence[Manifest]) -> None:
        self._store = store
        self._pool = pool
        entries = [e for m in known for e in m.inverted if e.built_with == LEXICAL_FORMAT]
        refs = [ref for entry in entries for ref in entry.segments]
        self._by_segment = {ref.segment: ref for ref in refs}
        self._by_input = {ref.input_digest: ref for ref in refs}

    def build(
        self, indexes: Sequence[IndexManifest], spaces: Sequence[SpaceContract]
    ) -> list[InvertedIndex]:
        """One for each partition that has a dense index of texts, in the first such space of the profile.

        Raises:
            GateError: A number of the gate does not hold; nothing is published.
        """
        keys = [s.key for s in spaces if s.input == "text" and s.representation == "dense"]
        beside: dict[str, IndexManifest] = {}
        for key in keys:
            for index in indexes:
                if index.space == key:
                    beside.setdefault(index.partition, index)
        return [self._entry(index) for _, index in sorted(beside.items())]

    def _entry(self, index: IndexManifest) -> InvertedIndex:
        found = self._refs(index)
        refs = tuple(found[segment.digest] for segment in index.segments)
        parameters = {"k1": K1, "b": B}
        place = (index.partition, index.space, "", parameters, index.rows, refs)
        files = {file.key: self._store.path_of(file) for ref in refs for file in ref.files}
        segments = tuple(map(self._store.paths, index.segments))
        request = LexicalCheckRequest(InvertedIndex(*place), index, segments, files)
        _, checks, _ = self._pool.ask(f"check the words of {index.partition}", request)
        require(f"the words of {index.partition}", checks)
        return InvertedIndex(*place, checks, LEXICAL_FORMAT)

    def _refs(self, index: IndexManifest) -> dict[str, PostingsRef]:
        """By digest of the segment: those that are there, those that are found by their rows, and new ones."""
        refs = {}
        digests = {}
        for segment in index.segments:
            ref = self._by_segment.get(segment.digest)
            if ref is not None and self._is_whole(ref):
                refs[segment.digest] = ref
                continue
            rows = self._store.paths(segment).rows
            digests[segment.digest] = lexical_digest(open_rows(rows))
            ref = self._find(digests[segment.digest])
            if ref is not None:
                refs[segment.digest] = replace(ref, segment=segment.digest)
            else:
                self._pool.submit(segment.digest, LexicalRequest(rows))
        for name, built, arrays in self._pool.replies():
            refs[name] = self._keep(name, digests[name], built, arrays)
        return refs

    def _find(self, input_digest: str) -> PostingsRef | None:
        raw = self._store.noted(input_digest)
        ref = self._by_input.get(input_digest) or (postings_of(raw) if raw else None)
        return ref if ref is not None and self._is_whole(ref) else None

    def _is_whole(self, ref: PostingsRef) -> bool:
        return all(map(self._store.is_there, ref.files))

    def _keep(
        self, segment: str, input_digest: str, built: LexicalBuilt, arrays: Sequence[np.ndarray]
    ) -> PostingsRef:
        suffixes = (POSTINGS_SUFFIX, LENGTHS_SUFFIX)
        files = tuple(
            self._store.put_file(data.tobytes(), suffix.removeprefix("."))
            for data, suffix in zip(arrays, suffixes, strict=True)
        )
        ref = PostingsRef(
            segment, input_digest, built.terms, built.postings, files, dict(built.languages)
        )
        self._store.note(input_digest, asdict(ref))
        return ref
