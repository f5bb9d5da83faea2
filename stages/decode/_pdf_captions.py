"""Captions of a PDF page, and which figure or table each belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stages.decode._pdf_blocks import CAPTION
from stages.decode.layout import join_lines, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_text import PageText
    from stages.decode.layout import Line

_CAPTION_PT: Final = 45.0
_MAX_CAPTION_CHARS: Final = 600
_UNUSUAL_PT: Final = _CAPTION_PT / 2  # a figure's caption above it, a table's below
_OTHER_KIND_PT: Final = 2 * _CAPTION_PT / 3
_BESIDE_SHARE: Final = 0.5  # of the lower one's height: parts of one figure, with one caption
_TITLE_PT: Final = 20.0
_MAX_TITLE_CHARS: Final = 120
_RULE_PT: Final = 3.0
_OF_TABLE: Final = re.compile(r"tab(?:le|elle|leau|la|ela|\.)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption and its box."""

    text: str
    bbox: BBox

    @property
    def of_table(self) -> bool:
        """Whether it says that it belongs to a table."""
        return _OF_TABLE.match(self.text) is not None


def read_captions(text: PageText) -> list[Caption]:
    """Captions that name themselves ("Figure 3: ..."), in reading order."""
    found = []
    for group in text.groups:
        for start, line in enumerate(group):
            if CAPTION.match(line.text):
                lines = _lines_of(group[start:])
                joined = join_lines(part.text for part in lines)[:_MAX_CAPTION_CHARS]
                found.append(Caption(joined, union(part.bbox for part in lines)))
    return found


def tie_captions(
    objects: Sequence[tuple[BBox, bool]], captions: Sequence[Caption]
) -> list[Caption | None]:
    """The caption of each object: the nearest pairs first, a caption to one object or to parts side by side.

    Args:
        objects: Box of each, and whether it is a table.
        captions: Captions of the same page.

    Returns:
        One caption an object, None where there is none within 45 points.
    """
    pairs = sorted(
        (cost, i, j)
        for i, (bbox, is_table) in enumerate(objects)
        for j, caption in enumerate(captions)
        if (cost := _cost(caption, bbox, is_table=is_table)) is not None
    )
    tied: list[Caption | None] = [None] * len(objects)
    users: dict[int, list[int]] = {}
    for _, i, j in pairs:
        others = users.setdefault(j, [])
        if tied[i] is None and all(_beside(objects[i][0], objects[k][0]) for k in others):
            tied[i] = captions[j]
            others.append(i)
    return tied


def find_title(bbox: BBox, text: PageText) -> str:
    """The bold line right above a table, which stands for a caption where there is none; or empty."""
    above = [
        line
        for line in text.lines
        if line.bold
        and 0 <= bbox[1] - line.bbox[3] + _RULE_PT <= _TITLE_PT
        and line.bbox[0] < bbox[2]
        and line.bbox[2] > bbox[0]
    ]
    nearest = max(above, key=lambda line: line.bbox[3], default=None)
    return nearest.text if nearest and len(nearest.text) <= _MAX_TITLE_CHARS else ""


def _lines_of(lines: Sequence[Line]) -> list[Line]:
    """The lines of a caption: as long as the type stays the same and no other caption begins."""
    kept = [lines[0]]
    for line in lines[1:]:
        if CAPTION.match(line.text) or abs(line.size - lines[0].size) > 1:
            break
        kept.append(line)
    return kept


def _cost(caption: Caption, bbox: BBox, *, is_table: bool) -> float | None:
    """Vertical distance in points, more for the unusual side and kind; None if it is not next to the box."""
    box = caption.bbox
    if box[0] > bbox[2] or box[2] < bbox[0]:
        return None
    over, under = bbox[1] - box[3], box[1] - bbox[3]
    gap = max(over, under, 0.0)
    if gap > _CAPTION_PT:
        return None
    usual = over >= under if is_table else under >= over
    return gap + (not usual) * _UNUSUAL_PT + (caption.of_table != is_table) * _OTHER_KIND_PT


def _beside(a: BBox, b: BBox) -> bool:
    common = min(a[3], b[3]) - max(a[1], b[1])
    return common >= _BESIDE_SHARE * min(a[3] - a[1], b[3] - b[1])
