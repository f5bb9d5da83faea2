"""Dual encoders that sentence-transformers does not know, by transformers: a tower for documents, a tower for texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.embed.fixed_shapes import space_rows, valid_unicode
from stages.embed.forward import computed, on_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from schemas.space import SpaceContract


@dataclass(frozen=True, slots=True)
class Prepared:
    """What prepares texts and pictures, in place of a model's own processor."""

    tokenizer: Any
    image_processor: Any


@dataclass(frozen=True, slots=True)
class Towers:
    """A model with ``get_..._features``, and what prepares its inputs."""

    model: Any
    processor: Any

    def rows(self, method: str, features: Mapping[str, Any], threads: int) -> torch.Tensor:
        """What a tower makes of a pass, [rows, dim], not of norm 1, where the model is."""
        tower = getattr(self.model, method)

        def pooled(placed: dict[str, Any]) -> dict[str, Any]:
            out = tower(**{name: self._typed(value) for name, value in placed.items()})
            # Some poolers keep the place of their one query, [rows, 1, dim].
            return {"pooled": out.pooler_output.flatten(1)}

        vectors: torch.Tensor = computed(pooled, features, self.model.device, threads)["pooled"]
        return vectors

    def _typed(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.model.dtype) if value.is_floating_point() else value


def questions(towers: Towers, texts: Sequence[str], contract: SpaceContract) -> np.ndarray:
    """Vectors of questions, one by one at their own length: float32 [len(texts), dim], each of norm 1."""
    vectors = np.empty((len(texts), contract.dim), dtype=np.float32)
    for i, text in enumerate(texts):
        features = towers.processor.tokenizer(
            [valid_unicode(contract.query_prompt + text)],
            truncation=True,
            max_length=contract.max_tokens,
            return_tensors="pt",
        )
        named = {name: features[name] for name in ("input_ids", "attention_mask")}
        rows = towers.rows("get_text_features", named, contract.threads)
        vectors[i] = space_rows(on_host(rows), contract)[0]
    return vectors
