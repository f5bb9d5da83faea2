"""Presentations by python-pptx: a slide is a page with its title, its text in reading order, its tables and notes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Block, Content, PartialReject
from schemas.errors import CorruptError, LimitError
from stages.decode._archive import plain_copy
from stages.decode._grid import make_table
from stages.decode._normalise import squeeze
from stages.decode._officexml import OFFICE_ERRORS, is_text_part, title_of, with_plain_type
from stages.decode._offsets import with_offsets
from stages.decode._xml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.config import Limits
    from schemas.content import BlockKind, TableData
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

    Shape = Any  # python-pptx leaves most of its values untyped

_MAIN: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
# Placeholders around the content, and those whose paragraphs have bullets by default.
_AROUND: Final = frozenset({"dt", "ftr", "hdr", "sldNum", "sldImg"})
_BULLETED: Final = frozenset({"body", "obj", None})
# Of the height of a slide: shapes whose tops differ by less are read from left to right.
_SAME_ROW_SHARE: Final = 0.05
_USUAL_HEIGHT: Final = 6_858_000  # EMU: 7.5 inches
_DIAGRAM: Final = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DIAGRAM_DATA: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_SLIDE_PART: Final = re.compile(r"ppt/slides/[^/]+\.xml")
_LOST: Final = "lost to gristmill"
_LOST_SLIDE: Final = (
    b'<p:sld xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"><p:cSld name="%s"><p:spTree>'
    b"<p:nvGrpSpPr/><p:grpSpPr/></p:spTree></p:cSld></p:sld>" % _LOST.encode()
)


def decode_pptx(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a presentation, a template, a slide show or one with macros (which are not even unpacked).

    A slide begins with its title as a heading, or with "Slide 3" where it has none. Shapes are read from top to
    bottom and from left to right, groups as one shape; then come the speaker's notes. `page` is the number of the
    slide. Footers, dates and slide numbers are left out. Offsets count in the blocks joined by newlines.

    Raises:
        LimitError: It has more slides or rows, or unpacks to more bytes, than allowed.
        EncryptedError: It needs a password.
        CorruptError: It is no presentation or too damaged to read.
    """
    limits = options.limits
    copy = plain_copy(path, limits.expanded_bytes, is_text_part, _edit)
    deck = _open(copy, path)
    slides = deck.slides
    if len(slides) > limits.pages:
        raise LimitError(
            f"{path} has {len(slides)} slides, more than limits.pages = {limits.pages}"
        )
    reader = _Reader(path, limits, int((deck.slide_height or _USUAL_HEIGHT) * _SAME_ROW_SHARE))
    for number in range(1, len(slides) + 1):
        reader.slide(slides, number)
    if len(reader.rejects) == len(slides) > 0:
        raise CorruptError(f"{path}: no slide can be read: {reader.rejects[0].reason}")
    return Content(
        media_type,
        title=reader.title or squeeze(_title(deck)),
        blocks=tuple(with_offsets(reader.blocks)),
        tables=tuple(reader.tables),
        notes=tuple(reader.remarks()),
        rejects=tuple(reader.rejects),
    ), ()


def _edit(name: str, data: bytes) -> bytes:
    """A slide that is no XML would keep python-pptx from opening the others: an empty one stands in for it."""
    if _SLIDE_PART.fullmatch(name) is None:
        return with_plain_type(_MAIN)(name, data)
    try:
        parse_xml(data, Path(name), name)
    except CorruptError:
        return _LOST_SLIDE
    return data


def _open(copy: Any, path: Path) -> Any:
    import pptx

    try:
        deck = pptx.Presentation(copy)
        _ = deck.slides, deck.slide_height
    except OFFICE_ERRORS as error:
        raise CorruptError(f"{path} cannot be opened as a presentation: {error!r}") from error
    return deck


def _title(deck: Any) -> str:
    try:
        return title_of(deck)
    except OFFICE_ERRORS:
        return ""


@dataclass(slots=True)
class _Reader:
    """Reads slides one by one; what goes wrong with one costs that one."""

    path: Path
    limits: Limits
    same_row: int
    blocks: list[Block] = field(default_factory=list)
    tables: list[TableData] = field(default_factory=list)
    rejects: list[PartialReject] = field(default_factory=list)
    title: str = ""
    pictures: int = 0
    _notes: list[str] = field(default_factory=list)
    _page: int = 0

    def slide(self, slides: Any, number: int) -> None:
        """Read a slide by its number."""
        self._page = number
        start = len(self.blocks), len(self.tables)
        try:
            self._slide(slides[number - 1])
        except (*OFFICE_ERRORS, CorruptError) as error:
            del self.blocks[start[0] :], self.tables[start[1] :]
            reason = f"slide {number} is damaged: {error}"
            self.rejects.append(PartialReject("decode", "corrupt", reason, page=number))

    def remarks(self) -> Iterator[str]:
        """Notes for a person."""
        yield from dict.fromkeys(self._notes)
        if self.pictures:
            yield f"{self.pictures} pictures in the presentation were not read"

    def _slide(self, slide: Any) -> None:
        if slide.name == _LOST:
            raise CorruptError("its XML cannot be read")
        title = slide.shapes.title
        text = squeeze(title.text_frame.text) if title is not None else ""
        self.title = self.title or text
        self._add("heading", text or f"Slide {self._page}")
        before = len(self.blocks), len(self.tables)
        self._shapes(shape for shape in slide.shapes if title is None or shape != title)
        if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
            self._paragraphs(frame, "paragraph")
        if not text and before == (len(self.blocks), len(self.tables)):
            self.blocks.pop()  # an empty slide, or a picture: its number alone says nothing

    def _shapes(self, shapes: Iterable[Shape]) -> None:
        for shape in self._in_reading_order(list(shapes)):
            if hasattr(shape, "shapes"):
                self._shapes(shape.shapes)
            elif shape.has_text_frame:
                self._text(shape)
            elif shape.has_table:
                self._table(shape.table)
            else:
                self._other(shape)

    def _in_reading_order(self, shapes: list[Shape]) -> Iterator[Shape]:
        """Rows from top to bottom; a row is what begins at about the same height, from left to right."""
        placed = sorted(
            ((shape.top or 0, shape.left or 0, i) for i, shape in enumerate(shapes)),
        )
        row: list[tuple[int, int]] = []
        row_top = 0
        for top, left, i in placed:
            if row and top - row_top > self.same_row:
                yield from (shapes[j] for _, j in sorted(row))
                row = []
            row_top = row_top if row else top
            row.append((left, i))
        yield from (shapes[j] for _, j in sorted(row))

    def _text(self, shape: Shape) -> None:
        kind: BlockKind = "paragraph"
        if shape.is_placeholder:
            placeholder = shape.element.find(".//{*}nvPr/{*}ph").get("type")
            if placeholder in _AROUND:
                return
            kind = "list_item" if placeholder in _BULLETED else "paragraph"
        self._paragraphs(shape.text_frame, kind)

    def _paragraphs(self, frame: Any, kind: BlockKind) -> None:
        for paragraph in frame.paragraphs:
            self._add(_kind(paragraph._p.pPr, kind), squeeze(paragraph.text))

    def _table(self, table: Any) -> None:
        rows = [[squeeze(cell.text_frame.text) for cell in row.cells] for row in table.rows]
        for r, row in enumerate(table.rows):
            for c, cell in enumerate(row.cells):
                if cell.is_merge_origin:
                    _fill(rows, (r, c), (cell.span_height, cell.span_width))
        header_rows = 1 if table.first_row else None
        made, notes = make_table(
            "", [tuple(row) for row in rows], header_rows, self.path, self.limits.rows
        )
        if made:
            self.tables.append(replace(made, page=self._page))
        self._notes += notes

    def _other(self, shape: Shape) -> None:
        element = shape.element
        self.pictures += element.tag.endswith("}pic")
        for properties in element.iter("{*}cNvPr"):
            self._add("caption", squeeze(properties.get("descr", "")))
        for relation in element.iter(_DIAGRAM):
            self._diagram(shape.part.related_part(relation.get(_DIAGRAM_DATA)).blob)

    def _diagram(self, data: bytes) -> None:
        """Text of the shapes of SmartArt, which python-pptx does not read."""
        for body in parse_xml(data, self.path, "diagram").iter("{*}t"):
            for paragraph in body.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p"):
                self._add(
                    "list_item", squeeze("".join(t.text or "" for t in paragraph.iter("{*}t")))
                )

    def _add(self, kind: BlockKind, text: str) -> None:
        if text:
            self.blocks.append(Block(kind, text, 1 if kind == "heading" else 0, page=self._page))


def _kind(properties: Any, usual: BlockKind) -> BlockKind:
    """Whether a paragraph has a bullet, by its own properties or as is usual where it stands."""
    if properties is None:
        return usual
    if next(properties.iterchildren("{*}buChar", "{*}buAutoNum", "{*}buBlip"), None) is not None:
        return "list_item"
    return "paragraph" if properties.find("{*}buNone") is not None else usual


def _fill(rows: list[list[str]], origin: tuple[int, int], size: tuple[int, int]) -> None:
    """Put the text of a merged cell into every cell that it covers."""
    top, left = origin
    for row in rows[top : top + size[0]]:
        covered = range(left, min(left + size[1], len(row)))
        for column in covered:
            row[column] = rows[top][left]
