"""PDF by PyMuPDF: text layer, page pictures, figures, tables, and renders for OCR where there is no text layer."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import Content, PageContent, PartialReject, RegionContent
from schemas.errors import CorruptError, EncryptedError, LimitError, NoContentError, SourceError
from stages.decode._mupdf import pymupdf
from stages.decode._pdf_blocks import Outline, build_blocks, is_label
from stages.decode._pdf_expansion import expands_beyond
from stages.decode._pdf_regions import Drawn, find_caption, find_figures, read_drawn
from stages.decode._pdf_tables import find_tables
from stages.decode._pdf_text import PageText, body_size, letters, read_text
from stages.decode._pixels import ArrayStore, letterbox
from stages.decode.layout import area, join_lines, share_inside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from schemas.content import BBox, TableData
    from stages.decode.options import DecodeOptions

# What PyMuPDF lets out for damaged input: MuPDF's own errors, and Python's from its wrapper around odd values.
MUPDF_ERRORS: Final = (
    pymupdf.mupdf.FzErrorBase,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ZeroDivisionError,
    OverflowError,
)
_POINTS_PER_INCH: Final = 72
_FEW_LETTERS: Final = 10  # a page number or a stamp is not a text layer
_SCAN_LETTERS: Final = 100  # on a page that is a picture nearly as a whole
_SCAN_SHARE: Final = 0.7
_OCR_PIXELS: Final = (
    16_000_000  # four times A4 at 144 DPI; the text detector scales down far below that
)
_CONTRAST: Final = 48  # of 255; a page without it is blank
_TITLE_SCALE: Final = 1.3
_MAX_TITLE_CHARS: Final = 200
_JUNK_TITLE: Final = re.compile(
    r"^(?:untitled|title|document\d*|microsoft (?:word|powerpoint|excel) - .*"
    r"|.*\.(?:docx?|dvi|tex|indd|pptx?|xlsx?|pdf|ps|qxd|fm|eps|txt|odt))$",
    re.IGNORECASE,
)


def decode_pdf(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a PDF. Nothing in it is run and nothing outside of it is opened.

    The picture of a page or region is rendered straight to the model's size: the same as rendering at 144 DPI and
    scaling down by area to within 2 of 255 grey levels on average, for a third of the time. Pages that need OCR are
    rendered at `segmentation.page_dpi`, in grey.

    Args:
        path: The file.
        media_type: ``application/pdf``.
        options: Limits, DPI and picture size.

    Returns:
        Content with blocks, tables, pages and regions, and its arrays: pictures uint8 [1, S, S, 3], renders for
        OCR uint8 [H, W, 1].

    Raises:
        EncryptedError: It needs a password.
        CorruptError: It cannot be opened, or not one page can be read.
        LimitError: It has more pages than allowed, or every page is more than allowed.
        NoContentError: It has no pages.
    """
    with _opened(path) as document:
        _check(document, path, options)
        reader = _Reader(document, options)
        sheets = [
            sheet for number in range(1, document.page_count + 1) if (sheet := reader.read(number))
        ]
        if not sheets:
            first = reader.rejects[0]
            kind = LimitError if first.code == LimitError.code else CorruptError
            raise kind(f"{path}: none of its pages can be read: {first.reason}")
        return _content(document, media_type, reader, sheets), tuple(reader.store.arrays)


@dataclass(slots=True)
class _Sheet:
    """One page as read."""

    content: PageContent
    text: PageText
    tables: list[TableData]
    regions: list[RegionContent]
    taken: list[BBox]  # boxes whose text is not running text


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # MuPDF prints what it repairs; the reader of our log has no use for that.
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        document = pymupdf.open(path, filetype="pdf")
    except MUPDF_ERRORS as error:
        raise CorruptError(f"{path} cannot be opened as a PDF: {_reason(error)}") from error
    try:
        yield document
    finally:
        document.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _check(document: Any, path: Path, options: DecodeOptions) -> None:
    if document.needs_pass and not document.authenticate(""):
        raise EncryptedError(f"{path} needs a password: save a copy without one")
    try:
        count = document.page_count
    except MUPDF_ERRORS as error:
        raise CorruptError(f"{path}: its pages cannot be counted: {_reason(error)}") from error
    if count < 1:
        raise NoContentError(f"{path} has no pages")
    if count > options.limits.pages:
        raise LimitError(
            f"{path} has {count} pages, more than limits.pages = {options.limits.pages}"
        )


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


@dataclass(slots=True)
class _Reader:
    """Reads page after page; what is lost goes to `rejects`."""

    document: Any
    options: DecodeOptions
    store: ArrayStore = field(init=False)
    rejects: list[PartialReject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    chars: int = 0
    pixels: int = 0
    checked: set[int] = field(default_factory=set)  # xrefs of streams

    def __post_init__(self) -> None:
        self.store = ArrayStore(self.options.limits.decode_memory_bytes // 2)

    def read(self, number: int) -> _Sheet | None:
        """One page (1-based), or None if it is lost."""
        try:
            return self._sheet(number)
        except SourceError as error:
            self._lose(number, error.code, error.message)
        except MUPDF_ERRORS as error:
            self._lose(number, CorruptError.code, _reason(error))
        return None

    def _lose(self, number: int, code: str, reason: str) -> None:
        self.rejects.append(PartialReject("decode", code, reason, page=number))

    def _sheet(self, number: int) -> _Sheet:
        sizes = self._image_sizes(number)
        page = self.document[number - 1]
        self._check_streams(page)
        width, height = page.rect.width, page.rect.height
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise CorruptError(f"the page has no size ({width} x {height} points)")
        shown = page.get_displaylist()
        text = read_text(number, shown, (width, height))
        self._count(text)
        drawn = read_drawn(page)
        self._count_pixels(sizes, drawn)
        picture = _render(shown, (0, 0, width, height), self.options.frame_size)
        pixels = self.store.add(picture)
        ocr = self._render_for_ocr(page, shown, text, drawn, picture)
        content = PageContent(number, width, height, text.text, pixels, ocr)
        if ocr is not None:
            return _Sheet(content, text, [], [], [])
        tables = self._tables(page, drawn, text)
        regions, taken = self._regions(shown, drawn, text, tables)
        return _Sheet(content, text, tables, regions, taken)

    def _image_sizes(self, number: int) -> list[int]:
        """Pixels of the pictures that a page may draw; refuses one that would burst memory before it is decoded."""
        limit = self.options.limits.pixels
        sizes = []
        for _, _, width, height, *_ in self.document.get_page_images(number - 1):
            if width * height > limit:
                raise LimitError(
                    f"a picture of {width} x {height} pixels, more than limits.pixels = {limit}"
                )
            sizes.append(width * height)
        return sizes

    def _check_streams(self, page: Any) -> None:
        """Refuse a page whose drawing expands without end, before MuPDF runs it."""
        limit = self.options.limits.expanded_bytes
        forms = (form[0] for form in self.document.get_page_xobjects(page.number))
        for xref in {*page.get_contents(), *forms} - self.checked:
            if expands_beyond(self.document, xref, limit):
                raise LimitError(
                    f"its drawing expands to more than limits.expanded_bytes = {limit}"
                )
            self.checked.add(xref)

    def _count_pixels(self, sizes: list[int], drawn: Drawn) -> None:
        """Pages may share a long list of pictures and draw a few of it: the largest are counted."""
        self.pixels += sum(sorted(sizes, reverse=True)[: len(drawn.images)])
        limit = self.options.limits.file_pixels
        if self.pixels > limit:
            raise LimitError(
                f"the pictures up to here have more than limits.file_pixels = {limit} pixels"
            )

    def _count(self, text: PageText) -> None:
        self.chars += sum(len(line.text) for line in text.lines)
        limit = self.options.limits.text_chars
        if self.chars > limit:
            raise LimitError(
                f"the pages up to here have more than limits.text_chars = {limit} characters"
            )

    def _render_for_ocr(
        self, page: Any, shown: Any, text: PageText, drawn: Drawn, picture: NDArray[np.uint8]
    ) -> int | None:
        if not self.options.recognition.ocr or not _needs_ocr(text, drawn, picture):
            return None
        dpi = self.options.segmentation.page_dpi
        zoom = dpi / _POINTS_PER_INCH
        pixels = text.width_pt * text.height_pt * zoom * zoom
        most = min(_OCR_PIXELS, self.options.limits.pixels)
        if pixels > most:
            zoom *= sqrt(most / pixels)
            self.notes.append(
                f"page {text.number} read at {zoom * _POINTS_PER_INCH:.0f} DPI: it is very large"
            )
        pixmap = shown.get_pixmap(
            matrix=pymupdf.Matrix(zoom, zoom), colorspace=pymupdf.csGRAY, alpha=0
        )
        try:
            return self.store.add(_pixels_of(pixmap))
        except LimitError as error:
            self._lose(page.number + 1, error.code, f"not read by OCR: {error.message}")
            return None

    def _tables(self, page: Any, drawn: Drawn, text: PageText) -> list[TableData]:
        try:
            return find_tables(page, drawn, text)
        except MUPDF_ERRORS as error:
            self._lose(text.number, CorruptError.code, f"its tables: {_reason(error)}")
            return []

    def _regions(
        self, shown: Any, drawn: Drawn, text: PageText, tables: Sequence[TableData]
    ) -> tuple[list[RegionContent], list[BBox]]:
        most = self.options.limits.regions_per_page
        boxes = [table.bbox for table in tables if table.bbox]
        figures = find_figures(drawn, text, boxes, max(0, most - len(boxes)))
        found = [(f.kind, f.bbox, find_caption(f.bbox, text)) for f in figures]
        found += [("table", t.bbox, t.caption) for t in tables[:most] if t.bbox]  # type: ignore[misc]  # the kinds are those of RegionContent
        regions = []
        for kind, bbox, caption in found:
            pixels = self.store.add(_render(shown, bbox, self.options.frame_size))
            regions.append(RegionContent(kind, text.number, bbox, caption, pixels))
        labels = [
            line.bbox
            for line in text.lines
            if is_label(line) and any(share_inside(line.bbox, f.bbox) > 0.8 for f in figures)
        ]
        return regions, boxes + labels


def _needs_ocr(text: PageText, drawn: Drawn, picture: NDArray[np.uint8]) -> bool:
    """Whether a page has writing that its text layer does not have."""
    known = letters(text.text)
    if known >= _SCAN_LETTERS or not (drawn.images or drawn.paths):
        return False
    if int(picture.max()) - int(picture.min()) < _CONTRAST:
        return False
    largest = max((area(box) for box in drawn.images), default=0.0)
    return known < _FEW_LETTERS or largest > _SCAN_SHARE * text.width_pt * text.height_pt


def _render(shown: Any, bbox: BBox, side: int) -> NDArray[np.uint8]:
    """A part of a page on a white square, uint8 [1, side, side, 3]."""
    zoom = side / max(bbox[2] - bbox[0], bbox[3] - bbox[1])
    matrix = pymupdf.Matrix(zoom, zoom)
    pixmap = shown.get_pixmap(
        matrix=matrix, colorspace=pymupdf.csRGB, alpha=0, clip=pymupdf.Rect(bbox)
    )
    return letterbox(_pixels_of(pixmap), side)


def _pixels_of(pixmap: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(pixmap.samples_mv, dtype=np.uint8).reshape(pixmap.height, pixmap.stride)
    used = rows[:, : pixmap.width * pixmap.n].reshape(pixmap.height, pixmap.width, pixmap.n)
    return used.copy()  # the pixmap's memory goes with it


def _content(document: Any, media_type: str, reader: _Reader, sheets: list[_Sheet]) -> Content:
    texts = [sheet.text for sheet in sheets]
    body_pt = body_size(texts)
    taken = {sheet.text.number: sheet.taken for sheet in sheets}
    blocks = build_blocks(texts, _outline(document), body_pt, taken)
    if document.is_repaired:
        reader.notes.append("damaged, repaired while reading")
    return Content(
        media_type=media_type,
        title=_title(document, texts, body_pt),
        blocks=blocks,
        tables=tuple(table for sheet in sheets for table in sheet.tables),
        pages=tuple(sheet.content for sheet in sheets),
        regions=tuple(region for sheet in sheets for region in sheet.regions),
        notes=tuple(reader.notes),
        rejects=tuple(reader.rejects),
    )


def _outline(document: Any) -> Outline:
    try:
        return Outline.of(document.get_toc(simple=True))
    except MUPDF_ERRORS:
        return Outline()  # bookmarks only add levels to headings that type sizes show as well


def _title(document: Any, texts: Sequence[PageText], body_pt: float) -> str:
    """The title in the file's properties if it is one, else the largest type on the first page with text."""
    stated = " ".join(str((document.metadata or {}).get("title") or "").split())
    if letters(stated) >= 3 and not _JUNK_TITLE.match(stated):
        return stated[:_MAX_TITLE_CHARS]
    lines = next((text.lines for text in texts if text.groups), [])
    top = max((line.size for line in lines), default=0.0)
    if top < _TITLE_SCALE * body_pt:
        return ""
    largest = [line.text for line in lines if line.size >= 0.95 * top]
    title = join_lines(largest)
    return title if letters(title) >= 3 and len(title) <= _MAX_TITLE_CHARS else ""
