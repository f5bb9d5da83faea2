"""Page after page of a PDF: text, pictures, and what stands beside its running text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, partial
from math import sqrt
from typing import TYPE_CHECKING, Any, Final

from schemas.content import PageContent, PartialReject
from schemas.errors import CorruptError, LimitError, SourceError
from stages.decode._mupdf import MUPDF_ERRORS, reason_of
from stages.decode._pdf_expansion import check_drawing, picture_sizes
from stages.decode._pdf_objects import ObjectReader, PageObjects
from stages.decode._pdf_regions import Drawn, read_drawn
from stages.decode._pdf_render import render, render_grey
from stages.decode._pdf_text import PageText, letters, read_text, text_layer
from stages.decode._pixels import ArrayStore
from stages.decode.layout import area

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from stages.decode.options import DecodeOptions

_POINTS_PER_INCH: Final = 72
_FEW_LETTERS: Final = 10  # a page number or a stamp is not a text layer
_SCAN_LETTERS: Final = 100  # of the page itself, on one that is a picture nearly as a whole
_STAMP_SHARE: Final = (
    0.12  # of its height, at the top and at the bottom, where a library stamps its name
)
_SCAN_SHARE: Final = 0.7
_OCR_PIXELS: Final = (
    16_000_000  # four times A4 at 144 DPI; the text detector scales down far below that
)
_CONTRAST: Final = 48  # of 255; a page without it is blank


@dataclass(slots=True)
class Sheet:
    """One page as read."""

    content: PageContent
    text: PageText
    objects: PageObjects


@dataclass(slots=True)
class PageReader:
    """Reads page after page; what is lost goes to `rejects`."""

    document: Any
    options: DecodeOptions
    store: ArrayStore = field(init=False)
    rejects: list[PartialReject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    chars: int = 0
    pixels: int = 0
    checked: set[int] = field(default_factory=set)  # xrefs of streams
    objects: ObjectReader = field(init=False)

    def __post_init__(self) -> None:
        self.store = ArrayStore(self.options.limits.decode_memory_bytes // 2)
        self.objects = ObjectReader(self.options, self.store, self.rejects)

    def read(self, number: int) -> Sheet | None:
        """One page (1-based), or None if it is lost."""
        try:
            return self._sheet(number)
        except SourceError as error:
            self._lose(number, error.code, error.message)
        except MUPDF_ERRORS as error:
            self._lose(number, CorruptError.code, reason_of(error))
        return None

    def _lose(self, number: int, code: str, reason: str) -> None:
        self.rejects.append(PartialReject("decode", code, reason, page=number))

    def _sheet(self, number: int) -> Sheet:
        sizes = picture_sizes(self.document, number, self.options.limits.pixels)
        page = self.document[number - 1]
        check_drawing(page, self.options.limits.expanded_bytes, self.checked)
        width, height = page_size(page)
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise CorruptError(f"the page has no size ({width} x {height} points)")
        shown = page.get_displaylist()
        layer = text_layer(shown)
        text = read_text(number, layer, (width, height))
        self._count(text)
        drawn = read_drawn(shown)
        self._count_pixels(sizes, drawn)
        picture = cache(partial(render, shown, (0, 0, width, height), self.options.frame_size))
        pictured = self.options.segmentation.page_pictures
        pixels = self.store.add(picture()) if pictured else None
        ocr = self._render_for_ocr(shown, text, drawn, picture)
        content = PageContent(number, width, height, text.text, pixels, ocr)
        if text.is_broken:
            self._tell_broken(number, ocr)
        if ocr is not None:
            return Sheet(content, text, PageObjects())
        objects = self.objects.read(page, shown, layer, drawn, text)
        return Sheet(replace(content, layout_array=objects.layout_array), text, objects)

    def _tell_broken(self, number: int, ocr: int | None) -> None:
        what = "its fonts do not say which characters they show"
        if ocr is not None:
            self.notes.append(f"page {number} is read by OCR: {what}")
        elif not self.options.recognition.ocr:
            self._lose(number, CorruptError.code, f"{what}, and OCR is off (recognition.ocr)")

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
        self, shown: Any, text: PageText, drawn: Drawn, picture: Callable[[], NDArray[np.uint8]]
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
        try:
            return self.store.add(render_grey(shown, zoom))
        except LimitError as error:
            self._lose(text.number, error.code, f"not read by OCR: {error.message}")
            return None


def page_size(page: Any) -> tuple[float, float]:
    """Width and height of a pymupdf.Page in points, as it is shown."""
    shown = page.rect  # worked out each time it is asked for
    return shown.width, shown.height


def _needs_ocr(text: PageText, drawn: Drawn, picture: Callable[[], NDArray[np.uint8]]) -> bool:
    """Whether a page has writing that its text layer does not have."""
    if not _lacks_text(text, drawn):
        return False
    pixels = picture()
    return int(pixels.max()) - int(pixels.min()) >= _CONTRAST


def _lacks_text(text: PageText, drawn: Drawn) -> bool:
    if text.is_broken:
        return True
    if not (drawn.images or drawn.paths):
        return False
    page_area = text.width_pt * text.height_pt
    if max((area(box) for box in drawn.images), default=0.0) > _SCAN_SHARE * page_area:
        return _letters_inside(text) < _SCAN_LETTERS
    return letters(text.text) < _FEW_LETTERS


def _letters_inside(text: PageText) -> int:
    """Letters apart from those at the edges, as "downloaded from" on each page of a scan."""
    top, bottom = _STAMP_SHARE * text.height_pt, (1 - _STAMP_SHARE) * text.height_pt
    inside = (line for line in text.lines if line.bbox[3] > top and line.bbox[1] < bottom)
    return sum(letters(line.text) for line in inside)
