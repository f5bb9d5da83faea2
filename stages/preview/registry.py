"""From a unit's place in its source to a small picture: one row says which function draws it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Final, cast

from schemas.errors import UnsupportedError
from stages.decode._fence import fenced
from stages.decode._ffmpeg import program

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

    from schemas.partition import Partition
    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

    Draw = Callable[[Path, str, Locator, PreviewOptions], Image]

_JPEG_QUALITY: Final = 85


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """Who draws what: patterns (as of shells) of the source's media type and of the unit's partition."""

    media_type: str
    partition: str
    function: str  # "module:function", which takes (path, media_type, locator, options)


# The first row that fits draws.
PREVIEWS: Final = (
    PreviewRow("application/pdf", "page/page", "stages.preview.page:draw_page"),
    PreviewRow("application/pdf", "*", "stages.preview.region:draw_region"),
    PreviewRow("image/*", "*", "stages.preview.picture:draw_picture"),
    PreviewRow("*", "audio/*", "stages.preview.waveform:draw_waveform"),
    PreviewRow("*", "video/*", "stages.preview.frames:draw_frames"),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """A drawn preview.

    Attributes:
        data: A PNG or JPEG file, whichever is smaller.
        media_type: ``image/png`` or ``image/jpeg``.
        width: In pixels.
        height: In pixels.
    """

    data: bytes
    media_type: str
    width: int
    height: int


def preview(
    path: Path, partition: Partition, locator: Locator, media_type: str, options: PreviewOptions
) -> Preview:
    """Draw one unit, behind the fence of the decoders (:mod:`stages.decode._fence`), in this process.

    ffmpeg is ended at the deadline; MuPDF and Pillow cannot be: who does not trust the file draws it with
    :func:`stages.preview.apart.preview_apart`.

    Args:
        path: The source.
        partition: The unit's.
        locator: Its place in the source.
        media_type: What the source was decoded as.
        options: Size and limits.

    Raises:
        UnsupportedError: A unit of this kind, or at this place, cannot be shown as a picture.
        SourceError: Whatever is wrong with the file; see :func:`stages.decode.registry.decode`.
    """
    draw = _function(partition, media_type)
    return fenced(
        path,
        lambda: encoded(draw(path, media_type, locator, options)),
        program=program(),
    )


def encoded(picture: Image) -> Preview:
    """A picture as the smaller of PNG and JPEG."""
    shown = picture.convert("RGB")
    png, jpeg = _saved(shown, "PNG"), _saved(shown, "JPEG", quality=_JPEG_QUALITY)
    data, media_type = (png, "image/png") if len(png) <= len(jpeg) else (jpeg, "image/jpeg")
    return Preview(data, media_type, *shown.size)


def _saved(picture: Image, kind: str, **options: int) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _function(partition: Partition, media_type: str) -> Draw:
    for row in PREVIEWS:
        if fnmatchcase(media_type, row.media_type) and fnmatchcase(str(partition), row.partition):
            module, _, name = row.function.partition(":")
            return cast("Draw", getattr(import_module(module), name))
    raise UnsupportedError(f"there is no preview of {partition} in {media_type}: read its text")
