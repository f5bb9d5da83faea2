"""Lines of text on a page: their reading order, and how they are joined into running text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from schemas.content import BBox

# Presentation forms of Latin ligatures (ff, fi, fl, ffi, ffl, long s-t, st) stand for letters that people search by.
_LIGATURES: Final = {
    code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)
}
_SOFT_HYPHEN: Final = "\u00ad"
_HYPHENATED: Final = re.compile(r"([^\W\d_]{2,})[-\u2010\u00ad]$")
_HYPHENS: Final = ("-", "\u2010", _SOFT_HYPHEN)
_MAX_WORD_CHARS: Final = (
    60  # a search from the start of a long paragraph, line after line, would be quadratic
)
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_SPACES: Final = re.compile(r"\s+")
_MAX_CUT_BOXES: Final = 300  # the cut looks at every prefix of a column, which is quadratic


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text.

    Attributes:
        text: White space normalised, ligatures spelled out, never empty.
        bbox: x0, y0, x1, y1, origin top left.
        size: Font size, in the unit of `bbox`.
        bold: Set in bold.
        mono: Set in a monospaced font.
        level: Runs from left to right as the page is shown, not up or down it.
    """

    text: str
    bbox: BBox
    size: float
    bold: bool = False
    mono: bool = False
    level: bool = True


def clean_text(text: str) -> str:
    """Ligatures as letters, every run of white space as one blank, no control characters."""
    kept = (
        c for c in text.translate(_LIGATURES) if c.isprintable() or c.isspace() or c == _SOFT_HYPHEN
    )
    return _SPACES.sub(" ", "".join(kept)).strip()


def join_lines(texts: Iterable[str], known: Container[str] = ()) -> str:
    """Running text of lines; a word hyphenated over a line end is put together again.

    Args:
        texts: The lines.
        known: Words of the document, lower case; a compound whose parts are words of their own, and which is not
            one as a whole, keeps its hyphen.

    >>> join_lines(["an inter-", "national well-", "Known one"])
    'an international well-Known one'
    >>> join_lines(["it is platform-", "dependent"], {"platform", "dependent"})
    'it is platform-dependent'
    """
    joined = ""
    for text in texts:
        match = _hyphenated(joined)
        if not joined:
            joined = text
        elif match and text[:1].islower() and not _is_compound(match[1], text, known):
            joined = joined[:-1] + text
        elif match:
            joined += text
        else:
            joined = f"{joined} {text}"
    return joined.replace(_SOFT_HYPHEN, "")


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Words of at least three letters, lower case, without those cut by a line end."""
    words: set[str] = set()
    for text in texts:
        found = _WORD.findall(text.lower())
        words.update(found[:-1] if _hyphenated(text) else found)
    return frozenset(words)


def _hyphenated(text: str) -> re.Match[str] | None:
    return _HYPHENATED.search(text[-_MAX_WORD_CHARS:]) if text[-1:] in _HYPHENS else None


def _is_compound(first: str, text: str, known: Container[str]) -> bool:
    second = _WORD.match(text.lower())
    if second is None:
        return False
    first = first.lower()
    return first in known and second[0] in known and first + second[0] not in known


def union(boxes: Iterable[BBox]) -> BBox:
    """The smallest box around all of them."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return (min(x0), min(y0), max(x1), max(y1))


def area(box: BBox) -> float:
    """Area of a box, 0 for an empty one."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def share_inside(box: BBox, outer: BBox) -> float:
    """Share of `box` (0 to 1) that lies inside `outer`; a box without area counts by its centre."""
    if area(box) <= 0:
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return float(outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3])
    common = (
        max(box[0], outer[0]),
        max(box[1], outer[1]),
        min(box[2], outer[2]),
        min(box[3], outer[3]),
    )
    return area(common) / area(box)


def in_reading_order(boxes: Sequence[BBox]) -> bool:
    """Whether the order given already reads well.

    Text of columns goes down, and up only to move to a column further right. A box that goes up without going
    right is out of order.
    """
    for before, after in pairwise(boxes):
        goes_up = after[3] < before[1] + 0.2 * (before[3] - before[1])
        goes_right = after[0] >= before[0] + 0.5 * (before[2] - before[0])
        if goes_up and not goes_right:
            return False
    return True


def reading_order(boxes: Sequence[BBox], gutter: float) -> list[int]:
    """Indices of `boxes` in reading order by recursive X-Y cuts (Nagy and Seth 1984), columns first.

    Args:
        boxes: Boxes of lines or blocks.
        gutter: Least width of the white strip between two columns.
    """
    if len(boxes) > _MAX_CUT_BOXES:
        return sorted(range(len(boxes)), key=lambda i: (round(boxes[i][1]), *boxes[i]))
    return _cut(list(range(len(boxes))), boxes, gutter)


def _cut(items: list[int], boxes: Sequence[BBox], gutter: float) -> list[int]:
    if len(items) < 2:
        return items
    columns = _split(items, boxes, 0, gutter)
    if len(columns) > 1:
        return [i for column in columns for i in _cut(column, boxes, gutter)]
    bands = _split(items, boxes, 1, 0.0)
    if len(bands) == 1:
        return sorted(items, key=lambda i: (boxes[i][1], *boxes[i]))
    head = _head(bands, boxes, gutter)
    top = [i for band in bands[:head] for i in band]
    rest = [i for band in bands[head:] for i in band]
    return _cut(top, boxes, gutter) + _cut(rest, boxes, gutter)


def _head(bands: list[list[int]], boxes: Sequence[BBox], gutter: float) -> int:
    """How many bands from the top belong together: the most that form columns, else one."""
    for count in range(len(bands) - 1, 1, -1):
        items = [i for band in bands[:count] for i in band]
        if len(_split(items, boxes, 0, gutter)) > 1:
            return count
    return 1


def _split(items: list[int], boxes: Sequence[BBox], axis: int, gap: float) -> list[list[int]]:
    """Groups along an axis (0 for x, 1 for y) that are separated by more than `gap`."""
    groups: list[list[int]] = []
    end = float("-inf")
    for i in sorted(items, key=lambda i: (boxes[i][axis], i)):
        if boxes[i][axis] > end + gap or not groups:
            groups.append([])
        groups[-1].append(i)
        end = max(end, boxes[i][axis + 2])
    return groups
