"""Queries with known answers in, a table of measures out, for three ways of searching."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError
from stages.route.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from schemas.search import Hit, SearchResult
    from stages.route.search import Retriever

_DEPTH: Final = 50  # hits looked at, so that the reciprocal rank sees beyond the first ten
_MODALITY_ROUTES: Final = {"text": ("text", "table"), "page": ("page",)}


@dataclass(frozen=True, slots=True)
class Query:
    """A question and its right answers (paths, or ``file.pdf#page=N``); `ignored` ones neither help nor hurt."""

    text: str
    modality: str
    relevant: frozenset[str]
    ignored: frozenset[str]


def read_queries(path: Path) -> list[Query]:
    """Read one JSON object a line: query, modality, relevant; also_relevant and exclude may be there.

    Raises:
        ConfigError: The file cannot be read or a line lacks a field; names the line.
    """
    queries = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            relevant = frozenset(row["relevant"])
            ignored = frozenset([*row.get("also_relevant", ()), *row.get("exclude", ())]) - relevant
            queries.append(Query(row["query"], row["modality"], relevant, ignored))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}, line {number}: no query with its answers: {error!r}"
            ) from error
    if not queries:
        raise ConfigError(f"{path} has no queries")
    return queries


def evaluate(retriever: Retriever, queries: Sequence[Query]) -> dict[str, Any]:
    """Measures by way and modality.

    Returns:
        ``{"queries": n, "tables": {title: [{"way", "modality", "queries", measures...}]}}``.
    """
    texts = [query.text for query in queries]
    results = {
        "routed": retriever.search_all(texts, _DEPTH, way="routed"),
        "unified": retriever.search_all(texts, _DEPTH, way="unified"),
        "oracle": _oracle(retriever, queries),
    }
    measured = {
        way: [
            measure(answers(result, query), query.relevant)
            for result, query in zip(found, queries, strict=True)
        ]
        for way, found in results.items()
    }
    by_modality = _rows(measured, queries, lambda query: query.modality)
    first = [
        result.routes[0].partition if result.routes else "none" for result in results["routed"]
    ]
    names = dict(zip(map(id, queries), first, strict=True))
    by_route = _rows({"routed": measured["routed"]}, queries, lambda query: names[id(query)])
    return {
        "queries": len(queries),
        "tables": {"By modality": by_modality, "By first route": by_route},
    }


def answers(result: SearchResult, query: Query) -> list[str]:
    """The ranking as answers of the query's kind, each once, what is ignored taken out."""
    pages = any("#page=" in answer for answer in query.relevant)
    named = (_answer(hit, pages) for hit in result.hits)
    return [answer for answer in dict.fromkeys(named) if answer not in query.ignored]


def _answer(hit: Hit, pages: bool) -> str:  # private, named at its only call
    page = hit.locator.get("page")
    return f"{hit.path}#page={page}" if pages and page is not None else hit.path


def _oracle(retriever: Retriever, queries: Sequence[Query]) -> list[SearchResult]:
    """Routed among the partitions of the right modality only."""
    there = sorted({entry.partition for entry in retriever.snapshot.manifest.indexes})
    results = []
    for query in queries:
        wanted = _MODALITY_ROUTES.get(query.modality, (query.modality,))
        routes = [name for name in there if name.partition("/")[0] in wanted]
        results.append(retriever.search_all([query.text], _DEPTH, routes=routes or None)[0])
    return results


def _rows(
    measured: dict[str, list[dict[str, float]]],
    queries: Sequence[Query],
    group_of: Callable[[Query], str],
) -> list[dict[str, Any]]:
    groups = ["all", *sorted({group_of(query) for query in queries})]
    rows = []
    for group in groups:
        for way, values in measured.items():
            picked = [
                v for v, q in zip(values, queries, strict=True) if group in ("all", group_of(q))
            ]
            rows.append({"modality": group, "way": way, "queries": len(picked), **_mean(picked)})
    return rows


def _mean(values: Iterable[dict[str, float]]) -> dict[str, float]:
    listed = list(values)
    return {name: sum(v[name] for v in listed) / len(listed) for name in listed[0]}
