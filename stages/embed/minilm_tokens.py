"""all-MiniLM-L6-v2 for late interaction: a vector for each token, batch-invariant on a CPU.

The states of the last layer, of length 1 each. The model was trained for the mean of them, not for one token to find
another, so this is the starter space of late interaction that runs without a download, not a good one of its kind.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.space import TokenVectors
from stages.embed import minilm
from stages.embed.fixed_shapes import passes, truncated, unit_rows
from stages.embed.minilm import MiniLMPasses, load_tokeniser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SpaceContract

TEXT_KIND: Final = 0


def contract(*, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    """The space of this model's tokens on this kind of CPU; loads nothing. See `stages.embed.minilm.contract`."""
    return replace(
        minilm.contract(threads=threads, dtype=dtype),
        name="minilm-tokens",
        encoder="minilm-tokens",
        pooling="none: words, without special tokens and punctuation",
        representation="tokens",
    )


class MiniLMTokens(MiniLMPasses):
    """Embeds texts to a vector for each token.

    Special tokens and those of punctuation alone are left out, as ColBERT does with passages (Khattab and Zaharia 2020,
    arXiv 2004.12832, section 3.2); a text of nothing else keeps all of its tokens.
    """

    def encode(self, inputs: Sequence[str]) -> list[TokenVectors]:
        """Embed documents: float32 [n, 384] each, of norm 1.

        Raises:
            MissingExtraError: The model's package is not installed.
            ContractError: The installed model is not the contract's.
        """
        return self._embed(self._token_ids(inputs, self.contract.document_prompt))

    def encode_queries(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed queries, in the same way."""
        return self._embed(self._token_ids(texts, self.contract.query_prompt))

    def _embed(self, token_ids: Sequence[Sequence[int]]) -> list[TokenVectors]:
        found: dict[int, TokenVectors] = {}
        for at in passes([len(ids) for ids in token_ids], self.contract):
            out = self._forward([token_ids[i] for i in at.members], at)
            states = out["token_embeddings"].cpu().numpy()
            for row, number in enumerate(at.members):
                ids = np.array(truncated(token_ids[number], at.length))
                found[number] = _words(ids, states[row, : len(ids)])
        return [found[number] for number in range(len(token_ids))]


def _words(ids: np.ndarray, states: np.ndarray) -> TokenVectors:
    """Those of int [n] and float32 [n, dim] that stand for words."""
    kept = ~_left_out()[ids]
    vectors = unit_rows(states[kept] if kept.any() else states)
    return TokenVectors(vectors, np.full(len(vectors), TEXT_KIND, dtype=np.int32))


@cache
def _left_out() -> np.ndarray:
    """Which tokens of the vocabulary are special or punctuation, bool [tokens]."""
    tokeniser = load_tokeniser()
    special = tokeniser.get_added_tokens_decoder()
    size = tokeniser.get_vocab_size()
    tokens = ((number, tokeniser.id_to_token(number) or "") for number in range(size))
    return np.array([number in special or _is_punctuation(token) for number, token in tokens])


def _is_punctuation(token: str) -> bool:
    """Whether every character is (general categories P and S of Unicode)."""
    return all(unicodedata.category(character)[0] in "PS" for character in token)
