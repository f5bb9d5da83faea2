"""A content with the hashes of its pictures, for where those cannot be seen any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.pixels import hash_pixels
from stages.segment._pixels import hash_looks

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import ClipContent, Content, ImageContent, RegionContent, VideoContent


def with_hashes(content: Content, arrays: Sequence[np.ndarray]) -> Content:
    """The content with the hashes of all its pictures, and the perceptual hashes of figures and pictures on its pages.

    Args:
        content: Recognition done.
        arrays: What its ``*_array`` fields point into; not used for what has its hash already.
    """
    pages = tuple(
        page
        if page.pixels_hash or page.pixels_array is None
        else replace(page, pixels_hash=hash_pixels(arrays[page.pixels_array]))
        for page in content.pages
    )
    regions = tuple(
        region
        if region.pixels_hash or region.pixels_array is None
        else _hashed_region(region, arrays[region.pixels_array])
        for region in content.regions
    )
    return replace(
        content,
        pages=pages,
        regions=regions,
        image=content.image and _hashed_image(content.image, arrays),
        video=content.video and _hashed_video(content.video, arrays),
    )


def _hashed_region(region: RegionContent, picture: np.ndarray) -> RegionContent:
    x0, y0, x1, y1 = region.bbox
    # Tables look alike when they are set alike, and so do pages: what tells them apart is their text (docs/quality.md).
    phash = "" if region.kind == "table" else hash_looks(picture, x1 - x0, y1 - y0)
    return replace(region, pixels_hash=hash_pixels(picture), phash=phash)


def _hashed_image(image: ImageContent, arrays: Sequence[np.ndarray]) -> ImageContent:
    if image.pixels_hash:
        return image
    crops = tuple(
        replace(crop, pixels_hash=hash_pixels(arrays[crop.pixels_array])) for crop in image.crops
    )
    return replace(image, pixels_hash=hash_pixels(arrays[image.pixels_array]), crops=crops)


def _hashed_video(video: VideoContent, arrays: Sequence[np.ndarray]) -> VideoContent:
    if video.whole.pixels_hash:
        return video
    clips = tuple(_hashed_clip(clip, arrays) for clip in video.clips)
    return replace(video, clips=clips, whole=_hashed_clip(video.whole, arrays))


def _hashed_clip(clip: ClipContent, arrays: Sequence[np.ndarray]) -> ClipContent:
    return replace(clip, pixels_hash=hash_pixels(arrays[clip.frames_array]))
