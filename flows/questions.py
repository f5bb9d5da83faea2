"""The questions that every index of a space is asked: embedded once, while other work goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemas.space import Marked
from stages.index.late.search import packed
from stages.index.truth import ASKED, GENERAL, Queries
from stages.messages import EmbedRequest
from stages.route.background import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.pools import Pool
    from schemas.space import Embedding, Probe, SpaceContract


class Questions:
    """Those about anything, and those of the configuration.

    Args:
        pool: Embeds.
        asked: Of the configuration.
    """

    def __init__(self, pool: Pool, asked: Sequence[str]) -> None:
        self._pool = pool
        self._texts = (*BACKGROUND, *asked)
        self._kinds = (GENERAL,) * len(BACKGROUND) + (ASKED,) * len(asked)
        self._under_way: set[str] = set()
        self._done: dict[str, Queries] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return self._texts

    def start(self, space: SpaceContract) -> None:
        """Have them embedded into a space. Until they were taken by `of`, nothing else may be asked of any pool."""
        if space.key in self._done or space.key in self._under_way:
            return
        self._under_way.add(space.key)
        for number, text in enumerate(self._texts):
            request = EmbedRequest(space.key, text, query=True)
            key = f"question {number:06} in {space.key}"
            self._pool.submit(key, request, group=f"questions {space.key}")
        self._pool.flush()

    def probe(self, space: SpaceContract) -> Probe:
        """What the encoder makes of its self-check."""
        key = f"self-check of {space.key}"
        self._pool.submit(key, EmbedRequest(space.key, probe=True), group=key)
        self._pool.flush()
        ((_, found, _),) = self._pool.replies()
        made: Probe = found
        return made

    def of(self, space: SpaceContract) -> Queries:
        """As queries in a space; of one whose units have many vectors, see `stages.index.late.search.packed`."""
        self.start(space)
        if space.key in self._under_way:
            found = {key: embedding for key, embedding, _ in self._pool.replies()}
            vectors = _rows([found[key] for key in sorted(found)])
            self._done[space.key] = Queries(vectors, self._kinds, ("",) * len(self._texts))
            self._under_way.remove(space.key)
        return self._done[space.key]


def _rows(embeddings: Sequence[Embedding]) -> np.ndarray:
    """One row for each."""
    many = [found.values for found in embeddings if isinstance(found, Marked)]
    return packed(many) if many else np.stack([np.asarray(found) for found in embeddings])
