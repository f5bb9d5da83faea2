"""Decoding as an executor sees it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.cutter import NOTHING, Cutter, Keep
from stages.decode._fence import fenced
from stages.decode._ffmpeg import program
from stages.decode.registry import decode_as, decode_sounds, decode_span, find_spans, join_pieces
from stages.messages import (
    Decoded,
    DecodedPiece,
    DecodeRequest,
    JoinRequest,
    LongFile,
    SoundRequest,
    Sounds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from schemas.source import SourceFile
    from schemas.space import SpaceContract
    from stages.decode.options import DecodeOptions
    from stages.ranges import Span


class DecodeStage:
    """File to units, or to content that must be recognised first. One file or range of one a call, each fenced in.

    Args:
        options: Limits and what to prepare.
        text_space: Whose tokens are counted.
        open_file: Gives a file to decode, with the bytes that were hashed and none other (see SourceStore.open).
        keep: See `Cutter`.
    """

    def __init__(
        self,
        options: DecodeOptions,
        text_space: SpaceContract,
        open_file: Callable[[SourceFile], AbstractContextManager[Path]],
        keep: Keep = NOTHING,
    ) -> None:
        self._options = options
        self._open_file = open_file
        self._keep = keep
        self._cutter = Cutter(options.segmentation, text_space, keep)
        self._program = ""

    def setup(self) -> None:
        """Load the tokeniser, and see which ffmpeg can be used."""
        self._cutter.load()
        self._program = program()

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Milled`, `Decoded`, `LongFile`, `DecodedPiece` or `Sounds`, by task."""
        return [self._one(task.value) for task in tasks]

    def _one(self, request: DecodeRequest | JoinRequest | SoundRequest) -> Answer | Failure:
        try:
            if isinstance(request, JoinRequest):
                return self._join(request)
            if isinstance(request, SoundRequest):
                return self._sounds(request)
            file = request.file
            with self._open_file(file) as path:
                work = partial(self._read, path, file, request.span)
                read = fenced(path, work, program=self._program)
            return self._finished(read)
        except GristmillError as error:
            return Failure.of(error)

    def _read(self, path: Path, file: SourceFile, span: Span | None) -> Answer:
        """Decode a file or a range of it; what is done within the fence."""
        if span is not None:
            piece, arrays = decode_span(path, file.hint, self._options, span)
            return Answer(DecodedPiece(file.source_id, piece), arrays)
        media_type, spans = find_spans(path, file.hint, self._options)
        if spans:
            return Answer(LongFile(file.source_id, media_type, spans))
        content, arrays = decode_as(path, media_type, self._options)
        return Answer(Decoded(file.source_id, content), arrays)

    def _finished(self, read: Answer) -> Answer:
        """What needs no recognition is done with here."""
        value, arrays = read.value, read.arrays
        if isinstance(value, Decoded) and not value.content.needs_recognition:
            return self._cutter.cut(value.source_id, value.content, arrays)
        if isinstance(value, DecodedPiece) and not value.piece.content.needs_recognition:
            return Answer(
                replace(value, piece=self._cutter.finish_piece(value.piece, arrays)), arrays
            )
        return read

    def _sounds(self, request: SoundRequest) -> Answer:
        file = request.file
        with self._open_file(file) as path:
            work = partial(
                decode_sounds, path, file.hint, self._options, request.begin_s, request.spans
            )
            found = fenced(path, work, program=self._program)
        heard = {n: s for n, s in zip(request.units, found, strict=True) if len(s)}
        kept_bytes = self._keep.pixels(heard) if self._keep.pixels and heard else 0
        return Answer(Sounds(kept_bytes), found)

    def _join(self, request: JoinRequest) -> Answer:
        file = request.file
        content = join_pieces(Path(file.path), request.media_type, request.pieces)
        content = replace(content, rejects=(*content.rejects, *request.lost))
        kept_bytes = sum(piece.kept_bytes for piece in request.pieces)
        return self._cutter.cut_joined(file.source_id, content, kept_bytes)

    def teardown(self) -> None:
        """Nothing to give back."""
