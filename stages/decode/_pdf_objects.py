"""What stands on a PDF page beside its running text: tables, figures, pictures and equations, with their captions.

What its objects (rules, paths, pictures, positions of words) say for sure is decided here. What they leave open goes
on as a `Doubt`, with everything that is needed to decide it by a look at the page; recognition does that, so the
decoding processes load no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Block, Doubt, PartialReject, RegionContent
from schemas.errors import CorruptError, LimitError
from stages.decode._mupdf import MUPDF_ERRORS, pymupdf, reason_of
from stages.decode._pdf_apart import Apart, is_inside, part
from stages.decode._pdf_blocks import CAPTION, is_label
from stages.decode._pdf_captions import read_captions, tie_captions
from stages.decode._pdf_gaps import is_gappy
from stages.decode._pdf_layout import find_columns, find_equations, may_have_columns
from stages.decode._pdf_regions import find_figures
from stages.decode._pdf_render import render, render_grey
from stages.decode._pdf_tables import find_tables, may_have_grid, read_words
from stages.decode.layout import join_lines, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox, RegionKind, TableData
    from stages.decode._pdf_regions import Drawn
    from stages.decode._pdf_tables import Word
    from stages.decode._pdf_text import PageText
    from stages.decode._pixels import ArrayStore
    from stages.decode.layout import Line
    from stages.decode.options import DecodeOptions

_LAYOUT_SIDE_PX: Final = 800  # the long side of what the layout model looks at
_LABEL_SHARE: Final = 0.8
_SAME_SHARE: Final = 0.5
_SPARSE_SHARE: Final = 0.6  # a grid with fewer cells filled may be that of a chart


@dataclass(slots=True)
class PageObjects:
    """Objects of a page.

    Attributes:
        tables: For sure tables.
        regions: For sure regions, tables among them.
        doubts: What is to be looked at.
        elsewhere: Boxes whose text is told by a region, or by a doubt about it.
        layout_array: Index of the picture to look at, if there are doubts.
    """

    tables: list[TableData] = field(default_factory=list)
    regions: list[RegionContent] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    elsewhere: list[BBox] = field(default_factory=list)
    layout_array: int | None = None


@dataclass(frozen=True, slots=True)
class _Object:
    """A region to be; `image` is the key of a picture of the file that it consists of."""

    kind: RegionKind
    bbox: BBox
    table: TableData | None = None
    text: str = ""
    sure: bool = True
    stands: bool = True
    image: tuple[object, ...] = ()


class ObjectReader:
    """Finds the objects of page after page.

    Args:
        options: Limits, sizes, and whether a layout model will look at doubts.
        store: Takes their pictures.
        rejects: Takes what is lost.
    """

    def __init__(
        self, options: DecodeOptions, store: ArrayStore, rejects: list[PartialReject]
    ) -> None:
        self._options = options
        self._store = store
        self._rejects = rejects
        self._pictures: dict[tuple[object, ...], int] = {}
        self._pictured = options.segmentation.page_pictures  # else nothing but tables is looked for

    def read(self, page: Any, shown: Any, layer: Any, drawn: Drawn, text: PageText) -> PageObjects:
        """Objects of one page.

        Args:
            page: A pymupdf.Page.
            shown: Its pymupdf.DisplayList.
            layer: Its pymupdf.TextPage, as `text_layer` gives it.
            drawn: What is drawn on it.
            text: Its text.

        Raises:
            LimitError: The pictures of the file take too much memory.
        """
        found = self._settled(self._objects(page, _Words(layer), drawn, text))
        captions = tie_captions(
            [(o.bbox, o.table is not None) for o in found if o.kind != "equation"],
            read_captions(text),
        )
        objects = PageObjects()
        tied = iter(captions)
        for thing in found:
            caption = next(tied) if thing.kind != "equation" else None
            self._add(objects, thing, caption.text if caption else "", shown, text)
        if objects.doubts:
            objects.layout_array = self._picture_of_page(shown, text)
        return objects

    def _objects(self, page: Any, words: _Words, drawn: Drawn, text: PageText) -> list[_Object]:
        """Tables, figures and equations, the most that a page may have, tables first."""
        tables = self._tables(page, words, drawn, text)
        boxes = [table.bbox for table in tables if table.bbox]
        most = self._options.limits.regions_per_page
        figures = (
            find_figures(drawn, text, boxes, max(0, most - len(boxes))) if self._pictured else []
        )
        keys = self._picture_keys(page, [f.bbox for f in figures if f.alone])
        found = [_of_table(table, sure=_is_dense(table)) for table in tables]
        for figure in figures:
            labels = ", ".join(line.text for line in _labels(text, figure.bbox))
            key = keys.get(figure.bbox, ()) if figure.alone and not labels else ()
            found.append(
                _Object(
                    figure.kind, figure.bbox, None, labels, figure.sure, figure.stands, image=key
                )
            )
        if self._options.recognition.layout:
            found = self._with_hidden(found, words, drawn, text)
        return found

    def _with_hidden(
        self, known: list[_Object], words: _Words, drawn: Drawn, text: PageText
    ) -> list[_Object]:
        """With what only a look can tell from running text."""
        found = list(known)
        if may_have_columns(text):
            clear = [thing.bbox for thing in known if thing.sure or thing.table]
            columns = find_columns(words.read(), drawn, text, clear)
            # The look tells a table from a figure too, so one question is enough.
            boxes = [table.bbox for table in columns if table.bbox]
            found = [o for o in found if o.sure or not any(_overlap(o.bbox, box) for box in boxes)]
            found += [_of_table(table, sure=False, stands=False) for table in columns]
        if self._pictured:
            found += [
                _Object("equation", bbox, None, signs, sure=False, stands=False)
                for bbox, signs in find_equations(text, [thing.bbox for thing in found])
            ]
        return found[: max(len(known), self._options.limits.regions_per_page)]

    def _tables(self, page: Any, words: _Words, drawn: Drawn, text: PageText) -> list[TableData]:
        if not may_have_grid(drawn, text):
            return []
        try:
            return find_tables(page, words.read(), drawn, text)
        except CorruptError as error:
            reason = error.message
        except MUPDF_ERRORS as error:
            reason = reason_of(error)
        self._rejects.append(
            PartialReject("decode", CorruptError.code, f"its tables: {reason}", text.number)
        )
        return []

    def _settled(self, found: list[_Object]) -> list[_Object]:
        """Without a model to come there are no doubts."""
        if self._options.recognition.layout:
            return found
        return [replace(thing, sure=True) for thing in found if thing.sure or thing.stands]

    def _add(
        self, objects: PageObjects, thing: _Object, caption: str, shown: Any, text: PageText
    ) -> None:
        table = thing.table
        if table is not None:
            table = replace(table, caption=caption or table.caption)
            caption = table.caption
        if len(objects.regions) + len(objects.doubts) < self._options.limits.regions_per_page:
            pixels = self._picture(thing, shown)
            region = RegionContent(thing.kind, text.number, thing.bbox, caption, pixels, thing.text)
        else:
            region = None
        if thing.sure or region is None:
            objects.tables += [table] if table else []
            objects.regions += [region] if region and self._pictured else []
            objects.elsewhere += [] if table else _taken(thing, text)
            return
        taken = _taken(thing, text)
        known = [*objects.elsewhere, *(known.bbox for known in objects.tables if known.bbox)]
        # Boxes may overlap: a line is told by the first of them.
        lines = [line for line in _lines_in(taken, text) if not is_inside(line.bbox, known)]
        objects.elsewhere += taken
        lost = part([lines], Apart((table,))).lost if table else []
        objects.doubts.append(
            Doubt(region, table, thing.stands, _as_block(lines, text), _as_block(lost, text))
        )

    def _picture(self, thing: _Object, shown: Any) -> int | None:
        """Index of its picture; one that comes again in the same size is rendered once."""
        if not self._pictured:
            return None
        if thing.image in self._pictures:
            return self._pictures[thing.image]
        index = self._store.add(render(shown, thing.bbox, self._options.frame_size))
        if thing.image:
            self._pictures[thing.image] = index
        return index

    def _picture_of_page(self, shown: Any, text: PageText) -> int | None:
        zoom = _LAYOUT_SIDE_PX / max(text.width_pt, text.height_pt)
        try:
            return self._store.add(render_grey(shown, zoom))
        except LimitError as error:
            reason = f"not looked at for tables and figures: {error.message}"
            self._rejects.append(PartialReject("decode", error.code, reason, text.number))
            return None

    def _picture_keys(self, page: Any, boxes: Sequence[BBox]) -> dict[BBox, tuple[object, ...]]:
        """For boxes of pictures: the picture of the file and how it is placed, where both are known."""
        if not boxes:
            return {}
        sizes: dict[tuple[int, int], list[int]] = {}
        for xref, _, width, height, *_ in page.parent.get_page_images(page.number):
            sizes.setdefault((width, height), []).append(xref)
        turn = page.rotation_matrix if page.rotation else pymupdf.Identity
        keys: dict[BBox, tuple[object, ...]] = {}
        for info in page.get_image_info():
            shown_at = pymupdf.Rect(info["bbox"]) * turn
            same = sizes.get((info["width"], info["height"]), [])
            for box in boxes:
                if (
                    len(same) == 1
                    and max(abs(a - b) for a, b in zip(shown_at, box, strict=True)) < 1
                ):
                    place = (round(v, 1) for v in (*info["transform"][:4], page.rotation))
                    keys[box] = (same[0], *place)
        return keys


class _Words:
    """Words of a page, read when they are first asked for."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._words: list[Word] | None = None

    def read(self) -> list[Word]:
        if self._words is None:
            self._words = read_words(self._layer)
        return self._words


def _of_table(table: TableData, *, sure: bool, stands: bool = True) -> _Object:
    return _Object("table", table.bbox or (0.0, 0.0, 0.0, 0.0), table, "", sure, stands)


def _overlap(a: BBox, b: BBox) -> bool:
    return max(share_inside(a, b), share_inside(b, a)) > _SAME_SHARE


def _is_dense(table: TableData) -> bool:
    """Whether a grid is full enough that it cannot be the grid of a chart."""
    cells = [cell for row in (*table.header_rows, *table.rows) for cell in row]
    return sum(map(bool, cells)) >= _SPARSE_SHARE * len(cells)


def _labels(text: PageText, bbox: BBox) -> list[Line]:
    """What is written in a figure, apart from sentences and captions."""
    return [
        line
        for line in text.lines
        if (is_label(line.text) or is_gappy([line]))
        and not CAPTION.match(line.text)
        and share_inside(line.bbox, bbox) > _LABEL_SHARE
    ]


def _taken(thing: _Object, text: PageText) -> list[BBox]:
    if thing.table is not None:
        return [thing.bbox]
    if thing.kind == "equation":  # its signs are a part of the sentence around it
        return []
    return [line.bbox for line in _labels(text, thing.bbox)]


def _lines_in(boxes: Sequence[BBox], text: PageText) -> list[Line]:
    return [line for line in text.lines if is_inside(line.bbox, boxes)]


def _as_block(lines: Sequence[Line], text: PageText) -> tuple[Block, ...]:
    """Lines as one paragraph, none if there are none."""
    if not lines:
        return ()
    bbox = union(line.bbox for line in lines)
    return (Block("paragraph", join_lines(line.text for line in lines), 0, text.number, bbox),)
