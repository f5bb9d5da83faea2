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
from schemas.space import TokenVectors
from stages.near import is_near
from stages.route.calibrate import as_asked, space_scales
from stages.route.fusion import WEIGHT, Terms, sparse_encoders
from stages.route.router import Router

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from schemas.partition import Partition
    from schemas.search import Candidate, Mode, Way
    from schemas.space import Encoded, Encoder, SpaceContract, TextEncoder
    from stages.index.segments import Neighbours
    from stages.index.snapshot import OpenSnapshot
    from stages.route.fusion import Shares

Collapse = Literal["document", "page"]
if TYPE_CHECKING:
    _Vectors = np.ndarray | list[np.ndarray]  # of questions: one each, or [n, dim] each

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
        encoders: By key of the space, of those of the manifest's `query_spaces` that are to be asked. Without a text
            encoder among them there is nothing to route by: every partition is asked, all alike.

    Raises:
        ConfigError: The snapshot has no text space.
    """

    def __init__(self, snapshot: OpenSnapshot, encoders: Mapping[str, Encoder]) -> None:
        self.snapshot = snapshot
        self._encoders = {
            key: encoder
            for key, encoder in encoders.items()
            if encoder.contract.representation != "sparse"
        }
        if not any(map(is_routable, snapshot.manifest.spaces)):
            raise ConfigError("a snapshot without a text space cannot be asked in words")
        self._terms = Terms(snapshot, sparse_encoders(encoders))
        self._maps = [m for m in snapshot.manifest.maps if m.source in self._encoders]
        asked = {*self._encoders, *(m.target for m in self._maps)}
        self._indexes = [_Index(p, space) for p, space in snapshot.indexes if space in asked]
        self._scales = space_scales(as_asked(snapshot.manifest))
        prototypes: dict[str, list[tuple[str, np.ndarray]]] = {}
        for index in self._indexes:
            rows = snapshot.prototypes(index.partition, index.space)
            prototypes.setdefault(str(index.partition), []).append((index.space, rows))
        self.partitions: tuple[str, ...] = tuple(sorted({*prototypes, *self._terms.partitions}))
        """Partitions that can be asked."""
        self._text = self._routing_encoder()
        self._router = None if self._text is None else Router(prototypes, self._scales, self._text)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What can count for a question, vectors first; more than vectors only where the snapshot has more."""
        entries = self.snapshot.manifest.inverted
        more: list[Mode] = ["lexical"] if any(not entry.encoder for entry in entries) else []
        more += ["sparse"] if any(entry.encoder for entry in entries) else []
        return ("dense", *more, "hybrid") if more else ("dense",)

    def search(  # noqa: PLR0913 - what one may ask for
        self,
        query: str,
        k: int = 10,
        *,
        route: str | None = None,
        way: Way = "routed",
        mode: Mode = "hybrid",
        where: Sequence[str] = (),
        acl: Sequence[str] | None = None,
    ) -> SearchResult:
        """Hits for one question, each from another document or recording.

        Args:
            query: In words.
            k: Hits wanted.
            route: Ask this partition only; pages of one document are then hits of their own.
            way: ``routed``; or ``unified``: all partitions in one ranking by raw cosine, the baseline.
            mode: What counts: ``hybrid``, all there is; ``dense``, vectors alone; ``lexical``, words alone;
                ``sparse``, sparse spaces alone. In a unified ranking cosines alone count.
            where: Conditions that every hit meets, such as ``attributes.year >= 2020``; see docs/filters.md.
            acl: Labels of the one who asks: hits are public or share one. None looks at no labels.

        Raises:
            ConfigError: The snapshot has no such partition, or a condition cannot be read.
        """
        given = None if route is None else [[route]]
        collapse: Collapse = "page" if route and route.startswith("page/") else "document"
        chosen = Filter.parse(where, acl)
        every = self.search_all(
            [query], k, given=given, way=way, mode=mode, collapse=collapse, where=chosen
        )
        return every[0]

    def search_all(  # noqa: PLR0913 - what one may ask for
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        given: Sequence[Collection[str]] | None = None,
        way: Way = "routed",
        mode: Mode = "hybrid",
        collapse: Collapse = "document",
        where: Filter | None = None,
    ) -> list[SearchResult]:
        """The same for many questions at once.

        Args:
            queries: In words.
            k: Hits wanted for each.
            given: For each question the partitions to ask, all alike; None to have it routed.
            way: As in `search`.
            mode: As in `search`.
            collapse: What is one answer: a document (or recording), or a page of one.
            where: What every hit must be like, and who asks.

        Raises:
            ConfigError: The snapshot has no such partition.
        """
        if not queries:
            return []
        vectors = self._embedded(queries)
        if given is not None:
            routes = [self._given(partitions) for partitions in given]
        else:
            routes = self._routes(queries, vectors, way)
        depth = k * _DEPTH
        mode = "dense" if way == "unified" else mode
        asks_vectors = mode in ("dense", "hybrid")
        found = self._ask(vectors, routes, depth, where) if asks_vectors else {}
        said = self._terms.ask(queries, _asked(routes), depth, mode, where)
        results = []
        for i, chosen in enumerate(routes):
            ranking = self._ranking((found, said), i, chosen, way)
            hits = tuple(self._hits(ranking, k, collapse))
            results.append(SearchResult(self.snapshot.manifest.snapshot_id, tuple(chosen), hits))
        return results

    def _embedded(self, queries: Sequence[str]) -> dict[str, _Vectors]:
        """By space; those of a space that is being replaced are mapped from the one that replaces it."""
        vectors = {key: _vectors(e.encode_queries(queries)) for key, e in self._encoders.items()}
        for space_map in self._maps:
            found = np.asarray(vectors[space_map.source])
            vectors[space_map.target] = self.snapshot.map_into(space_map.target).apply(found)
        return vectors

    def _given(self, partitions: Collection[str]) -> list[Route]:
        for name in partitions:
            if name not in self.partitions:
                raise ConfigError(
                    f"no partition {name!r} in this snapshot; it has {', '.join(self.partitions)}"
                )
        return [Route(name, 1 / len(partitions)) for name in sorted(partitions)]

    def _routing_encoder(self) -> TextEncoder | None:
        """The encoder of the space that the snapshot is routed by, if it is asked, else of another text space."""
        texts = {k: e for k, e in self._encoders.items() if is_routable(e.contract)}
        chosen = self.snapshot.manifest.router.get("space")
        return (
            cast("TextEncoder", texts[chosen if chosen in texts else min(texts)]) if texts else None
        )

    def _routes(
        self, queries: Sequence[str], vectors: Mapping[str, _Vectors], way: Way
    ) -> list[list[Route]]:
        if way == "unified" or self._text is None or self._router is None:
            return [self._given(self.partitions)] * len(queries)
        by_text = vectors[self._text.contract.key]
        return [
            self._router.route(query, by_text[i], {key: v[i] for key, v in vectors.items()})
            for i, query in enumerate(queries)
        ]

    def _ask(
        self,
        vectors: Mapping[str, _Vectors],
        routes: Sequence[Sequence[Route]],
        depth: int,
        where: Filter | None,
    ) -> dict[_Index, tuple[dict[int, int], Neighbours]]:
        """Ask each index the questions routed to it; by index, position of each question and what was found."""
        found = {}
        by_partition = _asked(routes)
        for index in self._indexes:
            asked = by_partition.get(str(index.partition))
            if asked:
                rows = [vectors[index.space][i] for i in asked]
                near = self.snapshot.neighbours(
                    index.partition, index.space, rows, depth, where=where
                )
                found[index] = ({i: position for position, i in enumerate(asked)}, near)
        return found

    def _ranking(
        self,
        answers: tuple[Mapping[_Index, tuple[dict[int, int], Neighbours]], Sequence[Shares]],
        query: int,
        routes: Sequence[Route],
        way: Way,
    ) -> Iterator[tuple[float, float, _Index, tuple[int, int]]]:
        """(value, similarity, index, (segment, row)) of one question's candidates, best first."""
        found, said = answers
        best = max((route.weight for route in routes), default=1.0)
        bonus = {r.partition: _ROUTE_WEIGHT * math.log(r.weight / best) for r in routes}
        entries: dict[tuple[_Index, tuple[int, int]], tuple[float, float]] = {}
        floors: dict[_Index, float] = {}
        for index, (positions, near) in found.items():
            if query not in positions:
                continue
            i = positions[query]
            value = near.similarity[i].astype(np.float64)
            if way != "unified":
                value = self._scales[index.space].standing(value) + bonus[str(index.partition)]
            columns = (value, near.similarity[i], near.segment[i], near.row[i])
            for v, similarity, segment, row in zip(*(c.tolist() for c in columns), strict=True):
                if row >= 0:
                    entries[index, (segment, row)] = (v, similarity)
                    floors[index] = v  # what was not found is no nearer than the last
        for shares in said:
            index = _Index(shares.entry.parsed_partition, shares.entry.space)
            floor = floors.get(index, bonus.get(shares.entry.partition, 0.0))
            for share, at in shares.of(query):
                before, similarity = entries.get((index, at), (floor, share))
                entries[index, at] = (before + WEIGHT * share, similarity)
        # The sort is stable: equal values stay in the manifest's order, and by unit_id within an index.
        rows = [(v, similarity, index, at) for (index, at), (v, similarity) in entries.items()]
        return iter(sorted(rows, key=lambda row: -row[0]))

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


def _asked(routes: Sequence[Sequence[Route]]) -> dict[str, list[int]]:
    """By partition, the questions that are routed to it."""
    asked: dict[str, list[int]] = {}
    for i, chosen in enumerate(routes):
        for route in chosen:
            asked.setdefault(route.partition, []).append(i)
    return asked


def is_routable(space: SpaceContract) -> bool:
    """Whether questions can be routed by it: it embeds texts, to one vector each."""
    return space.input == "text" and space.representation == "dense"


def find_spaces(spaces: Sequence[SpaceContract], names: Sequence[str]) -> list[SpaceContract]:
    """Those with these names or keys; all of them without any.

    Raises:
        ConfigError: There is none of a name.
    """
    for name in names:
        if not any(name in (space.name, space.key) for space in spaces):
            known = ", ".join(space.name for space in spaces)
            raise ConfigError(f"no space {name!r} in this snapshot; it has {known}")
    return [s for s in spaces if not names or s.name in names or s.key in names]


def routed_by(spaces: Sequence[SpaceContract]) -> dict[str, Any]:
    """What a manifest says of routing: the key of the space to route by, the first that can, where several could."""
    able = [space.key for space in spaces if is_routable(space)]
    return {"space": able[0]} if len(able) > 1 else {}


def _vectors(encoded: Encoded) -> _Vectors:
    """Those of each question."""
    if isinstance(encoded, np.ndarray):
        return encoded
    return [found.vectors for found in encoded if isinstance(found, TokenVectors)]


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
