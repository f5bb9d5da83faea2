"""Pictures by Pillow: upright, RGB on white, at model size, and large enough to read what is written on them."""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from schemas.content import Content, ImageContent
from schemas.errors import CorruptError, LimitError, UnsupportedError
from stages.decode._pixels import ArrayStore, centre_crop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.config import Limits
    from stages.decode.options import DecodeOptions

# Named one by one: Pillow also has formats that call another program (EPS: Ghostscript), that the system's own
# renderer draws (WMF, EMF), or that nest further files and codecs (PDF, FPX, MIC, HDF5, GRIB, BUFR).
FORMATS: Final = (
    "PNG", "JPEG", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "WEBP", "AVIF", "ICO", "CUR", "ICNS", "PPM", "PCX",
    "DCX", "TGA", "SGI", "SUN", "QOI", "DDS", "BLP", "PSD", "XBM", "XPM", "FLI", "IM", "MSP", "SPIDER",
)  # fmt: skip

# What Pillow's readers let out for damaged files.
PILLOW_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    struct.error,
)
_EXPANDED: Final = "Decompressed data too large"  # all that PngImagePlugin says of a bomb
_OCR_SIDE_PX: Final = 1600  # more does not help the text detector, which scales to 1280
_MIN_OCR_SIDE_PX: Final = 16  # nothing legible is lower
_BYTE_MAX: Final = 255
_LARGE_PIXELS: Final = 8_000_000
_REDUCIBLE: Final = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr")
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
_WHITE: Final = (255, 255, 255, 255)


def decode_image(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a picture; of an animation or a file of several pages the first.

    Args:
        path: The file.
        media_type: What its bytes say it is.
        options: Limits and picture size S.

    Returns:
        Content with an `ImageContent` (size as it is shown), and its arrays: the picture at model size
        uint8 [1, S, S, 3], and for OCR uint8 [H, W, 3] with its long side at most 1600.

    Raises:
        LimitError: It has more pixels than allowed.
        CorruptError: It cannot be read to its end.
        UnsupportedError: No reader takes it.
    """
    notes: list[str] = []
    with _opened(path, options.limits) as image:
        width, height = image.size
        _check_size(path, width, height, options.limits.pixels)
        notes += _frames_note(image)
        # JPEG decodes to a half, quarter or eighth at once; no use is made of more pixels than OCR gets.
        image.draft(None, (_OCR_SIDE_PX, _OCR_SIDE_PX))
        picture, turned = _upright(image, notes)
        picture = _on_white(_to_eight_bits(_shrunk(picture)))
    if turned:
        width, height = height, width
    store = ArrayStore(options.limits.decode_memory_bytes)
    pixels = store.add(centre_crop(picture, options.frame_size))
    ocr = None
    if options.recognition.ocr and _could_hold_text(picture):
        ocr = store.add(_for_ocr(picture))
    content = ImageContent(width, height, pixels, ocr_array=ocr)
    return Content(media_type=media_type, image=content, notes=tuple(notes)), tuple(store.arrays)


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[Image.Image]:
    """The picture, opened; whatever Pillow says of damage while it is used becomes CorruptError."""
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


def _check_size(path: Path, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise LimitError(f"{path} has {width} x {height} pixels, more than limits.pixels = {limit}")
    if width < 1 or height < 1:
        raise CorruptError(f"{path} has {width} x {height} pixels")


def _frames_note(image: Image.Image) -> list[str]:
    try:
        frames = int(getattr(image, "n_frames", 1))
    except PILLOW_ERRORS:  # a damaged later frame does not concern the first one
        return ["several frames, not all of them readable: first one"]
    if frames < 2:
        return []
    animated = image.format in ("GIF", "PNG", "WEBP", "AVIF", "FLI")
    return [f"{'animated' if animated else 'several pictures'}: first of {frames} frames"]


def _upright(image: Image.Image, notes: list[str]) -> tuple[Image.Image, bool]:
    """The first frame as EXIF says it is to be shown, and whether that swaps width and height."""
    image.seek(0)
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except PILLOW_ERRORS:
        notes.append("damaged EXIF data: shown as it is stored")
        return image, False
    if orientation not in _TURNS:
        return image, False
    return image.transpose(_TURNS[orientation]), orientation in _SWAPS


def _shrunk(image: Image.Image) -> Image.Image:
    """Very large pictures are averaged down first, so that the steps after this one copy little."""
    factor = int(sqrt(image.width * image.height / _LARGE_PIXELS))
    if factor < 2 or image.mode not in _REDUCIBLE:
        return image
    return image.reduce(factor)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float pictures scaled to 0..255 (Pillow would clip them); others as they are."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image, dtype=np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0 if high > _BYTE_MAX else float(_BYTE_MAX)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * (
        _BYTE_MAX / max(high - low, 1e-12)
    )
    return Image.fromarray(np.clip(np.rint(scaled), 0, _BYTE_MAX).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, _WHITE)
        ground.alpha_composite(layer)
        return ground.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _could_hold_text(picture: Image.Image) -> bool:
    """Neither too small nor of one colour."""
    if min(picture.size) < _MIN_OCR_SIDE_PX:
        return False
    return picture.getcolors(maxcolors=1) is None


def _for_ocr(picture: Image.Image) -> np.ndarray:
    scale = _OCR_SIDE_PX / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.uint8)
