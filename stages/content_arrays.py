"""The indices by which a content points into the arrays beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from schemas.content import Content

    Arrays = tuple[np.ndarray, ...]


def compact(content: Content, arrays: Arrays) -> tuple[Content, Arrays]:
    """Drop the arrays that a recognised content does not point to any more, and count anew."""
    used = sorted(_indices(content))
    place = {old: new for new, old in enumerate(used)}
    return _moved(content, lambda index: place[index]), tuple(arrays[i] for i in used)


def shifted(content: Content, by: int) -> Content:
    """The same with all indices raised, as where arrays of others come first."""
    return _moved(content, lambda index: index + by) if by else content


def _indices(content: Content) -> set[int]:
    found: list[int | None] = []
    for page in content.pages:
        found += [page.pixels_array, page.ocr_array, page.layout_array]
    found += [region.pixels_array for region in content.regions]
    found += [doubt.region.pixels_array for doubt in content.doubts]
    if content.image:
        found += [content.image.pixels_array, content.image.ocr_array]
        found += [crop.pixels_array for crop in content.image.crops]
    if content.sound:
        found.append(content.sound.samples_array)
    if content.video:
        found += [clip.frames_array for clip in (*content.video.clips, content.video.whole)]
        found += [screen.ocr_array for screen in content.video.screens]
    return {index for index in found if index is not None}


def _moved(content: Content, move: Callable[[int], int]) -> Content:
    def moved(index: int | None) -> int | None:
        return None if index is None else move(index)

    image, sound, video = content.image, content.sound, content.video
    if image:
        crops = tuple(replace(c, pixels_array=move(c.pixels_array)) for c in image.crops)
        image = replace(
            image,
            pixels_array=move(image.pixels_array),
            ocr_array=moved(image.ocr_array),
            crops=crops,
        )
    if sound:
        sound = replace(sound, samples_array=moved(sound.samples_array))
    if video:
        video = replace(
            video,
            clips=tuple(replace(c, frames_array=move(c.frames_array)) for c in video.clips),
            whole=replace(video.whole, frames_array=move(video.whole.frames_array)),
            screens=tuple(replace(s, ocr_array=move(s.ocr_array)) for s in video.screens),
        )
    return replace(
        content,
        pages=tuple(
            replace(
                page,
                pixels_array=moved(page.pixels_array),
                ocr_array=moved(page.ocr_array),
                layout_array=moved(page.layout_array),
            )
            for page in content.pages
        ),
        regions=tuple(replace(r, pixels_array=moved(r.pixels_array)) for r in content.regions),
        doubts=tuple(
            replace(d, region=replace(d.region, pixels_array=moved(d.region.pixels_array)))
            for d in content.doubts
        ),
        image=image,
        sound=sound,
        video=video,
    )
