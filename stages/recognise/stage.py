"""Recognition as an executor sees it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.cutter import NOTHING, Cutter, Keep
from stages.messages import DecodedPiece
from stages.recognise.registry import Recogniser

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.config import Segmentation
    from schemas.space import SpaceContract
    from stages.messages import Decoded
    from stages.recognise.options import RecogniseOptions


class RecogniseStage:
    """Content with pictures of text and sound to units."""

    def __init__(
        self,
        options: RecogniseOptions,
        segmentation: Segmentation,
        text_space: SpaceContract,
        keep: Keep = NOTHING,
    ) -> None:
        self._options = options
        self._cutter = Cutter(segmentation, text_space, keep)

    def setup(self) -> None:
        """Load the tokeniser; recognisers load when the first source needs them."""
        self._recogniser = Recogniser(self._options)
        self._cutter.load()

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Milled`, or with `DecodedPiece` to one, by task."""
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Answer | Failure:
        decoded: Decoded | DecodedPiece = task.value
        try:
            if isinstance(decoded, DecodedPiece):
                return self._piece(decoded, task.arrays)
            content, arrays = self._recogniser.recognise(decoded.content, task.arrays)
            return self._cutter.cut(decoded.source_id, content, arrays)
        except GristmillError as error:
            return Failure.of(error)

    def _piece(self, decoded: DecodedPiece, arrays: tuple[np.ndarray, ...]) -> Answer:
        content, arrays = self._recogniser.recognise(decoded.piece.content, arrays)
        piece = self._cutter.finish_piece(replace(decoded.piece, content=content), arrays)
        return Answer(DecodedPiece(decoded.source_id, piece), arrays)

    def teardown(self) -> None:
        """Nothing to give back."""
