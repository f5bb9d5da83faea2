"""Measures of a ranking against known answers, all 0..1, higher is better.

Relevance is binary. Answers that are right too but not asked for (`also_relevant`), and those excluded, are taken out
of a ranking before it is measured: they neither count nor push others down.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

RECALL_DEPTHS: Final = (1, 5, 10)
NDCG_DEPTH: Final = 10


def measure(ranking: Sequence[str], relevant: Collection[str]) -> dict[str, float]:
    """Every measure of one ranking.

    Args:
        ranking: Answers, best first, each once, what does not count already taken out.
        relevant: The right answers, at least one.

    Example:
        >>> measure(["a", "b", "c"], {"b"})["R@5"], measure(["a", "b"], {"b"})["MRR"]
        (1.0, 0.5)
    """
    measures = {f"R@{depth}": recall(ranking, relevant, depth) for depth in RECALL_DEPTHS}
    measures[f"nDCG@{NDCG_DEPTH}"] = ndcg(ranking, relevant, NDCG_DEPTH)
    measures["MRR"] = reciprocal_rank(ranking, relevant)
    return measures


def recall(ranking: Sequence[str], relevant: Collection[str], depth: int) -> float:
    """Share of the right answers among the first `depth`; of at most `depth` right ones, so that 1 can be reached.

    The "capped recall" of BEIR (Thakur et al. 2021, arXiv:2104.08663).
    """
    return len(set(ranking[:depth]) & set(relevant)) / min(depth, len(set(relevant)))


def ndcg(ranking: Sequence[str], relevant: Collection[str], depth: int) -> float:
    """Discounted cumulative gain over the best possible one (Jarvelin and Kekalainen 2002, gains 0 and 1)."""
    wanted = set(relevant)
    gain = sum(_discount(i) for i, answer in enumerate(ranking[:depth]) if answer in wanted)
    return gain / sum(_discount(i) for i in range(min(depth, len(wanted))))


def reciprocal_rank(ranking: Sequence[str], relevant: Collection[str]) -> float:
    """One over the rank of the first right answer, 0 without one (Voorhees 1999, TREC-8 question answering)."""
    wanted = set(relevant)
    return next((1 / rank for rank, answer in enumerate(ranking, 1) if answer in wanted), 0.0)


def _discount(position: int) -> float:
    """Of a 0-based position: 1 for the first."""
    return 1 / math.log2(position + 2)
