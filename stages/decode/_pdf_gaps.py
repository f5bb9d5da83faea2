"""What lines of a PDF page look like without a look at their words: gaps between them, the type of code."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from stages.decode.layout import share_inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_text import PageText
    from stages.decode.layout import Line

_CHAR_WIDTH: Final = 0.5  # of the font size, on average; monospaced type has 0.6
_MONO_WIDTH: Final = 0.6
_GAPPY_SHARE: Final = 0.75  # less of a line is ink: it has wide gaps in it
_GAPPY_SIZES: Final = 3.0


def is_gappy(row: Sequence[Line]) -> bool:
    """Whether lines that stand side by side, or a line by itself, have a gap wider than between words."""
    first = row[0]
    size, left, right, ink = first.size, first.bbox[0], first.bbox[2], _ink(first)
    for line in row[1:]:
        size, ink = max(size, line.size), ink + _ink(line)
        left, right = min(left, line.bbox[0]), max(right, line.bbox[2])
    width = right - left
    return ink < _GAPPY_SHARE * width and width - ink > _GAPPY_SIZES * size


def _ink(line: Line) -> float:
    """About how wide the characters of a line are by themselves."""
    chars = len(line.text)
    if not line.text.isascii():
        chars += sum(unicodedata.east_asian_width(c) in "WF" for c in line.text)
    return chars * line.size * (_MONO_WIDTH if line.mono else _CHAR_WIDTH)


def is_code(bbox: BBox, text: PageText) -> bool:
    """Whether most lines in a box are set in a monospaced font: a listing, whatever it is drawn on."""
    inside = [line.mono for line in text.lines if share_inside(line.bbox, bbox) > 0.5]
    return 2 * sum(inside) > len(inside)
