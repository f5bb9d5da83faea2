"""Pictures to units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import IMAGE_IMAGE, IMAGE_REGION
from schemas.pixels import hash_pixels
from schemas.unit import Locator, Unit
from stages.segment._language import language_of

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
    if content.image is None:
        return []
    whole = _image_unit(source_id, content.image, content.title, arrays)
    crops = [_crop_unit(whole, crop, arrays) for crop in content.image.crops]
    return [whole, *crops]


def _image_unit(
    source_id: str, image: ImageContent, title: str, arrays: Sequence[np.ndarray]
) -> Unit:
    attributes = {"width": str(image.width), "height": str(image.height)}
    if image.phash:
        attributes["phash"] = image.phash
    return Unit(
        source_id,
        IMAGE_IMAGE,
        Locator(),
        text=image.text,
        context=title,
        pixels_hash=hash_pixels(arrays[image.pixels_array]),
        pixels_array=image.pixels_array,
        language=language_of(image.text),
        attributes=attributes,
    )


def _crop_unit(whole: Unit, crop: CropContent, arrays: Sequence[np.ndarray]) -> Unit:
    return Unit(
        whole.source_id,
        IMAGE_REGION,
        Locator(bbox=crop.bbox),
        context=whole.context,
        pixels_hash=hash_pixels(arrays[crop.pixels_array]),
        pixels_array=crop.pixels_array,
        parent_id=whole.unit_id,
    )
