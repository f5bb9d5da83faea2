"""Where blocks of text go that are found after the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from schemas.content import Block


def with_running(blocks: Sequence[Block], more: Sequence[Block]) -> list[Block]:
    """Blocks with more of them, each after the last one of its column that stands above it."""
    places: dict[int | None, list[int]] = {}
    for i, block in enumerate(blocks):
        places.setdefault(block.page, []).append(i)
    added: dict[int, list[Block]] = {}
    for block in more:
        added.setdefault(_place(block, blocks, places), []).append(block)
    joined: list[Block] = []
    for i in range(len(blocks) + 1):
        joined += added.get(i, ())
        joined += blocks[i : i + 1]
    return joined


def with_pages(
    blocks: Iterable[Block], order: Iterable[int], read: Mapping[int, Sequence[Block]]
) -> list[Block]:
    """Blocks with those of some pages replaced.

    Args:
        blocks: In reading order.
        order: Numbers of all pages, as they follow each other.
        read: New blocks by number of the page.
    """
    if not read:
        return list(blocks)
    by_page: dict[int | None, list[Block]] = {}
    for block in blocks:
        by_page.setdefault(block.page, []).append(block)
    by_page.update({number: list(found) for number, found in read.items()})
    return [block for number in (None, *order) for block in by_page.get(number, ())]


def _place(block: Block, blocks: Sequence[Block], places: dict[int | None, list[int]]) -> int:
    own = places.get(block.page, [])
    above = [i for i in own if _above(blocks[i], block)]
    if above:
        return above[-1] + 1
    if own:
        return own[0]
    number = block.page or 0
    later = [indices[0] for page, indices in places.items() if page is not None and page > number]
    return min(later, default=len(blocks))


def _above(other: Block, block: Block) -> bool:
    if other.bbox is None or block.bbox is None:
        return False
    beside = min(other.bbox[2], block.bbox[2]) - max(other.bbox[0], block.bbox[0])
    return beside > 0 and other.bbox[1] + other.bbox[3] < block.bbox[1] + block.bbox[3]
