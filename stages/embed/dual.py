"""Encoders of pictures and questions in one space, by sentence-transformers.

Dual encoders (CLIP, Radford et al. 2021; SigLIP 2, Tschannen et al. 2025; MetaCLIP 2, Chuang et al. 2025) and omni
models (one network for both), whose texts `dense_text` embeds into the same vectors. Several frames are one
vector by their mean, as in CLIP4Clip's parameter-free variant (Luo et al. 2021, arXiv 2104.08860).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stages.embed.adapters import (
    Facts,
    config_of,
    longest_text,
    modules_of,
    projection_of,
    prompts_of,
    width_of,
)
from stages.embed.check import check_stacks
from stages.embed.fixed_shapes import (
    filled,
    frame_passes,
    means_of,
    space_rows,
    unit_rows,
    valid_unicode,
)
from stages.embed.forward import all_on_host, forward, on_host, sentences
from stages.embed.loading import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.space import SpaceContract

# These were trained on texts of exactly so many tokens, and give other vectors for shorter ones:
# https://huggingface.co/docs/transformers/model_doc/siglip2
_TEXT_LENGTH: Final = {"siglip": 64, "siglip2": 64}


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of a dual encoder fix."""
    config = config_of(folder, remote_code=remote_code)
    query, _ = prompts_of(folder)
    return Facts(
        dim=width_of(modules_of(folder)) or projection_of(config),
        pooling="mean over frames",
        max_tokens=longest_text(folder, config),
        query_prompt=query,
    )


class DualEncoder:
    """Embeds stacks of frames in passes of a fixed number of frames, questions one by one.

    Attributes:
        contract: Of this space.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode(self, stacks: Sequence[np.ndarray]) -> np.ndarray:
        """Embed stacks of frames.

        Args:
            stacks: uint8 [n_frames, frame_size, frame_size, 3] each (RGB); n_frames may differ, at least 1.

        Returns:
            float32 [len(stacks), dim], each of norm 1: the mean of the frames' vectors of norm 1.

        Raises:
            ContractError: A stack has another shape or type, or the model is not what the contract says.
        """
        check_stacks(stacks, self.contract)
        if not stacks:
            return np.empty((0, self.contract.dim), dtype=np.float32)
        frames = unit_rows(self._frames([frame for stack in stacks for frame in stack]))
        return space_rows(means_of(frames, [len(stack) for stack in stacks]), self.contract)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions into this space, float32 [len(texts), dim], each of norm 1."""
        vectors = np.empty((len(texts), self.contract.dim), dtype=np.float32)
        for i, text in enumerate(texts):
            features = self._model.preprocess(
                [valid_unicode(text)],
                prompt=self.contract.query_prompt or None,
                task="query",
                processing_kwargs={"text": self._text_shape},
            )
            out = forward(self._model, features, self.contract.threads, "query")
            vectors[i] = space_rows(on_host(sentences(out, 1)), self.contract)[0]
        return vectors

    def _frames(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors of frames as the model gives them, float32 [len(frames), its dim]."""
        from PIL import Image

        parts = []  # on a GPU, which is waited for when all passes are on their way
        for at in frame_passes(len(frames), self.contract.batch_frames):
            batch = [Image.fromarray(frame) for frame in frames[at]]
            features = self._model.preprocess(
                filled(batch, self.contract.batch_frames), task="document"
            )
            out = forward(self._model, features, self.contract.threads, "document")
            parts.append(sentences(out, len(batch)))
        return all_on_host(parts)

    @cached_property
    def _text_shape(self) -> dict[str, Any]:
        length = _TEXT_LENGTH.get(self._model.config.model_type)
        padding = {"padding": "max_length"} if length else {"padding": True}
        return {**padding, "truncation": True, "max_length": length or self.contract.max_tokens}

    @cached_property
    def _model(self) -> Any:
        return load_model("SentenceTransformer", self.contract)
