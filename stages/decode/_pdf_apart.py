"""What of a page's text is no running text: words that tables or figures tell, and initials."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Final

from stages.decode._scripts import PART
from stages.decode.layout import bare, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from schemas.content import BBox, Block, TableData
    from stages.decode.layout import Line

_INSIDE_SHARE: Final = 0.6  # of a line, for it to belong to a box
_INITIAL_SCALE: Final = 1.8  # of the body size: two lines high at the least
_HYPHENS: Final = ("-", "\u2010", "\u00ad")


@dataclass(frozen=True, slots=True)
class Apart:
    """What stands apart on a page.

    Attributes:
        tables: Tables of the page; their words are in their cells.
        elsewhere: Boxes whose text is told by something else, such as the region of a figure by its labels.
    """

    tables: tuple[TableData, ...] = ()
    elsewhere: tuple[BBox, ...] = ()


@dataclass(frozen=True, slots=True)
class Parted:
    """Lines of a page: those of its running text in their groups, and words that tables lost."""

    groups: list[list[Line]]
    lost: list[Line]


def part(groups: Iterable[Sequence[Line]], apart: Apart) -> Parted:
    """Take apart what is no running text.

    Args:
        groups: Lines of a page, headers and footers gone.
        apart: What is told elsewhere.

    Returns:
        Every word is in it, in a cell or told elsewhere: `lost` has what stands in the box of a table and in none
        of its cells.
    """
    if not (apart.tables or apart.elsewhere):
        return Parted([list(group) for group in groups if group], [])
    boxes = [table.bbox for table in apart.tables if table.bbox]
    parted = Parted([], [])
    in_tables: list[Line] = []
    for group in groups:
        running = []
        for line in group:
            if is_inside(line.bbox, boxes):
                in_tables.append(line)
            elif not is_inside(line.bbox, apart.elsewhere):
                running.append(line)
        if running:
            parted.groups.append(running)
    parted.lost.extend(_lost(in_tables, apart.tables))
    return parted


def is_inside(bbox: BBox, boxes: Iterable[BBox]) -> bool:
    """Whether a line with this box belongs to one of `boxes`."""
    return any(share_inside(bbox, box) >= _INSIDE_SHARE for box in boxes)


def without_told(blocks: Sequence[Block], tables: Mapping[int, Sequence[TableData]]) -> list[Block]:
    """Blocks without the captions that are told by the tables of their page, with them.

    A heading is told if it heads nothing but a table.
    """
    if not any(tables.values()):
        return list(blocks)
    kept = []
    for block, following in zip_longest(blocks, blocks[1:]):
        of_page = tables.get(block.page or 0, ())
        heads_text = (
            block.kind == "heading"
            and following is not None
            and (following.kind != "heading" or following.level > block.level)
        )
        is_caption = block.kind == "caption"
        if heads_text or not is_told(block.text, of_page, is_caption=is_caption):
            kept.append(block)
    return kept


def is_told(text: str, tables: Iterable[TableData], *, is_caption: bool) -> bool:
    """Whether a text is the caption of one of these tables, or a part of it, which is on each of the table's units."""
    captions = [bare(table.caption) for table in tables]
    if not captions:
        return False
    told = bare(text)
    if not is_caption:
        return bool(told) and told in captions
    return any(told in caption for caption in captions)


def with_initials(
    groups: Iterable[Sequence[Line]], body_pt: float, known: Collection[str]
) -> list[list[Line]]:
    """A letter that is set over several lines is put before the word that it begins.

    Args:
        groups: Lines of a page.
        body_pt: Font size of running text.
        known: Words of the document; an "A" before one of them is a word of its own.
    """
    found: list[list[Line]] = []
    initial: Line | None = None
    for group in groups:
        lines: list[Line] = []
        for line in group:
            if initial is not None:
                lines += _begun(initial, line, known)
                initial = None
            elif _is_initial(line, body_pt):
                initial = line
            else:
                lines.append(line)
        if lines:
            found.append(lines)
    return [*found, [initial]] if initial else found


def _is_initial(line: Line, body_pt: float) -> bool:
    return len(line.text) == 1 and line.text.isupper() and line.size >= _INITIAL_SCALE * body_pt


def _begun(initial: Line, line: Line, known: Collection[str]) -> list[Line]:
    beside = line.bbox[1] < initial.bbox[3] and line.bbox[3] > initial.bbox[1]
    if not beside or line.bbox[0] < initial.bbox[0] or line.size >= initial.size:
        return [initial, line]
    first = bare(line.text.split()[0])
    gap = " " if initial.text + first not in known and first in known else ""
    text = f"{initial.text}{gap}{line.text}"
    return [line._replace(text=text, bbox=union((initial.bbox, line.bbox)))]


def _lost(lines: Sequence[Line], tables: Sequence[TableData]) -> list[Line]:
    """What the cells do not have, line by line."""
    if not lines:
        return []
    have = Counter(p.casefold() for table in tables for t in _texts(table) for p in PART.findall(t))
    cut = {i for i, line in enumerate(lines) if line.text.endswith(_HYPHENS)}
    parts = [(i, part) for i, line in enumerate(lines) for part in PART.findall(line.text)]
    missing: dict[int, list[str]] = {}
    is_second_half = False
    for (number, text), (later, following) in pairwise([*parts, (len(lines), "")]):
        whole = (text + following).casefold()
        if is_second_half:  # taken with the half before it
            is_second_half = False
        elif later > number and number in cut and have[whole] > 0:
            have[whole] -= 1
            is_second_half = True
        elif have[text.casefold()] > 0:
            have[text.casefold()] -= 1
        else:
            missing.setdefault(number, []).append(text)
    return [lines[i]._replace(text=" ".join(found)) for i, found in missing.items()]


def _texts(table: TableData) -> list[str]:
    return [table.caption, *table.header, *(cell for row in table.rows for cell in row)]
