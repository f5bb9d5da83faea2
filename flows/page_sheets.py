"""Pages of a document with boxes over them: what was found by kind, in which order it is read, how it was cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from schemas.partition import PAGE_PAGE, TEXT_PARAGRAPH
from schemas.unit import Locator

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.inspect import Inspected
    from schemas.content import BBox, Content, PageContent
    from schemas.partition import Partition
    from schemas.unit import Unit

_PAGE_PX: Final = 1000
_SHEETS: Final = 200


class Drawer(Protocol):
    """Draws previews; see :class:`flows.inspect_page.Pictures`."""

    def preview(self, partition: Partition, locator: Locator, side_px: int) -> str:
        """As a data URI."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box over a page, in points from its top left.

    Attributes:
        kind: Class of its colour: a kind of block or region, ``table``, or ``passage``.
        label: Number in reading order, or the name of a passage.
        title: Shown under the mouse.
    """

    kind: str
    label: str
    title: str
    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Sheet:
    """A page, its boxes and the units on it; a passage has the name that its box has (P1, P2)."""

    page: PageContent
    picture: str
    boxes: list[Box] = field(default_factory=list)
    units: list[tuple[str, Unit]] = field(default_factory=list)


def sheets_of(found: Inspected, pictures: Drawer, watch: Callable[[str], None]) -> list[Sheet]:
    """The first 200 pages of a file; those that there is no picture of have their text and boxes all the same."""
    content = found.content
    if content is None:
        return []
    by_page: dict[int | None, list[Unit]] = {}
    for unit in found.units:
        if unit.partition != PAGE_PAGE:
            by_page.setdefault(unit.locator.page, []).append(unit)
    sheets = []
    for page in content.pages[:_SHEETS]:
        watch(f"draw page {page.number} of {len(content.pages)}")
        picture = pictures.preview(PAGE_PAGE, Locator(page=page.number), _PAGE_PX)
        sheet = Sheet(page, picture)
        sheet.units = _named(by_page.get(page.number, []))
        sheet.boxes = [*_found_boxes(content, page.number), *_passage_boxes(sheet.units)]
        sheets.append(sheet)
    return sheets


def _named(units: list[Unit]) -> list[tuple[str, Unit]]:
    named = []
    passages = 0
    for unit in units:
        passages += unit.partition == TEXT_PARAGRAPH
        name = f"P{passages}" if unit.partition == TEXT_PARAGRAPH else unit.partition.granularity
        named.append((name, unit))
    return named


def _found_boxes(content: Content, number: int) -> list[Box]:
    """Blocks with their place in the reading order of the page; tables and regions."""
    blocks = [block for block in content.blocks if block.page == number]
    boxes = [
        _box(block.kind, str(i), f"{block.kind}: {block.text[:200]}", block.bbox)
        for i, block in enumerate(blocks, 1)
        if block.bbox is not None
    ]
    boxes += [
        _box("table", f"T{i}", f"table: {table.caption}", table.bbox)
        for i, table in enumerate(content.tables, 1)
        if table.page == number and table.bbox is not None
    ]
    boxes += [
        _box(region.kind, region.kind, f"{region.kind}: {region.caption}", region.bbox)
        for region in content.regions
        if region.page == number and region.kind != "table"
    ]
    return boxes


def _passage_boxes(units: list[tuple[str, Unit]]) -> list[Box]:
    return [
        _box("passage", name, unit.text[:200], unit.locator.bbox)
        for name, unit in units
        if unit.partition == TEXT_PARAGRAPH and unit.locator.bbox is not None
    ]


def _box(kind: str, label: str, title: str, bbox: BBox) -> Box:
    x0, y0, x1, y1 = bbox
    return Box(kind, label, title, x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0))
