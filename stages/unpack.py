"""Units that a lake has, made ready to be embedded: texts are measured, pixels read from where they are kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure
from schemas.errors import GristmillError
from stages.embed.registry import make_encoder
from stages.messages import Unpacked, UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from schemas.engine import Task
    from schemas.space import SpaceContract, TextEncoder

    Read = Callable[[int, Sequence[str]], tuple[np.ndarray, ...]]


class UnpackStage:
    """What decoding is to new sources, for known ones.

    Args:
        text_space: Whose tokens are counted.
        read: Gives pixels, uint8 [n, S, S, 3] each, by S and their hashes; raises IntegrityError for what is not kept.
    """

    def __init__(self, text_space: SpaceContract, read: Read) -> None:
        self._text_space = text_space
        self._read = read

    def setup(self) -> None:
        """Nothing: the tokeniser loads with the first text."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Unpacked` and the pixels, by task."""
        return [self._one(task.value) for task in tasks]

    def _one(self, request: UnpackRequest) -> Answer | Failure:
        try:
            pixels = self._read(request.frame_size, request.pixels) if request.pixels else ()
        except GristmillError as error:
            return Failure.of(error)
        tokens = self._encoder.count_tokens(list(request.texts)) if request.texts else []
        return Answer(Unpacked(tuple(tokens)), pixels)

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder: TextEncoder = make_encoder(self._text_space)  # type: ignore[assignment]  # a text space
        return encoder

    def teardown(self) -> None:
        """Nothing to give back."""
