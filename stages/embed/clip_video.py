"""Encoders of whole clips and questions in one space, by transformers.

X-CLIP (Ni et al. 2022, arXiv 2208.02816) and VideoPRISM's video-text models (Zhao et al. 2024, arXiv 2402.13217).
A clip is as many frames as the model has places for, taken evenly from those there are. Questions are not conditioned
on the clip, as X-CLIP does when it scores one pair: a vector that is stored cannot know its questions.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ConfigError
from stages.embed.adapters import Facts, config_of, longest_text, projection_of
from stages.embed.check import check_stacks
from stages.embed.fixed_shapes import filled, frame_passes, space_rows
from stages.embed.forward import all_on_host
from stages.embed.loading import load_towers
from stages.embed.towers import questions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.space import SpaceContract


# model_type -> what its class calls frames.
_FRAMES: Final = {"xclip": "pixel_values", "videoprism": "pixel_values_videos"}


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of such a model fix.

    Raises:
        ConfigError: It is of another kind.
    """
    config = config_of(folder, remote_code=remote_code)
    if config.model_type not in _FRAMES:
        raise ConfigError(
            f"{folder} is of the kind {config.model_type!r}; the adapter clip takes {', '.join(_FRAMES)}"
        )
    return Facts(
        dim=projection_of(config),
        pooling=f"{config.vision_config.num_frames} frames, evenly",
        max_tokens=longest_text(folder, config),
    )


def evenly(stack: np.ndarray, count: int) -> np.ndarray:
    """So many frames of a stack, each from the middle of its share; some twice where there are fewer.

    >>> evenly(np.arange(8), 4).tolist()
    [1, 3, 5, 7]
    """
    places = ((np.arange(count) + 0.5) * len(stack) / count).astype(np.int64)
    return stack[places]


class ClipEncoder:
    """Embeds clips in passes of a fixed number of clips, questions one by one.

    Attributes:
        contract: Of this space.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    def encode(self, stacks: Sequence[np.ndarray]) -> np.ndarray:
        """Embed clips.

        Args:
            stacks: uint8 [n_frames, frame_size, frame_size, 3] each (RGB); n_frames may differ, at least 1.

        Returns:
            float32 [len(stacks), dim], each of norm 1.

        Raises:
            ContractError: A stack has another shape or type, or the model cannot be loaded.
        """
        check_stacks(stacks, self.contract)
        if not stacks:
            return np.empty((0, self.contract.dim), dtype=np.float32)
        clips_of_a_pass = max(1, self.contract.batch_frames // self._frames)
        parts = []  # on a GPU, which is waited for when all passes are on their way
        for at in frame_passes(len(stacks), clips_of_a_pass):
            batch = [self._pixels(stack) for stack in stacks[at]]
            features = {self._name: _stacked(filled(batch, clips_of_a_pass))}
            rows = self._towers.rows("get_video_features", features, self.contract.threads)
            parts.append(rows[: len(batch)])
        return space_rows(all_on_host(parts), self.contract)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions into this space, float32 [len(texts), dim], each of norm 1."""
        return questions(self._towers, texts, self.contract)

    def _pixels(self, stack: np.ndarray) -> Any:
        """As the model's processor prepares them: float32 [frames, 3, its side, its side]."""
        frames = list(evenly(stack, self._frames))
        prepared = self._towers.processor.image_processor(frames, return_tensors="pt")
        return prepared["pixel_values"].reshape(self._frames, *prepared["pixel_values"].shape[-3:])

    @property
    def _name(self) -> str:
        return _FRAMES[self._towers.model.config.model_type]

    @property
    def _frames(self) -> int:
        return int(self._towers.model.config.vision_config.num_frames)

    @cached_property
    def _towers(self) -> Any:
        return load_towers(self.contract)


def _stacked(clips: Sequence[Any]) -> Any:
    import torch

    return torch.stack(list(clips))
