"""Files of several pictures: which frame of an animation is looked at, which pictures of a TIFF are pages."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image

from schemas.errors import LimitError

if TYPE_CHECKING:
    from schemas.config import Limits

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
_ANIMATED: Final = ("GIF", "PNG", "WEBP", "AVIF", "FLI")
_PAGED: Final = ("TIFF", "DCX")
_FRAMES_TRIED: Final = 16  # fades from a colour take less than a second
# TIFF 6.0: NewSubfileType has bit 0 for a smaller copy and bit 2 for a mask; the old SubfileType says 2 for a copy.
_NEW_SUBFILE, _SUBFILE, _COPY_OR_MASK, _OLD_COPY = 254, 255, 0b101, 2


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a file.

    Attributes:
        frames: Position of each page's picture in the file, 0-based; one for a file with one picture.
        left_out: Smaller copies and masks beside them.
        lost: Why the pages after the last of `frames` cannot be found; empty if there are none.
    """

    frames: tuple[int, ...]
    left_out: int = 0
    lost: str = ""


def pages_of(image: Image.Image, limits: Limits) -> Pages:
    """Which pictures of a file are pages; of a format that has none, the one it opens with.

    Raises:
        LimitError: More than allowed.
    """
    if image.format not in _PAGED:
        return Pages((image.tell(),))
    frames, left_out, lost = [], 0, ""
    for frame in range(limits.pages + 1):
        try:
            image.seek(frame)
        except EOFError:
            break
        except Image.DecompressionBombError:  # it is there; whoever reads it will say so again
            frames.append(frame)
            continue
        except PILLOW_ERRORS as error:
            lost = f"{type(error).__name__}: {error}"
            break
        if _is_page(image):
            frames.append(frame)
        else:
            left_out += 1
    else:
        name = getattr(image, "filename", "the file")
        raise LimitError(f"{name} has more than limits.pages = {limits.pages} pages")
    return Pages(tuple(frames) or (0,), left_out if frames else 0, lost)


def choose_frame(image: Image.Image, limits: Limits) -> list[str]:
    """Go to the frame of an animation that is looked at, and load it: the first that is not of one colour alone.

    Returns:
        A note, if there are several frames or pictures.
    """
    if image.format in _PAGED:  # the pictures beside it are no pages
        image.load()
        return []
    try:
        frames = int(getattr(image, "n_frames", 1))
    except PILLOW_ERRORS:  # a damaged later frame does not concern the first one
        image.load()
        return ["several frames, not all of them readable: first one"]
    if frames < 2:
        image.load()
        return []
    if image.format == "PSD":
        image.load()
        return [f"{frames} layers, shown together"]
    if image.format not in _ANIMATED:
        image.load()
        return [f"several pictures: {_ordinal(image.tell())} of {frames}"]
    chosen = _first_with_content(image, frames, limits)
    if not chosen:
        return [f"animated: first of {frames} frames"]
    return [f"animated: frame {chosen + 1} of {frames}, those before it are of one colour"]


def _first_with_content(image: Image.Image, frames: int, limits: Limits) -> int:
    affordable = limits.pixels // (image.width * image.height)
    tried = min(frames, _FRAMES_TRIED, max(1, affordable))
    for frame in range(tried):
        try:
            image.seek(frame)
            image.load()
        except (*PILLOW_ERRORS, Image.DecompressionBombError):  # the first one is good all the same
            if not frame:
                raise
            break
        if image.convert("RGBA").getcolors(maxcolors=1) is None:
            return frame
    image.seek(0)
    image.load()
    return 0


def _is_page(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return True
    kind = tags.get(_NEW_SUBFILE, 0)
    copy_or_mask = isinstance(kind, int) and bool(kind & _COPY_OR_MASK)
    return not copy_or_mask and tags.get(_SUBFILE) != _OLD_COPY


def _ordinal(frame: int) -> str:
    return "first" if frame == 0 else f"number {frame + 1}"
