"""Pictures to units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import IMAGE_IMAGE, IMAGE_REGION
from schemas.unit import Locator, Unit
from stages.segment._language import language_of
from stages.segment.hashes import with_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content, CropContent, ImageContent
    from stages.segment.options import SegmentOptions


def segment_images(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """One image/image unit, and an image/region unit for each crop.

    Args:
        source_id: Identity of the source.
        content: With an image, or nothing comes out.
        arrays: What its `pixels_array` points into.
        options: Not used: what is cropped was decided when it was decoded.

    Returns:
        The picture, with the text that is written on it, its width and height in pixels, and its perceptual hash;
        its crops, with their bbox in pixels and the picture that they are part of.
    """
    image = with_hashes(content, arrays).image
    if image is None:
        return []
    whole = _image_unit(source_id, image, content.title)
    return [whole, *(_crop_unit(whole, crop) for crop in image.crops)]


def _image_unit(source_id: str, image: ImageContent, title: str) -> Unit:
    attributes = {"width": str(image.width), "height": str(image.height)}
    if image.phash:
        attributes["phash"] = image.phash
    return Unit(
        source_id,
        IMAGE_IMAGE,
        Locator(),
        text=image.text,
        context=title,
        pixels_hash=image.pixels_hash,
        pixels_array=image.pixels_array,
        language=language_of(image.text),
        attributes=attributes,
    )


def _crop_unit(whole: Unit, crop: CropContent) -> Unit:
    return Unit(
        whole.source_id,
        IMAGE_REGION,
        Locator(bbox=crop.bbox),
        context=whole.context,
        pixels_hash=crop.pixels_hash,
        pixels_array=crop.pixels_array,
        parent_id=whole.unit_id,
    )
