"""A question to hits: embedded once for each kind of space, asked of several partitions, fused into one ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from schemas.errors import ConfigError
from schemas.search import Hit, Route, SearchResult
from stages.route.calibrate import score, standing
from stages.route.router import Router

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from schemas.manifest import IndexManifest, Manifest
    from schemas.partition import Partition
    from schemas.search import Candidate, Way
    from schemas.space import Encoder, TextEncoder

_DEPTH: Final = 5  # candidates asked of an index for each hit wanted: collapsing takes some away


class Place(Protocol):
    """Where a source can be found."""

    path: str
    uri: str
    title: str


class Snapshot(Protocol):
    """What searching needs of an opened snapshot (stages/index/snapshot.py)."""

    @property
    def manifest(self) -> Manifest:
        """What it is made of."""

    def entry(self, partition: Partition, space: str) -> IndexManifest:
        """One index of it."""

    def search(
        self, partition: Partition, space: str, vectors: np.ndarray, k: int
    ) -> list[list[Candidate]]:
        """Nearest units of each query."""

    def paths(self, source_id: str) -> Any:
        """Where a source is."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A candidate with how far it stands above its index's background."""

    candidate: Candidate
    deviations: float


class Retriever:
    """A snapshot that answers questions in words.

    Args:
        snapshot: Opened.
        encoders: By key of the space; a text encoder must be among them.

    Raises:
        ConfigError: No text encoder.
    """

    def __init__(self, snapshot: Snapshot, encoders: Mapping[str, Encoder]) -> None:
        self.snapshot = snapshot
        self._encoders = dict(encoders)
        texts = [e for e in encoders.values() if e.contract.input == "text"]
        if not texts:
            raise ConfigError("a snapshot without a text space cannot be asked in words")
        self._text: TextEncoder = texts[0]  # type: ignore[assignment]  # its contract says text
        self._places = [(i.parsed_partition, i.space) for i in snapshot.manifest.indexes]
        self._router = Router(sorted({str(p) for p, _ in self._places}), self._text)

    def search(
        self, query: str, k: int = 10, *, route: str | None = None, way: Way = "routed"
    ) -> SearchResult:
        """Hits for one question.

        Args:
            query: In words.
            k: Hits wanted.
            route: Ask this partition only.
            way: ``routed``; or ``unified``: all partitions in one ranking by raw cosine, the baseline.

        Raises:
            ConfigError: The snapshot has no such partition.
        """
        return self.search_all([query], k, routes=[route] if route else None, way=way)[0]

    def search_all(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        routes: Sequence[str] | None = None,
        way: Way = "routed",
    ) -> list[SearchResult]:
        """The same for many questions at once; `routes` are the only partitions asked, None for all."""
        asked = self._asked(routes)
        vectors = self._embed(queries, {space for _, space in asked})
        found = {
            place: self.snapshot.search(*place, vectors[place[1]], k * _DEPTH) for place in asked
        }
        text_vectors = vectors.get(self._text.contract.key)
        if text_vectors is None:
            text_vectors = self._text.encode_queries(queries)
        return [
            self._answer(query, text_vectors[i], {p: rows[i] for p, rows in found.items()}, k, way)
            for i, query in enumerate(queries)
        ]

    def _asked(self, routes: Sequence[str] | None) -> list[tuple[Partition, str]]:
        if routes is None:
            return self._places
        there = {str(partition) for partition, _ in self._places}
        for route in routes:
            if route not in there:
                raise ConfigError(
                    f"no partition {route!r} in this snapshot; it has {', '.join(sorted(there))}"
                )
        return [(p, s) for p, s in self._places if str(p) in routes]

    def _embed(self, queries: Sequence[str], spaces: set[str]) -> dict[str, np.ndarray]:
        return {space: self._encoders[space].encode_queries(queries) for space in sorted(spaces)}

    def _answer(
        self,
        query: str,
        vector: np.ndarray,
        found: Mapping[tuple[Partition, str], list[Candidate]],
        k: int,
        way: Way,
    ) -> SearchResult:
        judged = [
            _Judged(
                candidate, standing(candidate.similarity, self.snapshot.entry(*place).calibration)
            )
            for place, candidates in found.items()
            for candidate in candidates
        ]
        evidence: dict[str, float] = {}
        for one in judged:
            name = one.candidate.partition
            evidence[name] = max(evidence.get(name, one.deviations), one.deviations)
        if way == "unified":
            routes = [Route(name, 1 / len(evidence)) for name in sorted(evidence)]
            ranked = [(one.candidate.similarity, one) for one in judged]
        else:
            routes = self._router.route(query, vector, evidence)
            weights = {route.partition: route.weight for route in routes}
            ranked = [
                (weights[one.candidate.partition] * score(one.deviations), one)
                for one in judged
                if one.candidate.partition in weights
            ]
        return SearchResult(
            self.snapshot.manifest.snapshot_id, tuple(routes), tuple(self._hits(ranked, k))
        )

    def _hits(self, ranked: list[tuple[float, _Judged]], k: int) -> list[Hit]:
        """The best of each document or recording, and of each page, in order."""
        ranked.sort(key=lambda item: (-item[0], item[1].candidate.unit_id))
        hits: list[Hit] = []
        seen: set[tuple[str, int | None]] = set()
        for value, one in ranked:
            candidate = one.candidate
            answer = (candidate.source_id, candidate.locator.get("page"))
            if answer in seen or len(hits) == k:
                continue
            seen.add(answer)
            place = self.snapshot.paths(candidate.source_id)
            hits.append(
                Hit(
                    len(hits) + 1,
                    round(float(value), 6),
                    candidate.partition,
                    place.path,
                    place.uri,
                    candidate.locator,
                    candidate.text,
                    candidate.unit_id,
                    candidate.source_id,
                )
            )
        return hits
