"""A scanned page from the lines that were read on it and what the layout model sees: text, tables, figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import RegionContent, TableData
from stages.decode._aligned import Piece, grid_of
from stages.decode._grid import header_names
from stages.decode._pdf_apart import is_inside
from stages.decode._pdf_blocks import CAPTION, is_label
from stages.decode._pixels import letterbox
from stages.decode.layout import area, join_lines
from stages.recognise._judge import is_next_to
from stages.recognise.ocr import blocks_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from schemas.content import BBox, Block, PageContent
    from stages.recognise._ocr_lines import OcrLine
    from stages.recognise.layout import Seen, SeenKind

_MIN_SCORE: Final = 0.5  # nothing else speaks for what is seen here
_SURE_SCORE: Final = 0.75
_MIN_SIDE_SHARE: Final = 0.04  # of the width of the page: smaller is a stamp or a speck
_MAX_PAGE_SHARE: Final = 0.9
_MARGIN_SHARE: Final = 0.12  # as for running titles in a text layer


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanned page says; boxes in PDF points."""

    text: str
    blocks: tuple[Block, ...] = ()
    tables: tuple[TableData, ...] = ()
    regions: tuple[RegionContent, ...] = ()


def read_scan(
    page: PageContent,
    image: NDArray[np.uint8],
    lines: Sequence[OcrLine],
    seen: Sequence[Seen],
    keep: Callable[[BBox], int] | None = None,
) -> Scan:
    """Put together what was read and what was seen.

    Args:
        page: The page.
        image: Its picture, uint8 [H, W, 1 or 3].
        lines: What was read on it, in reading order, boxes in pixels.
        seen: What was seen on it, boxes in pixels.
        keep: Takes a box in pixels, and gives the index of its picture; without it, tables alone are cut out.

    Returns:
        Its whole text; its blocks without running titles, cells of tables and labels of figures, which stand with
        those.
    """
    scale = page.width_pt / image.shape[1]
    sure = [s for s in seen if s.score >= _MIN_SCORE]
    margins = [s for s in sure if _is_in_margin(s.bbox, image)]
    left = [line for line in lines if not _is_in(line, margins, ("header", "footer"))]
    tables: list[TableData] = []
    regions: list[RegionContent] = []
    for thing in sorted(sure, key=lambda s: (s.bbox[1], s.bbox[0])):
        if thing.kind not in ("table", "figure", "equation") or not _fits(thing.bbox, image):
            continue
        if keep is None and thing.kind != "table":
            continue
        inside = [line for line in left if is_inside(line.box, [thing.bbox])]
        caption = _caption(thing, sure, left)
        labels = [line for line in inside if is_label(line.text)]
        text = ", ".join(line.text for line in labels)
        if thing.kind == "table":
            table = _table(inside, caption, page.number, scale)
            tables += [table] if table else []
            gone, text = (inside if table else []), ""
        else:
            gone = labels if thing.kind == "figure" else []
        left = [line for line in left if line not in gone]
        bbox = _scaled(thing.bbox, scale)
        if keep is not None:
            regions.append(
                RegionContent(thing.kind, page.number, bbox, caption, keep(thing.bbox), text)
            )
    blocks = blocks_of(left, page.number, scale)
    return Scan(text_of(lines), blocks, tuple(tables), tuple(regions))


def cut_out(image: NDArray[np.uint8], box: BBox, side: int) -> NDArray[np.uint8]:
    """A part of a page on a white square, uint8 [1, side, side, 3].

    Args:
        image: uint8 [H, W, 1 or 3].
        box: The part, in pixels, not empty.
        side: Side of the square.
    """
    from PIL import Image  # with the models, not with the module

    x0, y0, x1, y1 = (round(v) for v in box)
    part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    picture = Image.fromarray(part[:, :, 0] if image.shape[2] == 1 else part).convert("RGB")
    zoom = side / max(picture.size)
    size = (max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom)))
    return letterbox(np.asarray(picture.resize(size, Image.Resampling.BOX), np.uint8), side)


def _fits(box: BBox, image: NDArray[np.uint8]) -> bool:
    height, width = image.shape[:2]
    small = min(box[2] - box[0], box[3] - box[1]) < _MIN_SIDE_SHARE / 2 * width
    return not small and area(box) <= _MAX_PAGE_SHARE * width * height


def _is_in_margin(box: BBox, image: NDArray[np.uint8]) -> bool:
    height = image.shape[0]
    return bool(box[3] <= _MARGIN_SHARE * height or box[1] >= (1 - _MARGIN_SHARE) * height)


def _is_in(line: OcrLine, seen: Sequence[Seen], kinds: tuple[SeenKind, ...]) -> bool:
    return is_inside(line.box, [s.bbox for s in seen if s.kind in kinds])


def _caption(thing: Seen, seen: Sequence[Seen], lines: Sequence[OcrLine]) -> str:
    wanted: SeenKind = "table_caption" if thing.kind == "table" else "figure_caption"
    if thing.kind == "equation":
        return ""
    near = [s for s in seen if s.kind == wanted and is_next_to(s.bbox, thing.bbox)]
    text = join_lines(line.text for line in lines if _is_in(line, near, (wanted,)))
    # Running text right below a figure is taken for its caption with scores up to 0.7.
    sure = any(s.score >= _SURE_SCORE for s in near) or CAPTION.match(text) is not None
    return text if sure else ""


def _table(lines: Sequence[OcrLine], caption: str, page: int, scale: float) -> TableData | None:
    grid = grid_of([Piece(line.text, line.box) for line in lines])
    if grid is None:
        return None
    header = grid.rows[: grid.header_rows]
    return TableData(
        caption,
        header_names(header, len(grid.columns) - 1),
        grid.rows[grid.header_rows :],
        page,
        _scaled(grid.bbox, scale),
        header_rows=header,
        columns_pt=tuple(x * scale for x in grid.columns),
    )


def _scaled(box: BBox, scale: float) -> BBox:
    x0, y0, x1, y1 = box
    return (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
