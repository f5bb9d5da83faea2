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
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.config import Segmentation
    from schemas.content import Content
    from schemas.space import SpaceContract, TextEncoder
    from schemas.unit import Unit

Arrays = tuple[np.ndarray, ...]


class Cutter:
    """Segments a content and measures its texts."""

    def __init__(self, segmentation: Segmentation, text_space: SpaceContract) -> None:
        self._segmentation = segmentation
        self._text_space = text_space

    def load(self) -> None:
        """Load the tokeniser; the weights stay where they are."""
        encoder: TextEncoder = make_encoder(self._text_space)  # type: ignore[assignment]  # a text space
        self._count_tokens = encoder.count_tokens
        self._options = SegmentOptions(self._segmentation, self._count_tokens)

    def cut(self, source_id: str, content: Content, arrays: Arrays) -> Answer:
        """Units of the content with their lengths, and only those arrays that units use.

        Raises:
            NoContentError: Not one unit came out.
        """
        units = segment(source_id, content, arrays, self._options)
        if not units:
            notes = f" ({'; '.join(content.notes)})" if content.notes else ""
            raise NoContentError(
                f"decoded as {content.media_type}, but there is nothing in it to index{notes}"
            )
        kept, used = _keep_used(units, arrays)
        texts = [unit.embedded_text for unit in kept]
        lengths = iter(self._count_tokens([text for text in texts if text]))
        tokens = tuple(next(lengths) if text else 0 for text in texts)
        value = Milled(
            source_id,
            content.media_type,
            content.title,
            content.notes,
            content.rejects,
            tuple(kept),
            tokens,
        )
        return Answer(value, used)


def _keep_used(units: Sequence[Unit], arrays: Arrays) -> tuple[list[Unit], Arrays]:
    wanted = sorted({u.pixels_array for u in units if u.pixels_array is not None})
    place = {old: new for new, old in enumerate(wanted)}
    kept = [
        u if u.pixels_array is None else replace(u, pixels_array=place[u.pixels_array])
        for u in units
    ]
    return kept, tuple(arrays[old] for old in wanted)
