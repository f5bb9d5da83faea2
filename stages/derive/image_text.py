"""Descriptions of pictures by a model that sees them: any ``AutoModelForImageTextToText`` of transformers.

One fixed prompt and one picture of a fixed size, so that all inputs have one length and nothing is padded. Of a clip
the frame in the middle is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schemas.derived import GeneratorContract
from stages.derive.cleaning import clean
from stages.derive.models import check_pinned, generate, load, passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.config import Derivation
    from schemas.derived import Subject

_PARTITIONS: Final = ("image/image", "page/region", "video/clip", "video/video")
_PROMPT: Final = "Describe this picture in one or two short sentences. Name what is in it."
_FRAME_SIZE: Final = (
    224  # of the pictures that the lake keeps; the processor scales them as its model needs
)


def contract(name: str, settings: Derivation, frame_size: int) -> GeneratorContract:
    """The contract of a configured one; loads nothing.

    Raises:
        ConfigError: The model is not pinned.
    """
    check_pinned(name, settings)
    return GeneratorContract(
        name=name,
        adapter="image-text-to-text",
        kind=settings.kind or "description",
        partitions=tuple(sorted(settings.partitions or _PARTITIONS)),
        reads="pixels",
        revision=settings.revision,
        model=settings.model,
        prompt=settings.prompt or _PROMPT,
        dtype=settings.dtype,
        max_new_tokens=settings.max_new_tokens,
        frame_size=frame_size,
        licence=settings.licence,
    )


class Captioner:
    """Looks at pictures and says what it sees."""

    def __init__(self, contract: GeneratorContract) -> None:
        self.contract = contract

    def load(self) -> None:
        """Load processor and weights."""
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._model, self._processor = load(
            self.contract, AutoModelForImageTextToText, AutoProcessor
        )
        self._prompt = _prompt(self._processor, self.contract.prompt)

    def derive(self, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
        """One description of each picture, none where the model says nothing that stands the cleaning."""
        shown = [(i, s.pixels) for i, s in enumerate(subjects) if s.pixels is not None]
        said: list[tuple[str, ...]] = [()] * len(subjects)
        for picked in passes(len(shown)):
            texts = self._look([_middle(shown[i][1]) for i in picked])
            for i, text in zip(picked, texts, strict=True):
                said[shown[i][0]] = tuple(filter(None, [clean(text)]))
        return said

    def _look(self, pictures: list[Any]) -> list[str]:
        inputs = self._processor(
            images=[[picture] for picture in pictures],
            text=[self._prompt] * len(pictures),
            return_tensors="pt",
        )
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        ids = generate(self._model, inputs, max_new_tokens=self.contract.max_new_tokens)
        texts: list[str] = self._processor.batch_decode(ids, skip_special_tokens=True)
        return texts


def _prompt(processor: Any, prompt: str) -> str:
    """The prompt as the model was trained to read it, with the place of the picture."""
    if getattr(processor, "chat_template", None):
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        chat: str = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        return chat
    mark = getattr(processor, "image_token", "")
    return f"{mark}\n{prompt}" if mark else prompt


def _middle(frames: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(frames[len(frames) // 2])
