"""From content to units with their lengths: how a source leaves decoding or recognition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from schemas.engine import Answer
from schemas.errors import NoContentError
from stages.embed.registry import make_encoder
from stages.messages import Milled
from stages.segment.options import SegmentOptions
from stages.segment.pages import with_hashes
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.config import Segmentation
    from schemas.content import Content
    from schemas.space import SpaceContract, TextEncoder
    from schemas.unit import Unit
    from stages.ranges import Piece

    Keep = Callable[[Mapping[str, np.ndarray]], int]  # pixels by their hash; gives bytes written

Arrays = tuple[np.ndarray, ...]


class Cutter:
    """Segments a content and measures its texts.

    Args:
        segmentation: How it is cut.
        text_space: Whose tokens are counted.
        keep: Called with the pixels of every source before it is answered; None to keep none.
    """

    def __init__(
        self, segmentation: Segmentation, text_space: SpaceContract, keep: Keep | None = None
    ) -> None:
        self._segmentation = segmentation
        self._text_space = text_space
        self._keep = keep

    def load(self) -> None:
        """Load the tokeniser; the weights stay where they are."""
        encoder: TextEncoder = make_encoder(self._text_space)  # type: ignore[assignment]  # a text space
        self._count_tokens = encoder.count_tokens
        self._options = SegmentOptions(self._segmentation, self._count_tokens)

    def cut(self, source_id: str, content: Content, arrays: Arrays) -> Answer:
        """Units of the content with their lengths, and only those arrays that units use.

        Raises:
            NoContentError: Not one unit came out.
            LakeError: Pixels are to be kept, and the lake does not take them.
        """
        units, used = _keep_used(self._units(source_id, content, arrays), arrays)
        return Answer(self._milled(source_id, content, units, self._kept_bytes(units, used)), used)

    def finish_piece(self, piece: Piece, arrays: Arrays) -> Piece:
        """A range of a long file in which nothing is left to be recognised, with hashes of its pictures.

        Raises:
            LakeError: Pixels are to be kept, and the lake does not take them.
        """
        content = with_hashes(piece.content, arrays)
        pictured = [(page.pixels_hash, page.pixels_array) for page in content.pages]
        pictured += [(region.pixels_hash, region.pixels_array) for region in content.regions]
        pixels = {name: arrays[index] for name, index in pictured if index is not None}
        kept_bytes = self._keep(pixels) if self._keep else 0
        return replace(piece, content=content, n_arrays=len(arrays), kept_bytes=kept_bytes)

    def cut_joined(self, source_id: str, content: Content, kept_bytes: int) -> Answer:
        """Units of a content whose pictures are elsewhere, with their hashes in it; units keep its indices.

        Args:
            source_id: Identity of the source.
            content: Of pieces that were finished.
            kept_bytes: What they kept.

        Raises:
            NoContentError: Not one unit came out.
        """
        units = self._units(source_id, content, ())
        return Answer(self._milled(source_id, content, units, kept_bytes))

    def _kept_bytes(self, units: Sequence[Unit], arrays: Arrays) -> int:
        """Keep the pixels of units, and give the bytes written."""
        if self._keep is None:
            return 0
        return self._keep(
            {u.pixels_hash: arrays[u.pixels_array] for u in units if u.pixels_array is not None}
        )

    def _units(self, source_id: str, content: Content, arrays: Arrays) -> list[Unit]:
        units = segment(source_id, content, arrays, self._options)
        if not units:
            notes = f" ({'; '.join(content.notes)})" if content.notes else ""
            raise NoContentError(
                f"decoded as {content.media_type}, but there is nothing in it to index{notes}"
            )
        return units

    def _milled(
        self, source_id: str, content: Content, units: Sequence[Unit], kept_bytes: int
    ) -> Milled:
        texts = [unit.embedded_text for unit in units]
        lengths = iter(self._count_tokens([text for text in texts if text]))
        tokens = tuple(next(lengths) if text else 0 for text in texts)
        return Milled(
            source_id,
            content.media_type,
            content.title,
            content.notes,
            content.rejects,
            tuple(units),
            tokens,
            kept_bytes,
        )


def _keep_used(units: Sequence[Unit], arrays: Arrays) -> tuple[list[Unit], Arrays]:
    wanted = sorted({u.pixels_array for u in units if u.pixels_array is not None})
    place = {old: new for new, old in enumerate(wanted)}
    kept = [
        u if u.pixels_array is None else replace(u, pixels_array=place[u.pixels_array])
        for u in units
    ]
    return kept, tuple(arrays[old] for old in wanted)
