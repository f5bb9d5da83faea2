"""A question to hits: routed to partitions, asked of their indices, fused into one ranking of answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np

from schemas.derived import is_derived
from schemas.errors import ConfigError
from schemas.filters import Filter
from schemas.search import Hit, Route, SearchResult
from stages.near import is_near
from stages.route.calibrate import space_scales
from stages.route.router import Router

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from schemas.partition import Partition
    from schemas.search import Candidate, Way
    from schemas.space import DenseEncoder, Encoder, TextEncoder
    from stages.index.segments import Neighbours
    from stages.index.snapshot import OpenSnapshot

Collapse = Literal["document", "page"]

_DEPTH: Final = 5  # candidates asked of an index for each hit wanted: collapsing takes some away
# What a route that is e times as likely is worth in standard deviations of similarity. Measured: docs/routing.md.
_ROUTE_WEIGHT: Final = 0.4


@dataclass(frozen=True, slots=True)
class _Index:
    """One index and its place among those of the snapshot."""

    partition: Partition
    space: str


class Retriever:
    """A snapshot that answers questions in words.

    Args:
        snapshot: Opened.
        encoders: By key of the space; a text encoder must be among them.

    Raises:
        ConfigError: No text encoder.
    """

    def __init__(self, snapshot: OpenSnapshot, encoders: Mapping[str, Encoder]) -> None:
        self.snapshot = snapshot
        dense = {
            k: cast("DenseEncoder", e)
            for k, e in encoders.items()
            if e.contract.representation == "dense"
        }
        self._encoders = dense
        texts = [e for e in dense.values() if e.contract.input == "text"]
        if not texts:
            raise ConfigError("a snapshot without a text space cannot be asked in words")
        self._text: TextEncoder = texts[0]  # type: ignore[assignment]  # its contract says text
        self._indexes = [_Index(p, space) for p, space in snapshot.indexes]
        self._scales = space_scales(snapshot.manifest.indexes)
        prototypes: dict[str, list[tuple[str, np.ndarray]]] = {}
        for index in self._indexes:
            rows = snapshot.prototypes(index.partition, index.space)
            prototypes.setdefault(str(index.partition), []).append((index.space, rows))
        self._router = Router(prototypes, self._scales, self._text)

    @property
    def partitions(self) -> tuple[str, ...]:
        """Partitions that can be asked."""
        return self._router.partitions

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        route: str | None = None,
        way: Way = "routed",
        where: Sequence[str] = (),
        acl: Sequence[str] | None = None,
    ) -> SearchResult:
        """Hits for one question, each from another document or recording.

        Args:
            query: In words.
            k: Hits wanted.
            route: Ask this partition only; pages of one document are then hits of their own.
            way: ``routed``; or ``unified``: all partitions in one ranking by raw cosine, the baseline.
            where: Conditions that every hit meets, such as ``attributes.year >= 2020``; see docs/filters.md.
            acl: Labels of the one who asks: hits are public or share one. None looks at no labels.

        Raises:
            ConfigError: The snapshot has no such partition, or a condition cannot be read.
        """
        given = None if route is None else [[route]]
        collapse: Collapse = "page" if route and route.startswith("page/") else "document"
        chosen = Filter.parse(where, acl)
        return self.search_all([query], k, given=given, way=way, collapse=collapse, where=chosen)[0]

    def search_all(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        given: Sequence[Collection[str]] | None = None,
        way: Way = "routed",
        collapse: Collapse = "document",
        where: Filter | None = None,
    ) -> list[SearchResult]:
        """The same for many questions at once.

        Args:
            queries: In words.
            k: Hits wanted for each.
            given: For each question the partitions to ask, all alike; None to have it routed.
            way: As in `search`.
            collapse: What is one answer: a document (or recording), or a page of one.
            where: What every hit must be like, and who asks.

        Raises:
            ConfigError: The snapshot has no such partition.
        """
        if not queries:
            return []
        vectors = {key: encoder.encode_queries(queries) for key, encoder in self._encoders.items()}
        if given is not None:
            routes = [self._given(partitions) for partitions in given]
        elif way == "unified":
            routes = [self._given(self.partitions)] * len(queries)
        else:
            routes = [self._route(query, i, vectors) for i, query in enumerate(queries)]
        found = self._ask(vectors, routes, k * _DEPTH, where)
        results = []
        for i, chosen in enumerate(routes):
            ranking = self._ranking(found, i, chosen, way)
            hits = tuple(self._hits(ranking, k, collapse))
            results.append(SearchResult(self.snapshot.manifest.snapshot_id, tuple(chosen), hits))
        return results

    def _given(self, partitions: Collection[str]) -> list[Route]:
        for name in partitions:
            if name not in self.partitions:
                raise ConfigError(
                    f"no partition {name!r} in this snapshot; it has {', '.join(self.partitions)}"
                )
        return [Route(name, 1 / len(partitions)) for name in sorted(partitions)]

    def _route(self, query: str, i: int, vectors: Mapping[str, np.ndarray]) -> list[Route]:
        text_vector = vectors[self._text.contract.key][i]
        return self._router.route(query, text_vector, {key: v[i] for key, v in vectors.items()})

    def _ask(
        self,
        vectors: Mapping[str, np.ndarray],
        routes: Sequence[Sequence[Route]],
        depth: int,
        where: Filter | None,
    ) -> dict[_Index, tuple[dict[int, int], Neighbours]]:
        """Ask each index the questions routed to it; by index, position of each question and what was found."""
        found = {}
        for index in self._indexes:
            name = str(index.partition)
            asked = [i for i, r in enumerate(routes) if any(route.partition == name for route in r)]
            if asked:
                rows = vectors[index.space][asked]
                near = self.snapshot.neighbours(
                    index.partition, index.space, rows, depth, where=where
                )
                found[index] = ({i: position for position, i in enumerate(asked)}, near)
        return found

    def _ranking(
        self,
        found: Mapping[_Index, tuple[dict[int, int], Neighbours]],
        query: int,
        routes: Sequence[Route],
        way: Way,
    ) -> Iterator[tuple[float, float, _Index, tuple[int, int]]]:
        """(value, similarity, index, (segment, row)) of one question's candidates, best first."""
        best = max((route.weight for route in routes), default=1.0)
        bonus = {r.partition: _ROUTE_WEIGHT * math.log(r.weight / best) for r in routes}
        entries = []
        for index, (positions, near) in found.items():
            if query not in positions:
                continue
            i = positions[query]
            value = near.similarity[i].astype(np.float64)
            if way != "unified":
                value = self._scales[index.space].standing(value) + bonus[str(index.partition)]
            columns = (value, near.similarity[i], near.segment[i], near.row[i])
            entries += [
                (v, similarity, index, (segment, row))
                for v, similarity, segment, row in zip(*(c.tolist() for c in columns), strict=True)
                if row >= 0
            ]
        # The sort is stable: equal values stay in the manifest's order, and by unit_id within an index.
        return iter(sorted(entries, key=lambda entry: -entry[0]))

    def _hits(
        self,
        ranking: Iterator[tuple[float, float, _Index, tuple[int, int]]],
        k: int,
        collapse: Collapse,
    ) -> Iterator[Hit]:
        """The best hit of each answer, in order; one that looks like a better one says so."""
        seen: set[tuple[str, Any]] = set()
        looks: dict[str, str] = {}  # unit_id of hits to their perceptual hashes
        for value, similarity, index, at in ranking:
            source_id, locator = self.snapshot.origin(index.partition, index.space, at)
            answer = (source_id, locator.get("page") if collapse == "page" else None)
            if answer in seen:
                continue
            seen.add(answer)
            found = self.snapshot.candidate(index.partition, index.space, similarity, at)
            found, found_by = self._told_of(found, index.partition)
            place = self.snapshot.paths(source_id)
            yield Hit(
                rank=len(seen),
                score=round(_share(value), 6),
                partition=found.partition,
                path=place.path,
                uri=place.uri,
                locator=found.locator,
                text=found.text,
                unit_id=found.unit_id,
                source_id=source_id,
                near_duplicate_of=_same_look(found, looks),
                found_by=found_by,
            )
            if len(seen) == k:
                return

    def _told_of(self, found: Candidate, partition: Partition) -> tuple[Candidate, str]:
        """The unit that a derived one was derived from, and the text that it was found by; others as they are."""
        if not is_derived(found.attributes):
            return found, ""
        parent = self.snapshot.find(partition, found.parent_id)
        # One that is in no index itself (a picture without text, in a text space alone) has a place all the same.
        return parent or replace(found, unit_id=found.parent_id, text=""), found.text


def _same_look(found: Candidate, looks: dict[str, str]) -> str:
    """The best of the hits so far that looks the same, or empty; this one is added to them."""
    phash = found.attributes.get("phash", "")
    same = next((unit for unit, other in looks.items() if is_near(phash, other)), "")
    if phash:
        looks[found.unit_id] = phash
    return same


def _share(deviations: float) -> float:
    """Standard deviations as 0..1 by the logistic function: what no more than background is has at most 0.5."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, deviations))))
