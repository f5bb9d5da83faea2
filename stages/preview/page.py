"""A page of a PDF, rendered by MuPDF."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from schemas.errors import CorruptError, LimitError, UnsupportedError
from stages.decode._mupdf import MUPDF_ERRORS, pymupdf, reason_of
from stages.decode._pdf_expansion import check_drawing, picture_sizes
from stages.decode._pdf_open import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.config import Limits
    from schemas.content import BBox
    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

_MOST_ZOOM: Final = 4.0  # 288 DPI; a small crop stays a small picture


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page that can be rendered, as long as its document is open."""

    drawing: Any  # pymupdf.DisplayList
    bbox: BBox

    def render(self, bbox: BBox, side_px: int) -> Image.Image:
        """A part of the page, `bbox` in points from the top left of the page as shown."""
        zoom = min(side_px / max(bbox[2] - bbox[0], bbox[3] - bbox[1], 1.0), _MOST_ZOOM)
        pixmap = self.drawing.get_pixmap(
            matrix=pymupdf.Matrix(zoom, zoom),
            colorspace=pymupdf.csRGB,
            alpha=0,
            clip=pymupdf.Rect(bbox),
        )
        return Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)


def draw_page(
    path: Path, media_type: str, locator: Locator, options: PreviewOptions
) -> Image.Image:
    """The page that the locator names.

    Raises:
        UnsupportedError: The locator names none.
        EncryptedError: The file needs a password that is not in `options.passwords`.
        LimitError: A picture on the page, or its drawing, is larger than allowed.
        CorruptError: The file has no such page, or it cannot be drawn.
    """
    with opened_page(path, locator.page, options) as page:
        return page.render(page.bbox, options.side_px)


@contextmanager
def opened_page(path: Path, number: int | None, options: PreviewOptions) -> Iterator[OpenPage]:
    """A page (1-based), looked at before MuPDF draws it. Raises as :func:`draw_page`."""
    if number is None:
        raise UnsupportedError(f"{path}: the unit has no page of its own: read its text")
    with opened(path, options.limits, options.passwords) as document:
        try:
            yield _page(path, document, number, options.limits)
        except MUPDF_ERRORS as error:
            reason = reason_of(error)
            raise CorruptError(f"{path}: page {number} cannot be drawn: {reason}") from error


def _page(path: Path, document: Any, number: int, limits: Limits) -> OpenPage:
    if not 1 <= number <= document.page_count:
        raise CorruptError(f"{path} has {document.page_count} pages, and no page {number}")
    try:
        picture_sizes(document, number, limits.pixels)
        page = document[number - 1]
        check_drawing(page, limits.expanded_bytes, set())
    except LimitError as error:
        raise LimitError(f"{path}: page {number}: {error.message}") from error
    return OpenPage(page.get_displaylist(), (0.0, 0.0, page.rect.width, page.rect.height))
