"""Which partitions a question is for, without training: described routes, cues in its words, and evidence."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from schemas.search import Route
from stages.route.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from schemas.space import TextEncoder

MAX_ROUTES: Final = 4
MIN_WEIGHT: Final = 0.08
# How much a unit of each signal counts; evidence is in standard deviations, the cosine of a description spans about
# 0 to 0.6, a cue is there or not.
_EVIDENCE: Final = 0.8
_DESCRIPTION: Final = 3.0
_CUE: Final = 2.0


class Router:
    """Weighs the partitions of one snapshot.

    Args:
        partitions: Those the snapshot has.
        encoder: The text encoder that described routes and questions are embedded with.
    """

    def __init__(self, partitions: Sequence[str], encoder: TextEncoder) -> None:
        self._partitions = tuple(partitions)
        sentences = [s for p in self._partitions for s in ROUTES[p].sentences]
        vectors = encoder.encode_queries(sentences)
        self._descriptions: dict[str, np.ndarray] = {}
        start = 0
        for partition in self._partitions:
            count = len(ROUTES[partition].sentences)
            self._descriptions[partition] = vectors[start : start + count]
            start += count

    def route(self, query: str, vector: np.ndarray, evidence: Mapping[str, float]) -> list[Route]:
        """Routes of a question, best first, weights summing to 1.

        Args:
            query: Its words.
            vector: float32 [dim], as embedded for text.
            evidence: By partition, how far its best hit stands above its background.
        """
        raised = {
            partition: math.exp(
                _EVIDENCE * evidence[partition]
                + _DESCRIPTION * float((self._descriptions[partition] @ vector).max())
                + _CUE * _has_cue(query, partition)
            )
            for partition in self._partitions
            if partition in evidence
        }
        total = sum(raised.values())
        ranked = sorted(raised.items(), key=lambda item: (-item[1], item[0]))[:MAX_ROUTES]
        kept = [(p, w) for p, w in ranked if w / total >= MIN_WEIGHT] or ranked[:1]
        kept_total = sum(w for _, w in kept)
        return [Route(partition, weight / kept_total) for partition, weight in kept]


def _has_cue(query: str, partition: str) -> bool:
    words = query.lower()
    return any(re.search(rf"\b{re.escape(cue)}\b", words) for cue in ROUTES[partition].cues)
