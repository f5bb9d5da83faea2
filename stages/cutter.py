"""From content to units with their lengths: how a source leaves decoding or recognition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.engine import Answer
from schemas.errors import NoContentError
from stages.embed.registry import make_encoder
from stages.messages import Milled
from stages.segment.hashes import with_hashes
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.config import Segmentation
    from schemas.content import Content
    from schemas.space import SpaceContract, TextEncoder
    from schemas.unit import Unit
    from stages.ranges import Piece

    KeepPixels = Callable[[Mapping[str, np.ndarray]], int]  # by their hash; gives bytes written
    KeepContent = Callable[[str, Content], int]  # of a source_id; gives bytes written

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept of every source before it is answered; None for nothing. Picklable.

    Attributes:
        pixels: Takes the pixels that encoders are given.
        content: Takes what is cut into units, with the hashes of its pictures.
    """

    pixels: KeepPixels | None = None
    content: KeepContent | None = None


NOTHING: Final = Keep()


class Cutter:
    """Segments a content and measures its texts.

    Args:
        segmentation: How it is cut.
        text_space: Whose tokens are counted.
        keep: What is kept.
    """

    def __init__(
        self, segmentation: Segmentation, text_space: SpaceContract, keep: Keep = NOTHING
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
            LakeError: Something is to be kept, and the lake does not take it.
        """
        content = with_hashes(content, arrays)
        units, used = _keep_used(self._units(source_id, content, arrays), arrays)
        pixels = {u.pixels_hash: used[u.pixels_array] for u in units if u.pixels_array is not None}
        kept_bytes = self._keep_pixels(pixels) + self._keep_content(source_id, content)
        return Answer(self._milled(source_id, content, units, kept_bytes), used)

    def finish_piece(self, piece: Piece, arrays: Arrays) -> Piece:
        """A range of a long file in which nothing is left to be recognised, with hashes of its pictures.

        Raises:
            LakeError: Pixels are to be kept, and the lake does not take them.
        """
        content = with_hashes(piece.content, arrays)
        pictured = [(page.pixels_hash, page.pixels_array) for page in content.pages]
        pictured += [(region.pixels_hash, region.pixels_array) for region in content.regions]
        pixels = {name: arrays[index] for name, index in pictured if index is not None}
        kept_bytes = self._keep_pixels(pixels)
        return replace(piece, content=content, n_arrays=len(arrays), kept_bytes=kept_bytes)

    def cut_joined(self, source_id: str, content: Content, kept_bytes: int) -> Answer:
        """Units of a content whose pictures are elsewhere, with their hashes in it; units keep its indices.

        Args:
            source_id: Identity of the source.
            content: Of pieces that were finished.
            kept_bytes: What they kept.

        Raises:
            NoContentError: Not one unit came out.
            LakeError: It is to be kept, and the lake does not take it.
        """
        units = self._units(source_id, content, ())
        kept_bytes += self._keep_content(source_id, content)
        return Answer(self._milled(source_id, content, units, kept_bytes))

    def _keep_pixels(self, pixels: Mapping[str, np.ndarray]) -> int:
        return self._keep.pixels(pixels) if self._keep.pixels else 0

    def _keep_content(self, source_id: str, content: Content) -> int:
        return self._keep.content(source_id, content) if self._keep.content else 0

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
