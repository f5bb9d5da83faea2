"""A picture as people see it: upright, on white."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from schemas.config import Recognition
from schemas.errors import CorruptError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from schemas.content import Content, ImageContent, PageContent
    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions


def draw_picture(
    path: Path, media_type: str, locator: Locator, options: PreviewOptions
) -> Image.Image:
    """A thumbnail of the picture, of the page of it, or of the box in it that the locator names.

    It is what the decoder prepares for reading (EXIF undone, CMYK and 16 bit as RGB, alpha on white, at most 1600
    pixels wide or high), so whatever is decoded can be shown. A picture that holds no text by its looks (a few
    pixels high, of one colour) is shown as its encoder sees it, the central square.

    Raises:
        SourceError: See :func:`stages.decode.image.decode_image`.
    """
    prepare = DecodeOptions(
        limits=options.limits,
        recognition=Recognition(ocr=True, speech=False, sound_tags=False),
        frame_size=min(options.side_px, 448),
    )
    content, arrays = decode(path, path.suffix.lstrip(".").lower(), prepare)
    part = _part(path, content, locator.page)
    if part.ocr_array is not None:
        shown = _picture(arrays[part.ocr_array])
        if locator.bbox is not None:
            shown = _cropped(shown, locator.bbox, _width(part))
    elif part.pixels_array is not None:
        shown = _picture(arrays[part.pixels_array][0])
    else:
        raise CorruptError(f"{path} has no picture to show")
    shown.thumbnail((options.side_px, options.side_px))
    return shown


def _part(path: Path, content: Content, page: int | None) -> ImageContent | PageContent:
    pages = {shown.number: shown for shown in content.pages}
    part = content.image if page is None else pages.get(page, content.image)
    if part is None:
        raise CorruptError(f"{path} has no picture{f' {page}' if page else ''} to show")
    return part


def _width(part: ImageContent | PageContent) -> float:
    """In the unit that boxes are in: pixels of a picture, points of a page."""
    return getattr(part, "width", 0) or getattr(part, "width_pt", 0.0)


def _picture(array: np.ndarray) -> Image.Image:
    """From uint8 [H, W, 3] or [H, W, 1]."""
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).convert("RGB")


def _cropped(shown: Image.Image, bbox: tuple[float, ...], width: float) -> Image.Image:
    scale = shown.width / width
    x0, y0, x1, y1 = (round(edge * scale) for edge in bbox)
    box = (max(0, x0), max(0, y0), min(shown.width, x1), min(shown.height, y1))
    return shown.crop(box) if box[2] > box[0] and box[3] > box[1] else shown
