"""Dense text encoders by sentence-transformers: BERT-like ones and decoders, with prompts and Matryoshka truncation.

https://sbert.net/docs/sentence_transformer/pretrained_models.html. Omni models embed their texts by this too. A bare
transformer is pooled as the configuration says; else pooling and dense layers are the model's own. The vectors are of
norm 1, whether the model has a Normalize module or not.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.embed.adapters import (
    Facts,
    config_of,
    longest_text,
    modules_of,
    pooling_of,
    prompts_of,
    width_of,
)
from stages.embed.fixed_shapes import space_rows, valid_unicode
from stages.embed.forward import forward, on_host, sentences
from stages.embed.loading import load_model, load_tokeniser
from stages.embed.token_rows import one_row, token_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from schemas.space import SpaceContract


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of a text encoder fix."""
    modules = modules_of(folder)
    config = config_of(folder, remote_code=remote_code)
    hidden = getattr(config, "hidden_size", None) or config.get_text_config().hidden_size
    query, document = prompts_of(folder)
    return Facts(
        dim=width_of(modules) or hidden,
        pooling=pooling_of(modules),
        max_tokens=longest_text(folder, config),
        query_prompt=query,
        document_prompt=document,
    )


class DenseText:
    """Embeds texts in passes of fixed shapes, questions one by one at their own length.

    Attributes:
        contract: Of this space.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it would be embedded, special tokens and prompt included, before truncation."""
        prompt = self.contract.document_prompt
        tokeniser = load_tokeniser(self.contract)
        return [len(tokeniser(valid_unicode(prompt + text))["input_ids"]) for text in texts]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Embed documents, float32 [len(texts), dim], each of norm 1.

        Raises:
            ContractError: The model cannot be loaded, or its vectors are of another length than the contract's.
        """
        vectors = np.empty((len(texts), self.contract.dim), dtype=np.float32)
        if not texts:
            return vectors
        rows = token_rows(self._model, texts, self.contract, "document")
        under_way = []  # on a GPU, which is waited for when all passes are on their way
        for at in rows.passes(self.contract):
            found = self._pass(rows.features(at), len(at.members), "document")
            under_way.append((at.members, found))
        for members, found in under_way:
            vectors[members] = space_rows(on_host(found), self.contract)
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions, float32 [len(texts), dim], each of norm 1."""
        vectors = np.empty((len(texts), self.contract.dim), dtype=np.float32)
        for i, text in enumerate(texts):
            rows = token_rows(self._model, [text], self.contract, "query")
            at = one_row(0, self.contract.bucket(len(rows.ids[0])))
            found = self._pass(rows.features(at), 1, "query")
            vectors[i] = space_rows(on_host(found), self.contract)[0]
        return vectors

    def _pass(self, features: dict[str, Any], count: int, task: str) -> torch.Tensor:
        return sentences(forward(self._model, features, self.contract.threads, task), count)

    @cached_property
    def _model(self) -> Any:
        bare = not modules_of(Path(self.contract.location))
        pooling = self.contract.pooling if bare else ""
        return load_model("SentenceTransformer", self.contract, pooling=pooling)
