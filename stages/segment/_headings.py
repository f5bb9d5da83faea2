"""Sections: what stands under which headings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stages.segment._sizes import WHOLE, word_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.content import Block

_HEADING_WORDS: Final = 25  # a longer "heading" is text that was marked up for its looks


@dataclass(frozen=True, slots=True)
class Section:
    """`context` is the title and headings above, joined by " > "; `body` are indices of blocks."""

    context: str
    body: list[int] = field(default_factory=list)


def sections(title: str, blocks: Sequence[Block]) -> Iterator[Section]:
    """Sections in reading order; one without a body is left out.

    A heading that nothing stands under becomes the body of its own section, so that its words are found.
    """
    path: list[tuple[int, str]] = []
    section = Section(_join(title, path))
    for number, block in enumerate(blocks):
        if not is_heading(block):
            section.body.append(number)
            continue
        if section.body:
            yield section
        while path and path[-1][0] >= block.level:
            path.pop()
        if _heads_nothing(blocks, number):
            context = _join(title, path)
            yield Section("" if context == block.text else context, [number])
        path.append((block.level, block.text))
        section = Section(_join(title, path))
    if section.body:
        yield section


def is_heading(block: Block) -> bool:
    """Whether a block heads what follows: marked as a heading and not too long for one."""
    return block.kind == "heading" and word_sizes([block.text])[0] <= _HEADING_WORDS * WHOLE


def _heads_nothing(blocks: Sequence[Block], number: int) -> bool:
    """Whether the next block is a heading of the same or a higher level, or there is none."""
    following = blocks[number + 1] if number + 1 < len(blocks) else None
    return following is None or (is_heading(following) and following.level <= blocks[number].level)


def _join(title: str, path: list[tuple[int, str]]) -> str:
    names: list[str] = []
    for name in (title, *(text for _, text in path)):
        if name and (not names or name.casefold() != names[-1].casefold()):
            names.append(name)
    return " > ".join(names)
