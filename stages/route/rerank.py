"""The best hits of a search, read again together with the question."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.search import SearchResult
    from schemas.space import Reranker


def reranked(query: str, result: SearchResult, reranker: Reranker, k: int) -> SearchResult:
    """The best `k` hits by a reranker. Hits without a text cannot be read: they stay where they were.

    Args:
        query: In words.
        result: More hits than wanted, best first.
        reranker: Scores texts for the question.
        k: Hits wanted.
    """
    places = [i for i, hit in enumerate(result.hits) if hit.text]
    scores = reranker.score(query, [result.hits[i].text for i in places])
    order = sorted(
        range(len(places)), key=lambda n: -float(scores[n])
    )  # stable: ties stay as they were
    hits = list(result.hits)
    for place, n in zip(places, order, strict=True):
        hits[place] = result.hits[places[n]]
    ranked = [replace(hit, rank=rank) for rank, hit in enumerate(hits[:k], start=1)]
    return replace(result, hits=tuple(ranked))
