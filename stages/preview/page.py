"""A page of a PDF, rendered by MuPDF."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from schemas.errors import CorruptError, EncryptedError, LimitError, UnsupportedError
from stages.decode._mupdf import pymupdf
from stages.decode._pdf_expansion import expands_beyond
from stages.decode.pdf import MUPDF_ERRORS

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
        EncryptedError: The file needs a password.
        LimitError: A picture on the page, or its drawing, is larger than allowed.
        CorruptError: The file has no such page, or it cannot be drawn.
    """
    with opened_page(path, locator.page, options.limits) as page:
        return page.render(page.bbox, options.side_px)


@contextmanager
def opened_page(path: Path, number: int | None, limits: Limits) -> Iterator[OpenPage]:
    """A page (1-based), looked at before MuPDF draws it. Raises as :func:`draw_page`."""
    if number is None:
        raise UnsupportedError(f"{path}: the unit has no page of its own: read its text")
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        with pymupdf.open(path, filetype="pdf") as document:
            yield _page(path, document, number, limits)
    except MUPDF_ERRORS as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
        raise CorruptError(f"{path}: page {number} cannot be drawn: {reason}") from error
    finally:
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _page(path: Path, document: Any, number: int, limits: Limits) -> OpenPage:
    if document.needs_pass and not document.authenticate(""):
        raise EncryptedError(f"{path} needs a password: save a copy without one")
    if not 1 <= number <= document.page_count:
        raise CorruptError(f"{path} has {document.page_count} pages, and no page {number}")
    for _, _, width, height, *_ in document.get_page_images(number - 1):
        if width * height > limits.pixels:
            raise LimitError(
                f"{path}: page {number} has a picture of {width} x {height} pixels, more than"
                f" limits.pixels = {limits.pixels}"
            )
    page = document[number - 1]
    forms = (form[0] for form in document.get_page_xobjects(number - 1))
    for xref in {*page.get_contents(), *forms}:
        if expands_beyond(document, xref, limits.expanded_bytes):
            raise LimitError(
                f"{path}: the drawing of page {number} expands to more than"
                f" limits.expanded_bytes = {limits.expanded_bytes}"
            )
    return OpenPage(page.get_displaylist(), (0.0, 0.0, page.rect.width, page.rect.height))
