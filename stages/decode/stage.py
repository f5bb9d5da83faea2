"""Decoding as an executor sees it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.cutter import Cutter
from stages.decode._fence import fenced
from stages.decode._ffmpeg import program
from stages.decode.registry import decode
from stages.messages import Decoded, DecodeRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from schemas.source import SourceFile
    from schemas.space import SpaceContract
    from stages.decode.options import DecodeOptions


class DecodeStage:
    """File to units, or to content that must be recognised first. One file a call, each fenced in.

    Args:
        options: Limits and what to prepare.
        text_space: Whose tokens are counted.
        open_file: Gives a file to decode, with the bytes that were hashed and none other (see SourceStore.open).
    """

    def __init__(
        self,
        options: DecodeOptions,
        text_space: SpaceContract,
        open_file: Callable[[SourceFile], AbstractContextManager[Path]],
    ) -> None:
        self._options = options
        self._open_file = open_file
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
            file = request.file
            with self._open_file(file) as path:
                work = partial(decode, path, file.hint, self._options)
                content, arrays = fenced(path, work, program=self._program)
            if content.needs_recognition:
                return Answer(Decoded(file.source_id, content), arrays)
            return self._cutter.cut(file.source_id, content, arrays)
        except GristmillError as error:
            return Failure.of(error)

    def teardown(self) -> None:
        """Nothing to give back."""
