"""Queries with known answers in, a table of measures out, for three ways of searching."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError
from stages.route.metrics import measure

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from schemas.search import Mode, SearchResult, Way
    from stages.route.search import Retriever

_DEPTH: Final = 50  # hits looked at, so that the reciprocal rank sees beyond the first ten


@dataclass(frozen=True, slots=True)
class Query:
    """A question and its right answers (paths, or ``file.pdf#page=N``); `ignored` ones neither help nor hurt."""

    text: str
    modality: str
    relevant: frozenset[str]
    ignored: frozenset[str]

    @property
    def wants_pages(self) -> bool:
        """Whether its answers are pages."""
        return any("#page=" in answer for answer in self.relevant)


def read_queries(path: Path) -> list[Query]:
    """Read one JSON object a line: query, modality, relevant; also_relevant and exclude may be there.

    Raises:
        ConfigError: The file cannot be read or a line lacks a field; names the line.
    """
    queries = []
    for where, row in _json_lines(path):
        try:
            relevant = frozenset(row["relevant"])
            ignored = frozenset([*row.get("also_relevant", ()), *row.get("exclude", ())]) - relevant
            queries.append(Query(row["query"], row["modality"], relevant, ignored))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{where}: no query with its answers: {error!r}") from error
    if not queries:
        raise ConfigError(f"{path} has no queries")
    return queries


def read_questions(path: Path) -> list[str]:
    """The questions of a file with one JSON object a line, ``{"query": text}``; other fields are ignored.

    Raises:
        ConfigError: The file cannot be read, has no line, or one without a question; names the line.
    """
    questions = []
    for where, row in _json_lines(path):
        question = row.get("query")
        if not isinstance(question, str) or not question.strip():
            raise ConfigError(f"{where}: the query must be a text, it is {question!r}")
        questions.append(question)
    if not questions:
        raise ConfigError(f'{path} has no questions: write one {{"query": "..."}} a line')
    return questions


def _json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is not blank, with where it stands."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{where}: no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: no JSON object")
        yield where, row


def evaluate(retriever: Retriever, queries: Sequence[Query]) -> dict[str, Any]:
    """Measures by way and modality, by what counts (see `Mode`), and of the routed way by the first route.

    The ways: ``routed``; ``unified``, all partitions in one ranking by raw cosine; ``oracle``, asking exactly the
    partitions that hold a right answer, as a router without error would (all of them where none does).

    Returns:
        ``{"queries": n, "tables": {title: [{"modality", "way", "queries", measures...}]}}``.
    """
    known = _Answers(retriever)
    queries = [known.canonical(query) for query in queries]
    oracle = [known.partitions_of(query) or retriever.partitions for query in queries]
    results = {
        "routed": _search(retriever, queries),
        "unified": _search(retriever, queries, way="unified"),
        "oracle": _search(retriever, queries, given=oracle),
    }
    measured = {way: _measured(found, queries) for way, found in results.items()}
    by_mode = {
        f"{way}, {mode}": _measured(_search(retriever, queries, given=given, mode=mode), queries)
        for mode in retriever.modes
        for way, given in (("routed", None), ("oracle", oracle))
    }
    first = [result.routes[0].partition for result in results["routed"]]
    return {
        "queries": len(queries),
        "tables": {
            "By modality": _rows(measured, [query.modality for query in queries]),
            "By what counts": _rows(by_mode, [query.modality for query in queries]),
            "By first route": _rows({"routed": measured["routed"]}, first, name="route"),
        },
    }


def answers(result: SearchResult, query: Query) -> list[str]:
    """The ranking as answers of the query's kind, each once, what is ignored taken out."""
    named = (_answer(hit.path, hit.locator, query.wants_pages) for hit in result.hits)
    return [answer for answer in dict.fromkeys(named) if answer not in query.ignored]


def _answer(path: str, locator: dict[str, Any], as_page: bool) -> str:
    page = locator.get("page")
    return f"{path}#page={page}" if as_page and page is not None else path


class _Answers:
    """What the snapshot could answer: which names mean one source, and which partitions hold which answer."""

    def __init__(self, retriever: Retriever) -> None:
        places = retriever.snapshot.places
        self._first = {place.path: listed[0].path for listed in places.values() for place in listed}
        self._holders: dict[str, set[str]] = {}
        for index in retriever.snapshot.manifest.indexes:
            for segment in retriever.snapshot.segments(index.parsed_partition, index.space):
                for source_id, locator in zip(
                    segment.rows.column("source_id").to_pylist(),
                    segment.rows.column("locator").to_pylist(),
                    strict=True,
                ):
                    path, where = places[source_id][0].path, json.loads(locator)
                    for name in {path, _answer(path, where, as_page=True)}:
                        self._holders.setdefault(name, set()).add(index.partition)

    def canonical(self, query: Query) -> Query:
        """The query with every copy of a file named by the path that hits have."""
        return replace(
            query,
            relevant=frozenset(map(self._canonical, query.relevant)),
            ignored=frozenset(map(self._canonical, query.ignored))
            - frozenset(map(self._canonical, query.relevant)),
        )

    def partitions_of(self, query: Query) -> list[str]:
        """Partitions with a unit of a right answer."""
        return sorted({p for answer in query.relevant for p in self._holders.get(answer, ())})

    def _canonical(self, answer: str) -> str:
        path, mark, page = answer.partition("#page=")
        return f"{self._first.get(path, path)}{mark}{page}"


def _measured(found: Sequence[SearchResult], queries: Sequence[Query]) -> list[dict[str, float]]:
    pairs = zip(found, queries, strict=True)
    return [measure(answers(result, query), query.relevant) for result, query in pairs]


def _search(
    retriever: Retriever,
    queries: Sequence[Query],
    *,
    way: Way = "routed",
    mode: Mode = "hybrid",
    given: Sequence[Collection[str]] | None = None,
) -> list[SearchResult]:
    """All queries, those that want pages and those that want documents each at once."""
    results: dict[int, SearchResult] = {}
    for collapse in ("document", "page"):
        picked = [i for i, query in enumerate(queries) if query.wants_pages == (collapse == "page")]
        found = retriever.search_all(
            [queries[i].text for i in picked],
            _DEPTH,
            given=None if given is None else [given[i] for i in picked],
            way=way,
            mode=mode,
            collapse=collapse,
        )
        results.update(zip(picked, found, strict=True))
    return [results[i] for i in range(len(queries))]


def _rows(
    measured: Mapping[str, Sequence[dict[str, float]]],
    groups: Sequence[str],
    name: str = "modality",
) -> list[dict[str, Any]]:
    rows = []
    for group in ("all", *sorted(set(groups))):
        for way, values in measured.items():
            picked = [v for v, g in zip(values, groups, strict=True) if group in ("all", g)]
            rows.append({name: group, "way": way, "queries": len(picked), **_mean(picked)})
    return rows


def _mean(values: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: sum(value[name] for value in values) / len(values) for name in values[0]}
