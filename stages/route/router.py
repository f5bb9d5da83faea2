"""Which partitions a question is for, without training: what they are about, what is said of them, what it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.search import Route
from stages.route.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.space import TextEncoder
    from stages.route.calibrate import Scale

# A standard deviation of topic, a unit of cosine to a description, and a word that names the kind of thing, in logits.
# Measured on questions with and without such words: docs/routing.md.
_TOPIC: Final = 1.0
_DESCRIPTION: Final = 1.0
_NAMED: Final = 3.0
MIN_SHARE: Final = 0.02  # of the best route's weight: others are not asked


class Router:
    """Weighs the partitions of one snapshot.

    Args:
        prototypes: By partition, what stands for it in each of its spaces (key of the space, float32 [n, dim]).
        scales: By space.
        encoder: The text encoder that described routes and questions are embedded with.
    """

    def __init__(
        self,
        prototypes: Mapping[str, Sequence[tuple[str, np.ndarray]]],
        scales: Mapping[str, Scale],
        encoder: TextEncoder,
    ) -> None:
        self.partitions = tuple(sorted(prototypes))
        self._prototypes = prototypes
        self._scales = scales
        sentences = [s for p in self.partitions for s in ROUTES[p].sentences]
        owners = [p for p in self.partitions for _ in ROUTES[p].sentences]
        vectors = encoder.encode_queries(sentences)
        self._descriptions = {
            p: vectors[[i for i, owner in enumerate(owners) if owner == p]] for p in self.partitions
        }
        self._names = {
            p: re.compile(rf"\b({'|'.join(map(re.escape, ROUTES[p].names))})\b", re.IGNORECASE)
            for p in self.partitions
        }

    def route(
        self, query: str, text_vector: np.ndarray, vectors: Mapping[str, np.ndarray]
    ) -> list[Route]:
        """Routes of a question, best first, weights summing to 1.

        Args:
            query: Its words.
            text_vector: float32 [dim], as embedded for described routes.
            vectors: By space, float32 [dim], as embedded for that space; [n, dim] where a question has many vectors.
        """
        described = np.array(
            [float((self._descriptions[p] @ text_vector).max()) for p in self.partitions]
        )
        topic = np.array([self._topic(p, vectors) for p in self.partitions])
        named = np.array([bool(self._names[p].search(query)) for p in self.partitions])
        logits = _TOPIC * topic + _DESCRIPTION * described + _NAMED * named
        weights = np.exp(logits - logits.max())
        weights[weights < MIN_SHARE] = 0
        shares = (weights / weights.sum()).tolist()
        routes = [Route(p, w) for p, w in zip(self.partitions, shares, strict=True) if w]
        return sorted(routes, key=lambda route: (-route.weight, route.partition))

    def _topic(self, partition: str, vectors: Mapping[str, np.ndarray]) -> float:
        """How far the nearest prototype stands above the background of its space, in the best of its spaces."""
        return max(
            float(self._scales[space].standing(_nearness(rows, vectors[space])))
            for space, rows in self._prototypes[partition]
        )


def _nearness(prototypes: np.ndarray, question: np.ndarray) -> np.ndarray:
    """The best cosine to prototypes float32 [n, dim]; of a question with many vectors the mean over these."""
    best: np.ndarray = (prototypes @ np.atleast_2d(question).T).max(axis=0, initial=-1.0)
    return np.asarray(best.mean())
