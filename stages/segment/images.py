"""Pictures to units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import IMAGE_IMAGE
from schemas.unit import Locator, Unit
from stages.segment._pixels import hash_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content
    from stages.segment.options import SegmentOptions


def segment_images(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """One image/image unit; image/region (crops) is not made.

    Args:
        source_id: Identity of the source.
        content: With an image, or nothing comes out.
        arrays: What its `pixels_array` points into.
        options: Not used: a picture is not cut.

    Returns:
        The picture, with the text that OCR read on it and its width and height in pixels.
    """
    image = content.image
    if image is None:
        return []
    unit = Unit(
        source_id,
        IMAGE_IMAGE,
        Locator(),
        text=image.text,
        context=content.title,
        pixels_hash=hash_pixels(arrays[image.pixels_array]),
        pixels_array=image.pixels_array,
        attributes={"width": str(image.width), "height": str(image.height)},
    )
    return [unit]
