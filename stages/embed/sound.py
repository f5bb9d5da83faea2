"""Encoders of sounds and questions in one space: CLAP (Wu et al. 2023, arXiv 2211.06687), by transformers.

A sound longer than the model's window (10 s) is cut into windows, whose vectors are averaged. CLAP's own way, a crop at
random, would give another vector each time.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import ContractError
from stages.embed.adapters import Facts, config_of, longest_text, projection_of
from stages.embed.fixed_shapes import filled, frame_passes, means_of, space_rows, unit_rows
from stages.embed.forward import all_on_host
from stages.embed.loading import load_towers
from stages.embed.models import read_json
from stages.embed.towers import questions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SpaceContract

_SAMPLE_RATE: Final = 48_000  # of the feature extractor, where its file does not say


def facts(folder: Path, remote_code: bool) -> Facts:
    """What the files of a CLAP model fix."""
    config = config_of(folder, remote_code=remote_code)
    return Facts(
        dim=projection_of(config),
        pooling="mean over windows",
        max_tokens=longest_text(folder, config),
    )


class SoundEncoder:
    """Embeds sounds in passes of a fixed number of windows, questions one by one.

    Attributes:
        contract: Of this space; `batch_frames` is the number of windows of a pass.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract

    @cached_property
    def sample_rate(self) -> int:
        """Samples a second that it takes."""
        folder = Path(self.contract.location)
        processor = read_json(folder / "processor_config.json").get("feature_extractor", {})
        settings = {**read_json(folder / "preprocessor_config.json"), **processor}
        return int(settings.get("sampling_rate", _SAMPLE_RATE))

    def encode(self, sounds: Sequence[np.ndarray]) -> np.ndarray:
        """Embed sounds.

        Args:
            sounds: float32 [n_samples] each, mono at `sample_rate` Hz in -1..1; n_samples may differ, at least 1.

        Returns:
            float32 [len(sounds), dim], each of norm 1.

        Raises:
            ContractError: A sound has another shape or type, or the model cannot be loaded.
        """
        for i, sound in enumerate(sounds):
            if sound.ndim != 1 or sound.dtype != np.float32 or not len(sound):
                raise ContractError(
                    f"sound {i} is {sound.dtype} {sound.shape}, {self.contract.name} takes float32 [n >= 1]"
                )
        if not sounds:
            return np.empty((0, self.contract.dim), dtype=np.float32)
        cut = [self._windows(sound) for sound in sounds]
        vectors = unit_rows(self._embed([window for windows in cut for window in windows]))
        return space_rows(means_of(vectors, [len(windows) for windows in cut]), self.contract)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions into this space, float32 [len(texts), dim], each of norm 1."""
        return questions(self._towers, texts, self.contract)

    def _windows(self, sound: np.ndarray) -> list[np.ndarray]:
        length = self._towers.processor.feature_extractor.nb_max_samples
        return [sound[start : start + length] for start in range(0, len(sound), length)]

    def _embed(self, windows: Sequence[np.ndarray]) -> np.ndarray:
        import torch

        extractor = self._towers.processor.feature_extractor
        parts = []  # on a GPU, which is waited for when all passes are on their way
        for at in frame_passes(len(windows), self.contract.batch_frames):
            batch = windows[at]
            features = extractor(
                filled(batch, self.contract.batch_frames),
                sampling_rate=self.sample_rate,
                return_tensors="pt",
            )
            # The extractor draws one at random to be longer than a window; none is.
            longer = torch.zeros((self.contract.batch_frames, 1), dtype=torch.bool)
            rows = self._towers.rows(
                "get_audio_features",
                {"input_features": features["input_features"], "is_longer": longer},
                self.contract.threads,
            )
            parts.append(rows[: len(batch)])
        return all_on_host(parts)

    @cached_property
    def _towers(self) -> Any:
        return load_towers(self.contract)
