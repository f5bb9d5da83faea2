"""From the pieces of text that OCR finds to lines in reading order: turned pages, skew, lines found in parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from stages.decode.layout import join_lines, reading_order, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schemas.content import BBox

_TALL: Final = 1.5  # RapidOCR turns what is higher than wide by this much before it reads it
_MIN_PIECES: Final = 5  # fewer may well be signs in a photograph
_GUTTER_HEIGHTS: Final = (
    0.5  # boxes are lines as a whole, so no gap between words is taken for a gutter
)
_WORD_GAP: Final = 0.8  # in line heights: pieces as near as that are one line
_SAME_SIZE: Final = 1.5
_SAME_LINE: Final = 0.6  # of the lower one's height
_MIN_SLOPE_SIDES: Final = 5.0  # width over height of the pieces that tell the skew
_MIN_SKEW: Final = 0.002  # radians; a pixel over half a line


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A line that was read.

    Attributes:
        text: What it says.
        box: x0, y0, x1, y1 in pixels of the picture, origin top left.
        score: Confidence, 0..1.
        level: The box where the page is turned and straightened so that its lines are level; None if it is as it is.
    """

    text: str
    box: BBox
    score: float
    level: BBox | None = None

    @property
    def place(self) -> BBox:
        """Its box on the straightened page."""
        return self.level or self.box

    @property
    def height(self) -> float:
        """Height of its letters in pixels, about."""
        x0, y0, x1, y1 = self.place
        return max(1.0, min(y1 - y0, x1 - x0))


@dataclass(frozen=True, slots=True)
class Piece:
    """What was found in one place: `corners` is float [4, 2], x and y in pixels of the picture."""

    text: str
    corners: NDArray[np.float64]
    score: float

    @property
    def is_tall(self) -> bool:
        """Whether it is written up or down the page."""
        width, height = np.ptp(self.corners, axis=0)
        return bool(height > _TALL * width)


def are_sideways(pieces: Sequence[Piece]) -> bool:
    """Whether most of a text is written up or down the page."""
    tall = [piece for piece in pieces if piece.is_tall]
    return len(tall) >= _MIN_PIECES and 2 * _chars(tall) > _chars(pieces)


def confidence(pieces: Sequence[Piece]) -> float:
    """Mean score by character; 1 where there is too little to say."""
    if len(pieces) < _MIN_PIECES:
        return 1.0
    return evidence(pieces) / max(1, _chars(pieces))


def evidence(pieces: Sequence[Piece]) -> float:
    """How much was read, and how surely."""
    return sum(len(piece.text) * piece.score for piece in pieces)


def turned(
    points: NDArray[np.float64], quarters: int, size: tuple[int, int]
) -> NDArray[np.float64]:
    """Points of a picture where ``numpy.rot90(picture, quarters)`` has them.

    Args:
        points: float [..., 2], x and y.
        quarters: Turns by 90 degrees, counter-clockwise.
        size: Height and width of the picture.
    """
    height, width = size
    x, y = points[..., 0], points[..., 1]
    places = {
        0: (x, y),
        1: (y, width - x),
        2: (width - x, height - y),
        3: (height - y, x),
    }
    return np.stack(places[quarters % 4], axis=-1)


def lines_of(pieces: Sequence[Piece], quarters: int, size: tuple[int, int]) -> tuple[OcrLine, ...]:
    """Lines in reading order.

    Args:
        pieces: In pixels of the picture as it was given.
        quarters: Turns counter-clockwise after which its text is level.
        size: Height and width of the picture.
    """
    if not pieces:
        return ()
    level = [turned(piece.corners, quarters, size) for piece in pieces]
    skew = _skew(level)
    cos, sin = np.cos(skew), np.sin(skew)
    straight = np.array([[cos, -sin], [sin, cos]])  # turns row vectors by -skew
    found = [
        OcrLine(piece.text, _box(piece.corners), piece.score, _box(corners @ straight))
        for piece, corners in zip(pieces, level, strict=True)
    ]
    return _ordered(_put_together(found))


def _chars(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.text) for piece in pieces)


def _box(corners: NDArray[np.float64]) -> BBox:
    low, high = corners.min(axis=0), corners.max(axis=0)
    return cast("BBox", tuple(float(v) for v in (*low, *high)))


def _skew(level: Sequence[NDArray[np.float64]]) -> float:
    """Angle of the lines in radians, the median of the long ones; 0 if it is too small to matter."""
    slopes = []
    for corners in level:
        edges = np.diff(np.vstack([corners, corners[:1]]), axis=0)
        lengths = np.hypot(edges[:, 0], edges[:, 1])
        longest: Any = edges[int(lengths.argmax())]
        if lengths.max() >= _MIN_SLOPE_SIDES * max(1.0, lengths.min()) and longest[0]:
            slopes.append(float(np.arctan(longest[1] / longest[0])))
    angle = median(slopes) if slopes else 0.0
    return angle if abs(angle) >= _MIN_SKEW else 0.0


def _put_together(lines: Sequence[OcrLine]) -> list[OcrLine]:
    """The detector finds a line in parts where its words stand far apart."""
    whole: list[OcrLine] = []
    for line in sorted(lines, key=lambda line: line.place):
        before = min(
            (i for i, other in enumerate(whole) if _is_next_to(other, line)),
            key=lambda i: line.place[0] - whole[i].place[2],
            default=None,
        )
        if before is None:
            whole.append(line)
        else:
            whole[before] = _joined(whole[before], line)
    return whole


def _is_next_to(line: OcrLine, right: OcrLine) -> bool:
    a, b = line.place, right.place
    low, high = sorted((line.height, right.height))
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return (
        high <= _SAME_SIZE * low
        and overlap >= _SAME_LINE * low
        and -0.5 * low <= b[0] - a[2] <= _WORD_GAP * low
    )


def _joined(line: OcrLine, right: OcrLine) -> OcrLine:
    return replace(
        line,
        text=join_lines((line.text, right.text)),
        box=union((line.box, right.box)),
        score=min(line.score, right.score),
        level=union((line.place, right.place)),
    )


def _ordered(lines: Sequence[OcrLine]) -> tuple[OcrLine, ...]:
    # Boxes of neighbouring lines overlap by their descenders, which would hide the gap between them.
    boxes = [_slimmed(line.place) for line in lines]
    order = reading_order(boxes, _GUTTER_HEIGHTS * median(line.height for line in lines))
    return tuple(lines[i] for i in order)


def _slimmed(box: BBox) -> BBox:
    inset = 0.2 * (box[3] - box[1])
    return (box[0], box[1] + inset, box[2], box[3] - inset)
