"""Pages and their regions to units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.partition import PAGE_PAGE, PAGE_REGION
from schemas.unit import Locator, Unit
from stages.segment._pixels import hash_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.content import Content, PageContent, RegionContent
    from stages.segment.options import SegmentOptions


def segment_pages(
    source_id: str, content: Content, arrays: Sequence[np.ndarray], options: SegmentOptions
) -> list[Unit]:
    """One unit a page, one unit a region.

    Args:
        source_id: Identity of the source.
        content: Its pages and regions.
        arrays: What their `pixels_array` points into.
        options: Not used: a page is never cut.

    Returns:
        page/page units with the page's text, and page/region units with the region's caption, its bbox and the
        page it is part of.
    """
    pages = {
        page.number: _page_unit(source_id, page, content.title, arrays) for page in content.pages
    }
    regions = [
        _region_unit(source_id, region, content.title, arrays, pages.get(region.page))
        for region in content.regions
    ]
    return [*pages.values(), *regions]


def _page_unit(source_id: str, page: PageContent, title: str, arrays: Sequence[np.ndarray]) -> Unit:
    return Unit(
        source_id,
        PAGE_PAGE,
        Locator(page=page.number),
        text=page.text,
        context=title,
        pixels_hash=hash_pixels(arrays[page.pixels_array]),
        pixels_array=page.pixels_array,
    )


def _region_unit(
    source_id: str,
    region: RegionContent,
    title: str,
    arrays: Sequence[np.ndarray],
    page: Unit | None,
) -> Unit:
    return Unit(
        source_id,
        PAGE_REGION,
        Locator(page=region.page, bbox=region.bbox),
        text=region.caption,
        context=title,
        pixels_hash=hash_pixels(arrays[region.pixels_array]),
        pixels_array=region.pixels_array,
        parent_id=page.unit_id if page else "",
        attributes={"kind": region.kind},
    )
