"""Places in documents that have no text of their own to count in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.content import Block


def with_offsets(blocks: Iterable[Block]) -> Iterator[Block]:
    """Blocks with their offsets in the text that they give when each stands on a line of its own."""
    start = 0
    for block in blocks:
        end = start + len(block.text)
        yield replace(block, char_start=start, char_end=end)
        start = end + 1
