"""How content is cut into units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.config import Segmentation

CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """Options of every segmenter.

    Attributes:
        segmentation: Sizes of units.
        count_tokens: Tokens of each text as its encoder counts them; None estimates them from words.
    """

    segmentation: Segmentation = field(default_factory=Segmentation)
    count_tokens: CountTokens | None = None
