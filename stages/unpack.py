"""What a lake keeps of sources, made ready: texts are measured, pixels are read, contents are cut anew."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure
from schemas.errors import GristmillError
from stages.cutter import Cutter
from stages.embed.registry import make_encoder
from stages.messages import RecutRequest, Unpacked, UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from schemas.config import Segmentation
    from schemas.content import Content
    from schemas.engine import Task
    from schemas.space import SpaceContract, TextEncoder

    ReadPixels = Callable[[int, Sequence[str]], tuple[np.ndarray, ...]]
    ReadContent = Callable[[str], Content]


class UnpackStage:
    """What decoding is to new sources, for known ones.

    Args:
        text_space: Whose tokens are counted.
        segmentation: How contents are cut.
        read_pixels: Gives pixels, uint8 [n, S, S, 3] each, by S and their hashes; raises IntegrityError for what is
            not kept.
        read_content: Gives a content by its key, or raises the same.
    """

    def __init__(
        self,
        text_space: SpaceContract,
        segmentation: Segmentation,
        read_pixels: ReadPixels,
        read_content: ReadContent,
    ) -> None:
        self._text_space = text_space
        self._segmentation = segmentation
        self._read_pixels = read_pixels
        self._read_content = read_content

    def setup(self) -> None:
        """Nothing: the tokeniser loads with the first text."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Unpacked` and the pixels, or with `Milled`, by task."""
        return [self._one(task.value) for task in tasks]

    def _one(self, request: UnpackRequest | RecutRequest) -> Answer | Failure:
        try:
            if isinstance(request, RecutRequest):
                content = self._read_content(request.key)
                return self._cutter.cut_joined(request.source_id, content, 0)
            return self._unpack(request)
        except GristmillError as error:
            return Failure.of(error)

    def _unpack(self, request: UnpackRequest) -> Answer:
        wanted = request.pixels
        pixels = self._read_pixels(request.frame_size, wanted) if wanted else ()
        tokens = self._encoder.count_tokens(list(request.texts)) if request.texts else []
        return Answer(Unpacked(tuple(tokens)), pixels)

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder: TextEncoder = make_encoder(self._text_space)  # type: ignore[assignment]  # a text space
        return encoder

    @cached_property
    def _cutter(self) -> Cutter:
        cutter = Cutter(self._segmentation, self._text_space)
        cutter.load()
        return cutter

    def teardown(self) -> None:
        """Nothing to give back."""
