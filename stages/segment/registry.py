"""From content to units: each segmenter cuts the part of the content that it knows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content
    from schemas.unit import Unit
    from stages.segment.options import SegmentOptions

# "module:function" -> the fields of Content that it cuts; its module is loaded only if one of them has something.
# The function takes (source_id, content, arrays, options) and gives a list of units.
SEGMENTERS: Final[dict[str, tuple[str, ...]]] = {
    "stages.segment.passages:segment_passages": ("blocks",),
    "stages.segment.tables:segment_tables": ("tables",),
    "stages.segment.pages:segment_pages": ("pages", "regions"),
    "stages.segment.images:segment_images": ("image",),
    "stages.segment.sound:segment_sound": ("sound",),
    "stages.segment.video:segment_video": ("video",),
}


def segment(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """Cut the content of one file into units.

    Args:
        source_id: Identity of the source.
        content: What was decoded, recognition done.
        arrays: The arrays that the ``*_array`` fields of `content` point into.
        options: Sizes of units and the token counter.

    Returns:
        Units sorted by `unit_id`, each once.
    """
    units: dict[str, Unit] = {}
    for entry, fields in SEGMENTERS.items():
        if not any(getattr(content, field) for field in fields):
            continue
        module, _, function = entry.partition(":")
        for unit in getattr(import_module(module), function)(source_id, content, arrays, options):
            units.setdefault(unit.unit_id, unit)
    return [units[unit_id] for unit_id in sorted(units)]
