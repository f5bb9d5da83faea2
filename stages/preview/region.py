"""A part of a page of a PDF: a figure, a table, a passage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stages.preview.page import opened_page

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from schemas.content import BBox
    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

_MARGIN_PT: Final = 6.0  # so that the edge of a figure is seen to be its edge


def draw_region(path: Path, media_type: str, locator: Locator, options: PreviewOptions) -> Image:
    """The box that the locator names, with a little of what is around it; the page where it names none.

    Raises as :func:`stages.preview.page.draw_page`.
    """
    with opened_page(path, locator.page, options) as page:
        box = page.bbox if locator.bbox is None else _grown(locator.bbox, page.bbox)
        return page.render(box, options.side_px)


def _grown(box: BBox, page: BBox) -> BBox:
    """The box and its margin, as far as they are on the page; the page for a box that is not."""
    x0, y0 = max(page[0], box[0] - _MARGIN_PT), max(page[1], box[1] - _MARGIN_PT)
    x1, y1 = min(page[2], box[2] + _MARGIN_PT), min(page[3], box[3] + _MARGIN_PT)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else page
