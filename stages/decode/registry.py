"""From a file to its content: the type is read from the bytes, then one decoder is loaded and called."""

from __future__ import annotations

import stat
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from schemas.errors import EmptyError, LimitError, NoContentError, UnreadableError, UnsupportedError
from stages.decode.sniff import sniff

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from schemas.content import Content
    from stages.decode.options import DecodeOptions

    Decoded = tuple[Content, tuple[np.ndarray, ...]]
    Decoder = Callable[[Path, str, DecodeOptions], Decoded]

_IMAGE: Final = "stages.decode.image:decode_image"
_AUDIO: Final = "stages.decode.audio:decode_audio"
_VIDEO: Final = "stages.decode.video:decode_video"
_CSV: Final = "stages.decode.csv:decode_csv"

# media type -> "module:function"; the function takes (path, media_type, options).
DECODERS: Final[dict[str, str]] = {
    "text/plain": "stages.decode.text:decode_text",
    "text/markdown": "stages.decode.markdown:decode_markdown",
    "text/html": "stages.decode.html:decode_html",
    "text/csv": _CSV,
    "text/tab-separated-values": _CSV,
    "application/pdf": "stages.decode.pdf:decode_pdf",
    "image/png": _IMAGE,
    "image/jpeg": _IMAGE,
    "image/gif": _IMAGE,
    "image/bmp": _IMAGE,
    "image/tiff": _IMAGE,
    "image/webp": _IMAGE,
    "image/avif": _IMAGE,
    "image/jp2": _IMAGE,
    "image/x-icon": _IMAGE,
    "image/icns": _IMAGE,
    "image/vnd.adobe.photoshop": _IMAGE,
    "image/x-portable-anymap": _IMAGE,
    "image/vnd.zbrush.pcx": _IMAGE,
    "image/vnd-ms.dds": _IMAGE,
    "image/x-blp": _IMAGE,
    "image/x-dcx": _IMAGE,
    "image/x-fli": _IMAGE,
    "image/x-im": _IMAGE,
    "image/x-msp": _IMAGE,
    "image/x-tga": _IMAGE,
    "image/x-sgi": _IMAGE,
    "image/x-sun-raster": _IMAGE,
    "image/x-qoi": _IMAGE,
    "image/x-xbitmap": _IMAGE,
    "image/x-xpixmap": _IMAGE,
    "audio/wav": _AUDIO,
    "audio/aiff": _AUDIO,
    "audio/mpeg": _AUDIO,
    "audio/aac": _AUDIO,
    "audio/ac3": _AUDIO,
    "audio/mp4": _AUDIO,
    "audio/ogg": _AUDIO,
    "audio/flac": _AUDIO,
    "audio/amr": _AUDIO,
    "audio/basic": _AUDIO,
    "audio/x-caf": _AUDIO,
    "audio/x-ape": _AUDIO,
    "audio/x-dff": _AUDIO,
    "audio/x-dsf": _AUDIO,
    "audio/x-matroska": _AUDIO,
    "audio/x-ms-wma": _AUDIO,
    "audio/x-musepack": _AUDIO,
    "audio/x-tak": _AUDIO,
    "audio/x-tta": _AUDIO,
    "audio/x-wavpack": _AUDIO,
    "video/mp4": _VIDEO,
    "video/quicktime": _VIDEO,
    "video/x-matroska": _VIDEO,
    "video/webm": _VIDEO,
    "video/x-msvideo": _VIDEO,
    "video/x-ms-wmv": _VIDEO,
    "video/x-flv": _VIDEO,
    "video/mpeg": _VIDEO,
    "video/mp2t": _VIDEO,
    "video/ogg": _VIDEO,
    "video/vnd.rn-realvideo": _VIDEO,
}


def decode(path: Path, hint: str, options: DecodeOptions) -> Decoded:
    """Decode one file by what its bytes are.

    Args:
        path: A regular file.
        hint: Lower-case suffix without a dot, or empty; only chooses among kinds of text.
        options: Limits and what to prepare.

    Returns:
        The content, and the arrays that its ``*_array`` fields point into.

    Raises:
        SourceError: Whatever is wrong with the file; its subclass and message say what.
    """
    _check_file(path, options.limits.file_bytes)
    media_type = sniff(path, hint)
    content, arrays = _decoder(media_type, path)(path, media_type, options)
    if not _has_content(content):
        raise NoContentError(f"{path} ({media_type}) decoded, but has nothing to index")
    return content, arrays


def supported() -> str:
    """What can be decoded, for messages: ``text (plain, markdown, ...), image (...), ...``."""
    kinds: dict[str, list[str]] = {}
    for media_type in DECODERS:
        kind, _, name = media_type.partition("/")
        kinds.setdefault(kind, []).append(name)
    return ", ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())


def _check_file(path: Path, limit_bytes: int) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path} cannot be read: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError(f"{path} is not a regular file")
    if status.st_size == 0:
        raise EmptyError(f"{path} has no bytes")
    if status.st_size > limit_bytes:
        raise LimitError(
            f"{path} has {status.st_size} bytes, more than limits.file_bytes = {limit_bytes}"
        )


def _decoder(media_type: str, path: Path) -> Decoder:
    if media_type not in DECODERS:
        raise UnsupportedError(
            f"{path} looks like {media_type}, which has no decoder; supported: {supported()}"
        )
    module, _, function = DECODERS[media_type].partition(":")
    return cast("Decoder", getattr(import_module(module), function))


def _has_content(content: Content) -> bool:
    parts = (content.blocks, content.tables, content.pages, content.regions)
    return any(parts) or any((content.image, content.sound, content.video))
