"""Pictures by Pillow: upright, sRGB on white, at model size, and large enough to read what is written on them."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from PIL import AvifImagePlugin, ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from schemas.content import Content, CropContent, ImageContent
from schemas.errors import CorruptError, LimitError, UnsupportedError
from stages.decode._colour import counts_from_white, shown_in_srgb
from stages.decode._frames import PILLOW_ERRORS, choose_frame, pages_of
from stages.decode._pixels import OCR_SIDE_PX, ArrayStore, centre_crop, could_hold_text, for_ocr
from stages.decode._scans import ScanReader, page_picture
from stages.near import phash_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np

    from schemas.config import Limits
    from schemas.content import BBox
    from stages.decode.options import DecodeOptions

# Named one by one: Pillow also has formats that call another program (EPS: Ghostscript), that the system's own
# renderer draws (WMF, EMF), that nest further files and codecs (PDF, FPX, MIC, HDF5, GRIB, BUFR) or that unpack
# without a limit (FITS). AVIF stands before HEIF: both take a file whose main brand is mif1, and only AVIF refuses.
FORMATS: Final = (
    "PNG", "JPEG", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "HEIF", "ICO", "CUR", "ICNS", "PPM", "PCX",
    "DCX", "TGA", "SGI", "SUN", "QOI", "DDS", "BLP", "PSD", "XBM", "XPM", "FLI", "IM", "MSP", "SPIDER",
)  # fmt: skip

_EXPANDED: Final = "Decompressed data too large"  # all that PngImagePlugin says of a bomb
# EXIF 2.3, tag 0x0112, to the transposition that undoes it.
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS: Final = (5, 6, 7, 8)
# Left, top, right, bottom as shares of the picture: the whole, its centre, its quarters.
_CROPS: Final = (
    (0.0, 0.0, 1.0, 1.0),
    (0.25, 0.25, 0.75, 0.75),
    (0.0, 0.0, 0.5, 0.5),
    (0.5, 0.0, 1.0, 0.5),
    (0.0, 0.5, 0.5, 1.0),
    (0.5, 0.5, 1.0, 1.0),
)


def decode_image(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a picture; of an animation one frame, of a file of several pages all.

    Args:
        path: The file.
        media_type: What its bytes say it is.
        options: Limits and picture size S.

    Returns:
        Content and its arrays. Of one picture an `ImageContent` (size as it is shown): the picture at model size
        uint8 [1, S, S, 3], for OCR uint8 [H, W, 3] with its long side at most 1600, and its crops if they are asked
        for. Of several pages a `PageContent` each: the whole page on a square uint8 [1, S, S, 3], and for OCR
        uint8 [H, W, 1].

    Raises:
        LimitError: It has more pixels or pages than allowed.
        CorruptError: It cannot be read to its end, or none of its pages can.
        UnsupportedError: No reader takes it.
    """
    with _opened(path, options.limits) as image:
        pages = pages_of(image, options.limits)
        if len(pages.frames) > 1:
            reader = ScanReader(image, options)
            return reader.read(path, media_type, pages), tuple(reader.store.arrays)
        if image.tell() != pages.frames[0]:
            image.seek(pages.frames[0])
        _check_size(path, image.size, options.limits.pixels)
        notes: list[str] = []
        picture, size = _shown(image, options.limits, notes)
        _check_size(path, size, options.limits.pixels)
    if pages.left_out:
        notes.append(f"{pages.left_out} smaller copies or masks left out")
    if pages.lost:
        notes.append(f"damaged after the first picture: {pages.lost}")
    return picture_content(picture, size, media_type, options, notes)


def picture_content(
    picture: Image.Image,
    size: tuple[int, int],
    media_type: str,
    options: DecodeOptions,
    notes: list[str],
    text: str = "",
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """What one picture gives, however it was decoded.

    Args:
        picture: Upright, RGB.
        size: Its width and height in pixels as it is shown, which may be more than `picture` has.
        media_type: What the file is.
        options: Picture size S.
        notes: What a person should know.
        text: What is known to be written on it; then it is not read by OCR.
    """
    store = ArrayStore(options.limits.decode_memory_bytes)
    pixels = store.add(centre_crop(picture, options.frame_size))
    ocr = None
    if options.recognition.ocr and not text and could_hold_text(picture):
        ocr = store.add(for_ocr(picture))
    crops = _crops(picture, size, options, store) if options.segmentation.image_regions else ()
    image = ImageContent(*size, pixels, text, ocr, crops, phash_of(picture))
    return Content(media_type=media_type, image=image, notes=tuple(notes)), tuple(store.arrays)


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[Image.Image]:
    """The picture, opened; whatever Pillow says of damage while it is used becomes CorruptError."""
    _prepare()
    # Pillow's own limits hold for the whole process. It refuses twice the first, and only warns below that.
    Image.MAX_IMAGE_PIXELS = (limits.pixels + 1) // 2
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = limits.expanded_bytes
    try:
        # Warnings (odd metadata, palettes, sizes) are about what is handled here; the size has its own check.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                yield image
    except UnidentifiedImageError as error:
        raise UnsupportedError(
            f"{path} is no picture that can be read, or its header is damaged"
        ) from error
    except Image.DecompressionBombError as error:
        raise LimitError(
            f"{path} has more pixels than limits.pixels = {limits.pixels}: {error}"
        ) from error
    except MemoryError as error:
        raise LimitError(f"{path}: the picture does not fit in memory") from error
    except PILLOW_ERRORS as error:
        if _EXPANDED in str(error):
            raise LimitError(
                f"{path}: a text or profile in it expands to more than"
                f" limits.expanded_bytes = {limits.expanded_bytes}"
            ) from error
        raise CorruptError(
            f"{path}: the picture is damaged: {type(error).__name__}: {error}"
        ) from error


@cache
def _prepare() -> None:
    """Teach Pillow to read HEIF, and nothing else of pillow-heif's; keep decoders to one thread."""
    from pillow_heif import options as heif
    from pillow_heif.as_plugin import HeifImageFile

    # A thumbnail inside the file may show something else, and depth maps are not looked at.
    heif.THUMBNAILS = heif.DEPTH_IMAGES = heif.AUX_IMAGES = False
    heif.DECODE_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    Image.register_open(HeifImageFile.format, HeifImageFile, _is_heif)


def _is_heif(prefix: bytes) -> bool:
    """By the brands of ISO/IEC 23008-12, annex B; main brands mif1 and msf1 say nothing of the codec."""
    return prefix[4:8] == b"ftyp" and (prefix[8:10] == b"he" or prefix[8:12] in (b"mif1", b"msf1"))


def _check_size(path: Path, size: tuple[int, int], limit: int) -> None:
    width, height = size
    if width * height > limit:
        raise LimitError(f"{path} has {width} x {height} pixels, more than limits.pixels = {limit}")
    if width < 1 or height < 1:
        raise CorruptError(f"{path} has {width} x {height} pixels")


def _shown(
    image: Image.Image, limits: Limits, notes: list[str]
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture as it is to be shown, RGB, and the size that it has in the file when upright."""
    whole = image.size
    # JPEG decodes to a half, quarter or eighth at once; no use is made of more pixels than OCR gets.
    drafted = image.draft(None, (OCR_SIDE_PX, OCR_SIDE_PX)) is not None
    negative = counts_from_white(image)
    notes += choose_frame(image, limits)
    if not drafted:
        whole = image.size  # HEIF knows it once decoded
    upright, turned = _upright(image, notes)
    size = (whole[1], whole[0]) if turned else whole
    return shown_in_srgb(upright, notes, negative=negative), size


def _upright(image: Image.Image, notes: list[str]) -> tuple[Image.Image, bool]:
    """The loaded picture as EXIF says it is to be shown, and whether that swaps width and height."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except PILLOW_ERRORS:
        notes.append("damaged EXIF data: shown as it is stored")
        return image, False
    if orientation not in _TURNS:
        return image, False
    return image.transpose(_TURNS[orientation]), orientation in _SWAPS


def _crops(
    picture: Image.Image, size: tuple[int, int], options: DecodeOptions, store: ArrayStore
) -> tuple[CropContent, ...]:
    """Parts of a picture that is large enough for each to fill the model's size; none of a smaller one."""
    if min(picture.size) < 2 * options.frame_size:
        return ()
    crops = []
    for share in _CROPS:
        x0, y0, x1, y1 = _scaled(share, picture.size)
        part = picture.crop((round(x0), round(y0), round(x1), round(y1)))
        crops.append(
            CropContent(_scaled(share, size), store.add(page_picture(part, options.frame_size)))
        )
    return tuple(crops)


def _scaled(share: BBox, size: tuple[int, int]) -> BBox:
    width, height = size
    return share[0] * width, share[1] * height, share[2] * width, share[3] * height
