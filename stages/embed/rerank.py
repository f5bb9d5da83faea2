"""Cross-encoders by sentence-transformers' CrossEncoder: they read a question and a text together.

Nogueira and Cho 2019, arXiv 1901.04085. Slower than any comparison of vectors, and better at the few best hits. A
snapshot knows nothing of them: they are chosen where questions are asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ConfigError
from schemas.space import bucket_of
from stages.embed.adapters import config_of, longest_text, modules_of
from stages.embed.fixed_shapes import buckets, valid_unicode
from stages.embed.forward import forward
from stages.embed.loading import load_reranker
from stages.embed.models import find_model, named
from stages.embed.token_rows import split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PASS_TOKENS: Final = 512
_HEADS: Final = ("ForSequenceClassification", "ForCausalLM", "ForConditionalGeneration")


@dataclass(frozen=True, slots=True)
class _Shapes:
    lengths: tuple[int, ...]
    batch_tokens: int = _PASS_TOKENS

    def bucket(self, n_tokens: int) -> int:
        return bucket_of(self.lengths, n_tokens)


class CrossReranker:
    """Scores texts for a question in passes of fixed shapes.

    Args:
        model: Name at Hugging Face, or a folder: an absolute path, or one that begins with ``.``.
        revision: Commit, tag or branch.
        max_tokens: Longest question and text together; longer texts are cut.
        threads: Compute threads.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ConfigError: It has no head that scores.
    """

    def __init__(
        self, model: str, *, revision: str = "", max_tokens: int = 512, threads: int = 1
    ) -> None:
        name, location = named(model)
        self._folder: Path = find_model(name, revision, location).folder
        config = config_of(self._folder)
        heads = [str(head) for head in config.architectures or ()]
        if not modules_of(self._folder) and not any(head.endswith(_HEADS) for head in heads):
            raise ConfigError(
                f"{model} is no reranker: {', '.join(heads) or 'its class'} scores no pairs of texts"
            )
        longest = longest_text(self._folder, config) or max_tokens
        self._shapes = _Shapes(buckets(min(max_tokens, longest)))
        self._threads = threads

    def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
        """How well each text answers, by the model's own scale: float32 [len(texts)].

        Raises:
            ContractError: The model cannot be loaded.
        """
        import torch

        scores = np.empty(len(texts), dtype=np.float32)
        if not texts:
            return scores
        cut = {
            "padding": True,
            "truncation": "longest_first",
            "max_length": self._shapes.lengths[-1],
        }
        pairs = [(valid_unicode(query), valid_unicode(text)) for text in texts]
        features = self._model.preprocess(pairs, processing_kwargs={"text": cut})
        rows = split_rows(features, self._model.tokenizer)
        for at in rows.passes(self._shapes):
            out = forward(self._model, rows.features(at), self._threads)["scores"]
            with torch.inference_mode():
                values = self._model.activation_fn(out[: len(at.members)].float())
            scores[at.members] = values.reshape(len(at.members)).cpu().numpy()
        return scores

    @cached_property
    def _model(self) -> Any:
        model = load_reranker(str(self._folder))
        if model.num_labels != 1:
            raise ConfigError(
                f"{self._folder} gives {model.num_labels} scores a pair, one is wanted"
            )
        return model
