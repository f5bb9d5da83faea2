"""Pages and parts of pages of a PDF as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stages.decode._mupdf import pymupdf
from stages.decode._pixels import letterbox

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schemas.content import BBox


def render(shown: Any, bbox: BBox, side: int) -> NDArray[np.uint8]:
    """A part of a page on a white square, uint8 [1, side, side, 3].

    Args:
        shown: The page as a pymupdf.DisplayList.
        bbox: The part, in points.
        side: Side of the square in pixels.
    """
    zoom = side / max(bbox[2] - bbox[0], bbox[3] - bbox[1])
    matrix = pymupdf.Matrix(zoom, zoom)
    pixmap = shown.get_pixmap(
        matrix=matrix, colorspace=pymupdf.csRGB, alpha=0, clip=pymupdf.Rect(bbox)
    )
    return letterbox(_pixels_of(pixmap), side)


def render_grey(shown: Any, zoom: float) -> NDArray[np.uint8]:
    """A whole page in grey at `zoom` pixels a point, uint8 [H, W, 1]."""
    matrix = pymupdf.Matrix(zoom, zoom)
    return _pixels_of(shown.get_pixmap(matrix=matrix, colorspace=pymupdf.csGRAY, alpha=0))


def _pixels_of(pixmap: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    used = rows[:, : pixmap.width * pixmap.n].reshape(pixmap.height, pixmap.width, pixmap.n)
    return used.copy()  # the pixmap's memory goes with it
