"""Lines of text on a page: their reading order, and how they are joined into running text."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from stages.decode._scripts import UNSPACED, UNSPACED_CHARS, beyond_ascii, spelled_out

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from schemas.content import BBox

_SPELLED_OUT: Final = spelled_out() | {
    # Bullets and dashes of symbol fonts, which have codes of their own.
    0xF02D: "\u2013",
    0xF0A7: "\u25aa",
    0xF0A8: "\u25aa",
    0xF0B7: "\u2022",
    0xF0D8: "\u2023",
    0xF0FC: "\u2022",
}
_SHAPED: Final = re.compile("[" + "".join(map(chr, sorted(_SPELLED_OUT))) + "]")
_SOFT_HYPHEN: Final = "\u00ad"
_INVISIBLE: Final = "\u00ad\u200c\u200d"  # the joiners decide how Persian and Indic letters are set
_HYPHENATED: Final = re.compile(r"([^\W_]+)[-\u2010\u00ad]$")
_JOINED: Final = re.compile(f"[{UNSPACED_CHARS}\u2010\u00ad]")  # next to the end of a line
_HYPHENS: Final = ("-", "\u2010", _SOFT_HYPHEN)
_MAX_WORD_CHARS: Final = (
    60  # a search from the start of a long paragraph, line after line, would be quadratic
)
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
# English numbers are always written with a hyphen.
_TENS: Final = frozenset(
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
)
_ONES: Final = frozenset(
    [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
    ]
)
_SIGNS: Final = bytes(code for code in range(128) if not chr(code).isalnum())
_SPACES: Final = re.compile(r"\s+")
_MAX_CUT_BOXES: Final = 300  # the cut looks at every prefix of a column, which is quadratic


class Line(NamedTuple):
    """One line of text.

    Attributes:
        text: White space normalised, ligatures spelled out, never empty.
        bbox: x0, y0, x1, y1, origin top left.
        size: Font size, in the unit of `bbox`.
        bold: Set in bold.
        mono: Set in a monospaced font.
        turn: Quarter turns clockwise after which it runs from left to right: 0 for most, 1 for one that runs up the
            page, 2 for one upside down, 3 for one that runs down the page.
    """

    text: str
    bbox: BBox
    size: float
    bold: bool = False
    mono: bool = False
    turn: int = 0

    @property
    def level(self) -> bool:
        """Whether it runs along the width of the page."""
        return self.turn in (0, 2)


def clean_text(text: str) -> str:
    """Ligatures as letters, every run of white space as one blank, no control characters."""
    if not text.isascii() and _SHAPED.search(text):
        text = text.translate(_SPELLED_OUT)
    if text.isprintable() and "  " not in text:  # a blank is the only white space that is printable
        return text.strip()
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace() or c in _INVISIBLE)
    return _SPACES.sub(" ", text).strip()


def bare(text: str) -> str:
    """Its letters and digits, without case.

    >>> bare("1.2 The Mill's \u00c9lan")
    '12themills\u00e9lan'
    """
    folded = text.casefold()
    if folded.isascii():
        return folded.encode().translate(None, _SIGNS).decode()
    return "".join(filter(str.isalnum, folded))


def join_lines(texts: Iterable[str], known: Container[str] = ()) -> str:
    """Running text of lines; a word hyphenated over a line end is put together again.

    Lines of scripts without spaces between words are joined without one.

    Args:
        texts: The lines.
        known: Words of the document, lower case; a compound whose parts are words of their own, and which is not
            one as a whole, keeps its hyphen.

    >>> join_lines(["an inter-", "national well-", "Known one"])
    'an international well-Known one'
    >>> join_lines(["it is platform-", "dependent"], {"platform", "dependent"})
    'it is platform-dependent'
    >>> join_lines(["it ran for thirty-", "one years"])
    'it ran for thirty-one years'
    """
    parts = list(texts)
    whole = " ".join(parts)
    if not (
        "- " in whole
        or whole.startswith(" ")
        or (not whole.isascii() and _JOINED.search(beyond_ascii(whole)))
    ):
        return whole  # as most are: none of what follows is there
    joined = ""
    for text in parts:
        match = _hyphenated(joined)
        if not joined:
            joined = text
        elif match and _is_cut(match[1], text, known):
            joined = joined[:-1] + text
        elif match or (UNSPACED.match(joined[-1]) and UNSPACED.match(text)):
            joined += text
        else:
            joined = f"{joined} {text}"
    return joined.replace(_SOFT_HYPHEN, "")


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """Words of at least three letters, lower case, without those cut by a line end."""
    whole: list[str] = []
    words: set[str] = set()
    for text in texts:
        if text.endswith(_HYPHENS) and _hyphenated(text):
            words.update(_WORD.findall(text.lower())[:-1])
        else:
            whole.append(text)
    once = " ".join(set(" ".join(whole).split())).lower()
    return frozenset(words.union(_WORD.findall(once)))


def _hyphenated(text: str) -> re.Match[str] | None:
    return _HYPHENATED.search(text[-_MAX_WORD_CHARS:]) if text.endswith(_HYPHENS) else None


def _is_cut(first: str, text: str, known: Container[str]) -> bool:
    """Whether the hyphen after `first` is there for the line end alone."""
    whole = len(first) > 1 and first.isalpha() and text[:1].islower()
    return whole and not _is_compound(first, text, known)


def _is_compound(first: str, text: str, known: Container[str]) -> bool:
    second = _WORD.match(text.lower())
    if second is None:
        return False
    first = first.lower()
    if first in _TENS and second[0] in _ONES:
        return True
    return first in known and second[0] in known and first + second[0] not in known


def union(boxes: Iterable[BBox]) -> BBox:
    """The smallest box around all of them."""
    known = list(boxes)
    if len(known) == 1:
        return known[0]
    x0, y0, x1, y1 = zip(*known, strict=True)
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


def upright(box: BBox, turn: int) -> BBox:
    """The box as it lies when its page is turned clockwise `turn` times by 90 degrees, around the origin.

    >>> upright((10, 20, 14, 80), 1)
    (-80, 10, -20, 14)
    """
    x0, y0, x1, y1 = box
    if turn == 1:
        return (-y1, x0, -y0, x1)
    if turn == 2:
        return (-x1, -y1, -x0, -y0)
    if turn == 3:
        return (y0, -x1, y1, -x0)
    return box


def mirrored(box: BBox) -> BBox:
    """The box seen in a mirror: reading order is worked out for text that runs to the right."""
    return (-box[2], box[1], -box[0], box[3])


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


def columns(boxes: Sequence[BBox], gutter: float) -> list[list[int]]:
    """Indices of `boxes` in groups, from left to right, between which white strips wider than `gutter` run down."""
    return _split(list(range(len(boxes))), boxes, 0, gutter)


def _cut(items: list[int], boxes: Sequence[BBox], gutter: float) -> list[int]:
    if len(items) < 2:
        return items
    parts = _split(items, boxes, 0, gutter)
    if len(parts) > 1:
        return [i for part in parts for i in _cut(part, boxes, gutter)]
    bands = _split(items, boxes, 1, 0.0)
    if len(bands) == 1:
        return sorted(items, key=lambda i: (boxes[i][1], *boxes[i]))
    below = _columns_below(bands, boxes, gutter)
    ordered: list[int] = []
    start = 0
    while start < len(bands):
        if start and below[start] > 1:
            return ordered + _cut([i for band in bands[start:] for i in band], boxes, gutter)
        end = start + _head(bands[start:], boxes, gutter)
        ordered += _cut([i for band in bands[start:end] for i in band], boxes, gutter)
        start = end
    return ordered


def _columns_below(
    bands: Sequence[Sequence[int]], boxes: Sequence[BBox], gutter: float
) -> list[int]:
    """Of each band, how many columns it forms with all bands below it."""
    counts: list[int] = []
    strips: list[tuple[float, float]] = []
    for band in reversed(bands):
        for i in band:
            strips = _with_strip(strips, boxes[i], gutter)
        counts.append(len(strips))
    return counts[::-1]


def _head(bands: Sequence[Sequence[int]], boxes: Sequence[BBox], gutter: float) -> int:
    """How many bands from the top belong together: the most that form columns, else one."""
    inmost_left = max(boxes[i][0] for band in bands for i in band)
    inmost_right = min(boxes[i][2] for band in bands for i in band)
    head = 1
    strips: list[tuple[float, float]] = []
    for count, band in enumerate(bands[:-1], 1):
        for i in band:
            strips = _with_strip(strips, boxes[i], gutter)
        if len(strips) > 1 and count > 1:
            head = count
        left, right = strips[0]
        if len(strips) == 1 and inmost_left <= right + gutter and inmost_right >= left - gutter:
            break  # whatever comes below touches this strip
    return head


def _with_strip(
    strips: Sequence[tuple[float, float]], box: BBox, gutter: float
) -> list[tuple[float, float]]:
    """Strips along x that boxes cover, with one more box; those no further apart than `gutter` are one."""
    left, right = box[0], box[2]
    apart = []
    for strip in strips:
        if strip[0] <= box[2] + gutter and box[0] <= strip[1] + gutter:
            left, right = min(left, strip[0]), max(right, strip[1])
        else:
            apart.append(strip)
    return [*apart, (left, right)]


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
