"""Decoding as an executor sees it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.cutter import Cutter
from stages.decode._fence import fenced
from stages.decode._ffmpeg import program
from stages.decode.registry import decode
from stages.messages import Decoded, DecodeRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import SpaceContract
    from stages.decode.options import DecodeOptions


class DecodeStage:
    """File to units, or to content that must be recognised first. One file a call, each fenced in."""

    def __init__(self, options: DecodeOptions, text_space: SpaceContract) -> None:
        self._options = options
        self._cutter = Cutter(options.segmentation, text_space)
        self._program = ""

    def setup(self) -> None:
        """Load the tokeniser, and see which ffmpeg can be used."""
        self._cutter.load()
        self._program = program()

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Milled` or `Decoded`, by task."""
        return [self._one(task.value) for task in tasks]

    def _one(self, request: DecodeRequest) -> Answer | Failure:
        try:
            path = Path(request.local_path)
            work = partial(decode, path, request.hint, self._options)
            content, arrays = fenced(path, work, program=self._program)
            if content.needs_recognition:
                return Answer(Decoded(request.source_id, content), arrays)
            return self._cutter.cut(request.source_id, content, arrays)
        except GristmillError as error:
            return Failure.of(error)

    def teardown(self) -> None:
        """Nothing to give back."""
