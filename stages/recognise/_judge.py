"""Doubts about pages decided by what a layout model sees on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from stages.decode._pdf_apart import without_told
from stages.decode.layout import area, share_inside
from stages.placing import with_running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from schemas.content import BBox, Block, Content, Doubt, PageContent, RegionContent, TableData
    from stages.recognise.layout import Seen, SeenKind

_COVERED_SHARE: Final = 0.5  # of what is in doubt is seen as that
_SEEN_SHARE: Final = 0.3  # of what is seen lies in it: a small table in a large box is another
_FIGURES_SHARE: Final = 0.15  # figures close together are seen as one
_CAPTION_PT: Final = 30.0


@dataclass(slots=True)
class _Verdicts:
    tables: list[TableData] = field(default_factory=list)
    regions: list[RegionContent] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)  # running text after all
    decided: list[TableData] = field(default_factory=list)  # those of `tables` that were in doubt


def judge(content: Content, look: Callable[[PageContent], Sequence[Seen] | None]) -> Content:
    """Decide all doubts of a content.

    Args:
        content: As decoded.
        look: What the model sees on a page, boxes in PDF points; None if nobody can tell, then each doubt is decided
            by `stands`.

    Returns:
        The content with the tables and regions that were found, and no doubts and no pictures of pages to look at.
    """
    pages = {page.number: page for page in content.pages}
    by_page: dict[int, list[Doubt]] = {}
    for doubt in content.doubts:
        by_page.setdefault(doubt.region.page, []).append(doubt)
    verdicts = _Verdicts([*content.tables], [*content.regions])
    for number, doubts in by_page.items():
        page = pages.get(number)
        seen = look(page) if page is not None and page.layout_array is not None else None
        for doubt in doubts:
            _decide(doubt, seen, verdicts)
    decided: dict[int, list[TableData]] = {}
    for table in verdicts.decided:
        decided.setdefault(table.page or 0, []).append(table)
    blocks = with_running(without_told(content.blocks, decided), verdicts.blocks)
    return replace(
        content,
        blocks=tuple(blocks),
        tables=tuple(sorted(verdicts.tables, key=_table_place)),
        regions=tuple(
            sorted(verdicts.regions, key=lambda region: (region.page, region.bbox[1::-1]))
        ),
        pages=tuple(replace(page, layout_array=None) for page in content.pages),
        doubts=(),
    )


def in_points(seen: Iterable[Seen], points_per_pixel: float) -> list[Seen]:
    """The same with boxes in PDF points."""
    scaled = []
    for thing in seen:
        x0, y0, x1, y1 = (v * points_per_pixel for v in thing.bbox)
        scaled.append(replace(thing, bbox=(x0, y0, x1, y1)))
    return scaled


def _decide(doubt: Doubt, seen: Sequence[Seen] | None, verdicts: _Verdicts) -> None:
    region = doubt.region
    regions = [region] if region.pixels_array is not None else []
    if region.kind == "table" and doubt.table is not None:
        kept = doubt.stands if seen is None else _is_table(doubt, seen)
        if not kept and _is_seen(region.bbox, "figure", seen or ()):
            labels = " ".join(block.text for block in doubt.blocks)
            verdicts.regions += [replace(r, kind="figure", text=labels) for r in regions]
            # A card full of text in columns is seen as a figure as well: what is no grid stays running text.
            verdicts.blocks += () if doubt.stands and regions else doubt.blocks
            return
    else:
        kind: SeenKind = "equation" if region.kind == "equation" else "figure"
        kept = doubt.stands if seen is None else _is_seen(region.bbox, kind, seen)
        if not kept and doubt.stands and seen is not None:
            kept = not (_is_seen(region.bbox, "table", seen) or _is_seen(region.bbox, "text", seen))
    if not kept:
        verdicts.blocks += doubt.blocks
        return
    verdicts.regions += regions
    verdicts.blocks += doubt.rest
    if doubt.table is not None:
        verdicts.tables.append(doubt.table)
        verdicts.decided.append(doubt.table)


def _is_table(doubt: Doubt, seen: Sequence[Seen]) -> bool:
    """Seen as a table; one that rules make a grid of is one too, unless it is seen as a figure."""
    bbox = doubt.region.bbox
    if _is_seen(bbox, "table", seen):
        return True
    return doubt.stands and not _is_seen(bbox, "figure", seen)


def _is_seen(bbox: BBox, kind: SeenKind, seen: Sequence[Seen]) -> bool:
    """Whether boxes of this kind, which lie in it for a good part, cover half of a box."""
    least = _FIGURES_SHARE if kind == "figure" else _SEEN_SHARE
    same = [s.bbox for s in seen if s.kind == kind and share_inside(s.bbox, bbox) >= least]
    covered = sum(share_inside(box, bbox) * area(box) for box in same)
    return covered >= _COVERED_SHARE * area(bbox)


def is_next_to(caption: BBox, bbox: BBox) -> bool:
    """Whether a caption stands right above or below a box."""
    gap = max(caption[1] - bbox[3], bbox[1] - caption[3])
    beside = min(caption[2], bbox[2]) - max(caption[0], bbox[0])
    return beside > 0 and gap <= _CAPTION_PT


def _table_place(table: TableData) -> tuple[int, float, float]:
    x0, y0, *_ = table.bbox or (0.0, 0.0, 0.0, 0.0)
    return (table.page or 0, y0, x0)
