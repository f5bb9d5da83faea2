"""Pages and their regions to units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.partition import PAGE_PAGE, PAGE_REGION
from schemas.unit import Locator, Unit
from stages.segment._language import language_of, language_of_content
from stages.segment.hashes import with_hashes

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
        page/page units with the page's text, and page/region units with the region's caption and what is written
        in it, its bbox, the page it is part of and, of figures and pictures, a perceptual hash. What has text has
        its language, or the document's where there is too little of it. Pages without a picture give none.
    """
    content = with_hashes(content, arrays)
    language = language_of_content(content)
    pages = {
        page.number: _in_language(_page_unit(source_id, page, content.title), language)
        for page in content.pages
        if page.pixels_array is not None
    }
    regions = [
        _in_language(
            _region_unit(source_id, region, content.title, pages.get(region.page)), language
        )
        for region in content.regions
    ]
    return [*pages.values(), *regions]


def _in_language(unit: Unit, fallback: str) -> Unit:
    return replace(unit, language=language_of(unit.text, fallback)) if unit.text else unit


def _page_unit(source_id: str, page: PageContent, title: str) -> Unit:
    return Unit(
        source_id,
        PAGE_PAGE,
        Locator(page=page.number),
        text=page.text,
        context=title,
        pixels_hash=page.pixels_hash,
        pixels_array=page.pixels_array,
    )


def _region_unit(
    source_id: str,
    region: RegionContent,
    title: str,
    page: Unit | None,
) -> Unit:
    attributes: dict[str, str] = {"kind": region.kind}
    if region.phash:
        attributes["phash"] = region.phash
    return Unit(
        source_id,
        PAGE_REGION,
        Locator(page=region.page, bbox=region.bbox),
        text="\n".join(filter(None, (region.caption, region.text))),
        context=title,
        pixels_hash=region.pixels_hash,
        pixels_array=region.pixels_array,
        parent_id=page.unit_id if page else "",
        attributes=attributes,
    )
