"""Learned sparse encoders by sentence-transformers' SparseEncoder: weights of the terms of a vocabulary.

SPLADE (Formal et al. 2021, arXiv 2107.05720) and models without a network for questions (their Router modules).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.errors import ConfigError
from schemas.space import SparseVector
from stages.embed.adapters import Facts, config_of, longest_text, modules_of, prompts_of
from stages.embed.forward import forward, on_host, sentences
from stages.embed.loading import load_model
from stages.embed.token_rows import one_row, token_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.space import SpaceContract


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of a sparse encoder fix.

    Raises:
        ConfigError: It has no head that gives weights to terms.
    """
    config = config_of(folder, remote_code=remote_code)
    heads = config.architectures or ()
    if not modules_of(folder) and not any(str(name).endswith("ForMaskedLM") for name in heads):
        raise ConfigError(
            f"{folder} is no sparse encoder: {', '.join(heads)} gives terms no weights"
        )
    query, document = prompts_of(folder)
    return Facts(
        dim=int(config.vocab_size),
        pooling="terms",
        max_tokens=longest_text(folder, config),
        query_prompt=query,
        document_prompt=document,
    )


class SparseText:
    """Embeds texts to weights of terms, in passes of fixed shapes.

    Attributes:
        contract: Of this space.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed documents; the terms' ids are those of the model's vocabulary.

        Raises:
            ContractError: The model cannot be loaded.
        """
        if not texts:
            return []
        rows = token_rows(self._model, texts, self.contract, "document")
        found: dict[int, SparseVector] = {}
        for at in rows.passes(self.contract):
            vectors = self._pass(rows.features(at), len(at.members), "document")
            found.update(zip(at.members, vectors, strict=True))
        return [found[i] for i in range(len(texts))]

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Embed questions one by one."""
        found = []
        for text in texts:
            rows = token_rows(self._model, [text], self.contract, "query")
            at = one_row(0, self.contract.bucket(len(rows.ids[0])))
            found += self._pass(rows.features(at), 1, "query")
        return found

    def _pass(self, features: dict[str, Any], count: int, task: str) -> list[SparseVector]:
        out = forward(self._model, features, self.contract.threads, task)
        return [_terms(row) for row in on_host(sentences(out, count))]

    @cached_property
    def _model(self) -> Any:
        return load_model("SparseEncoder", self.contract)


def _terms(row: np.ndarray) -> SparseVector:
    terms = np.flatnonzero(row > 0)
    return SparseVector(terms.astype(np.int32), row[terms].astype(np.float32))
