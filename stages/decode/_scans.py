"""Scanned documents: files of several pages that are pictures, each a page to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from schemas.content import Content, PageContent, PartialReject
from schemas.errors import CorruptError, LimitError, SourceError
from stages.decode._colour import counts_from_white, shown_in_srgb
from stages.decode._frames import PILLOW_ERRORS, Pages
from stages.decode._pixels import OCR_SIDE_PX, ArrayStore, could_hold_text, for_ocr, letterbox

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from stages.decode.options import DecodeOptions

_POINTS_PER_INCH: Final = 72.0
_CM_PER_INCH: Final = 2.54
# TIFF 6.0.
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3
_RESOLUTIONS: Final = (10.0, 10_000.0)  # per inch; others are no scanner's
_SQUARE: Final = (0.99, 1.01)
_SKEWED: Final = (0.2, 5.0)  # a fax has 204 x 98 dots an inch


@dataclass(slots=True)
class ScanReader:
    """Reads page after page of an open file; what is lost goes to `rejects`.

    Attributes:
        image: Open, at any frame.
        options: Limits and picture size.
    """

    image: Image.Image
    options: DecodeOptions
    store: ArrayStore = field(init=False)
    rejects: list[PartialReject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pixels: int = 0

    def __post_init__(self) -> None:
        self.store = ArrayStore(self.options.limits.decode_memory_bytes // 2)

    def read(self, path: Path, media_type: str, pages: Pages) -> Content:
        """All pages.

        Raises:
            CorruptError: Not one can be read.
            LimitError: Each is more than allowed.
        """
        read = [self._page(number, frame) for number, frame in enumerate(pages.frames, 1)]
        kept = tuple(page for page in read if page is not None)
        if not kept:
            first = self.rejects[0]
            kind = LimitError if first.code == LimitError.code else CorruptError
            raise kind(f"{path}: none of its pages can be read: {first.reason}")
        if pages.lost:
            self._lose(len(read) + 1, CorruptError.code, f"no further page is found: {pages.lost}")
        if pages.left_out:
            self.notes.append(f"{pages.left_out} smaller copies or masks left out")
        notes = tuple(dict.fromkeys(self.notes))
        return Content(media_type, pages=kept, notes=notes, rejects=tuple(self.rejects))

    def _page(self, number: int, frame: int) -> PageContent | None:
        try:
            return self._read(number, frame)
        except SourceError as error:
            self._lose(number, error.code, error.message)
        except Image.DecompressionBombError as error:
            self._lose(number, LimitError.code, str(error))
        except PILLOW_ERRORS as error:
            self._lose(number, CorruptError.code, f"{type(error).__name__}: {error}")
        return None

    def _lose(self, number: int, code: str, reason: str) -> None:
        self.rejects.append(PartialReject("decode", code, reason, page=number))

    def _read(self, number: int, frame: int) -> PageContent:
        self.image.seek(frame)
        self._count(self.image.width * self.image.height)
        dots = _dots_per_inch(self.image)
        negative = counts_from_white(self.image)
        self.image.load()
        picture = _squared(shown_in_srgb(self.image, self.notes, negative=negative), dots)
        pixels = self.store.add(page_picture(picture, self.options.frame_size))
        return PageContent(
            number,
            round(self.image.width * _POINTS_PER_INCH / dots[0], 2),
            round(self.image.height * _POINTS_PER_INCH / dots[1], 2),
            "",
            pixels,
            self._for_ocr(number, picture),
        )

    def _count(self, pixels: int) -> None:
        limits = self.options.limits
        if pixels > limits.pixels:
            raise LimitError(f"{pixels} pixels, more than limits.pixels = {limits.pixels}")
        self.pixels += pixels
        if self.pixels > limits.file_pixels:
            raise LimitError(
                f"the pages up to here have more than limits.file_pixels = {limits.file_pixels} pixels"
            )

    def _for_ocr(self, number: int, picture: Image.Image) -> int | None:
        if not self.options.recognition.ocr or not could_hold_text(picture):
            return None
        try:
            return self.store.add(for_ocr(picture.convert("L"))[:, :, np.newaxis])
        except LimitError as error:
            self._lose(number, error.code, f"not read by OCR: {error.message}")
            return None


def page_picture(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """A whole picture on a white square, uint8 [1, side, side, 3]."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return letterbox(np.asarray(small, dtype=np.uint8), side)


def _dots_per_inch(image: Image.Image) -> tuple[float, float]:
    """Across and down; 72, which makes a pixel a point, where the file does not say or says nonsense."""
    tags = getattr(image, "tag_v2", {})
    try:
        across, down = float(tags.get(_X_RESOLUTION, 0)), float(tags.get(_Y_RESOLUTION, 0))
    except (TypeError, ValueError, ZeroDivisionError):
        return _POINTS_PER_INCH, _POINTS_PER_INCH
    if tags.get(_RESOLUTION_UNIT, _INCH) == _CENTIMETRE:
        across, down = across * _CM_PER_INCH, down * _CM_PER_INCH
    low, high = _RESOLUTIONS
    if not (low <= across <= high and low <= down <= high):
        return _POINTS_PER_INCH, _POINTS_PER_INCH
    return across, down if _SKEWED[0] <= across / down <= _SKEWED[1] else across


def _squared(picture: Image.Image, dots: tuple[float, float]) -> Image.Image:
    """With square pixels, as many as the finer direction has: a fax is stored at half its height."""
    ratio = dots[0] / dots[1]
    if _SQUARE[0] <= ratio <= _SQUARE[1]:
        return picture
    width = round(picture.width * max(1.0, 1 / ratio))
    height = round(picture.height * max(1.0, ratio))
    # More than OCR gets is of no use, and a stretched giant would not fit.
    shrink = min(1.0, 2 * OCR_SIDE_PX / max(width, height))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return picture.resize(size, Image.Resampling.BICUBIC)
