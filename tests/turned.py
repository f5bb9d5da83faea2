"""Small text spaces made of MiniLM: some of what it says, the same turned into more dims, and one that says nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from schemas.ids import digest
from stages.embed import minilm
from stages.embed.registry import SpaceRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SpaceContract

SMALL, TURNED, STRANGE = "small", "turned", "strange"
DIMS = {SMALL: 48, TURNED: 64, STRANGE: 48}


def contract_of(name: str, *, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    plain = minilm.contract(threads=threads, dtype=dtype)
    return replace(plain, name=name, encoder=name, dim=DIMS[name])


def orthonormal(rows: int, columns: int) -> np.ndarray:
    found, _ = np.linalg.qr(np.random.default_rng(4).standard_normal((rows, columns)))
    return found


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Small:
    """MiniLM seen from 48 directions."""

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract
        self._model = minilm.MiniLM(minilm.contract(threads=contract.threads, dtype=contract.dtype))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._model.count_tokens(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return unit(self._model.encode(texts) @ orthonormal(minilm.DIM, DIMS[SMALL]))

    encode_queries = encode


class Turned(Small):
    """The same, turned into 64 dims."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return unit(super().encode(texts) @ orthonormal(DIMS[TURNED], DIMS[SMALL]).T)

    encode_queries = encode


class Strange(Small):
    """Vectors that have nothing to do with what a text says."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int(digest("strange", text)[:8], 16) for text in texts]
        rows = [np.random.default_rng(s).standard_normal(DIMS[STRANGE]) for s in seeds]
        return unit(np.stack(rows))

    encode_queries = encode


ROWS = {
    name: SpaceRow(partial(contract_of, name), f"tests.turned:{name.capitalize()}") for name in DIMS
}
