"""From a file to its content: the type is read from the bytes, then one decoder is loaded and called."""

from __future__ import annotations

import stat
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from schemas.errors import (
    EmptyError,
    EncryptedError,
    LimitError,
    NoContentError,
    UnreadableError,
    UnsupportedError,
)
from stages.decode.sniff import sniff

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from schemas.content import Content
    from schemas.errors import SourceError
    from schemas.sound import SoundSpan
    from stages.decode.options import DecodeOptions
    from stages.ranges import LongDecoder, Piece, Span

    Decoded = tuple[Content, tuple[np.ndarray, ...]]
    Decoder = Callable[[Path, str, DecodeOptions], Decoded]

_IMAGE: Final = "stages.decode.image:decode_image"
_AUDIO: Final = "stages.decode.audio:decode_audio"
_VIDEO: Final = "stages.decode.video:decode_video"
_CSV: Final = "stages.decode.csv:decode_csv"
_SHEETS: Final = "stages.decode.sheets:decode_sheets"
_CODE: Final = "stages.decode.code:decode_code"

# media type -> "module:function"; the function takes (path, media_type, options).
DECODERS: Final[dict[str, str]] = {
    "text/plain": "stages.decode.text:decode_text",
    "text/markdown": "stages.decode.markdown:decode_markdown",
    "text/html": "stages.decode.html:decode_html",
    "text/csv": _CSV,
    "text/tab-separated-values": _CSV,
    "application/jsonl": "stages.decode.jsonl:decode_jsonl",
    "text/x-python": _CODE,
    "text/javascript": _CODE,
    "text/x-typescript": _CODE,
    "text/x-java": _CODE,
    "text/x-kotlin": _CODE,
    "text/x-scala": _CODE,
    "text/x-csharp": _CODE,
    "text/x-swift": _CODE,
    "text/x-go": _CODE,
    "text/x-rust": _CODE,
    "text/x-ruby": _CODE,
    "text/x-php": _CODE,
    "text/x-perl": _CODE,
    "text/x-lua": _CODE,
    "text/x-r": _CODE,
    "text/x-julia": _CODE,
    "text/x-haskell": _CODE,
    "text/x-sql": _CODE,
    "text/x-shellscript": _CODE,
    "text/x-c": _CODE,
    "text/x-c++": _CODE,
    "application/pdf": "stages.decode.pdf:decode_pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "stages.decode.docx:decode_docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "stages.decode.pptx:decode_pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": _SHEETS,
    "application/vnd.ms-excel": _SHEETS,
    "application/vnd.oasis.opendocument.spreadsheet": _SHEETS,
    "application/epub+zip": "stages.decode.epub:decode_epub",
    "image/png": _IMAGE,
    "image/jpeg": _IMAGE,
    "image/gif": _IMAGE,
    "image/bmp": _IMAGE,
    "image/tiff": _IMAGE,
    "image/webp": _IMAGE,
    "image/avif": _IMAGE,
    "image/heic": _IMAGE,
    "image/svg+xml": "stages.decode.svg:decode_svg",
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
    "audio/x-w64": _AUDIO,
    "audio/x-voc": _AUDIO,
    "audio/x-sox": _AUDIO,
    "audio/x-nist": _AUDIO,
    "audio/x-8svx": _AUDIO,
    "audio/vnd.dts": _AUDIO,
    "audio/vnd.dolby.mlp": _AUDIO,
    "audio/x-truehd": _AUDIO,
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

_LONG_AUDIO: Final = "stages.decode.long_audio"

# Media types of which a file may be so long that it is read in ranges -> module (see stages.ranges.LongDecoder).
# Sound: of these ffmpeg finds a moment to within a frame (16 ms at most, measured in 15 minutes of each; WMA was 54 s
# off).
LONG: Final[dict[str, str]] = {
    "application/pdf": "stages.decode.pdf",
    "audio/wav": _LONG_AUDIO,
    "audio/aiff": _LONG_AUDIO,
    "audio/mpeg": _LONG_AUDIO,
    "audio/mp4": _LONG_AUDIO,
    "audio/ogg": _LONG_AUDIO,
    "audio/flac": _LONG_AUDIO,
    "audio/basic": _LONG_AUDIO,
    "audio/x-caf": _LONG_AUDIO,
    "audio/x-matroska": _LONG_AUDIO,
    "audio/x-tta": _LONG_AUDIO,
    "audio/x-w64": _LONG_AUDIO,
    "audio/x-wavpack": _LONG_AUDIO,
}

# Formats without a decoder of which something can be said: an error, and what to do.
_REFUSED: Final[dict[str, tuple[type[SourceError], str]]] = {
    "application/msword": (UnsupportedError, "is of Word before 2007; save it as .docx"),
    "application/vnd.ms-powerpoint": (
        UnsupportedError,
        "is of PowerPoint before 2007; save it as .pptx",
    ),
    "application/vnd.oasis.opendocument.text": (
        UnsupportedError,
        "is of LibreOffice Writer; save it as .docx",
    ),
    "application/vnd.oasis.opendocument.presentation": (
        UnsupportedError,
        "is of LibreOffice Impress; save it as .pptx",
    ),
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": (
        UnsupportedError,
        "is a binary workbook; save it as .xlsx",
    ),
    "application/x-encrypted-office": (EncryptedError, "needs a password; save it without one"),
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
    return decode_as(path, _type_of(path, hint, options), options)


def decode_as(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """The same for a file of which :func:`find_spans` has told the type."""
    content, arrays = _decoder(media_type, path)(path, media_type, options)
    if not _has_content(content):
        raise NoContentError(f"{path} ({media_type}) decoded, but has nothing to index")
    return content, arrays


def find_spans(path: Path, hint: str, options: DecodeOptions) -> tuple[str, tuple[Span, ...]]:
    """The media type of a file, and the ranges in which to read it; none if it can be decoded at once.

    Args and errors are those of :func:`decode`.
    """
    media_type = _type_of(path, hint, options)
    if media_type not in LONG:
        return media_type, ()
    return media_type, _long_decoder(media_type).spans(path, media_type, options)


def decode_span(
    path: Path, hint: str, options: DecodeOptions, span: Span
) -> tuple[Piece, tuple[np.ndarray, ...]]:
    """Read a range of a long file; args and errors are those of :func:`decode`."""
    media_type = _type_of(path, hint, options)
    shared = options.shared_among(span.of)
    return _long_decoder(media_type).read_span(path, media_type, shared, span)


def decode_sounds(
    path: Path, hint: str, options: DecodeOptions, begin_s: int, spans: Sequence[SoundSpan]
) -> tuple[NDArray[np.int16], ...]:
    """Samples of spans of a file's sound (see stages/decode/sounds.py); args and errors are those of :func:`decode`."""
    from stages.decode.sounds import read_sounds

    media_type, ranges = find_spans(path, hint, options)
    begins = begin_s if ranges else 0
    return read_sounds(path, media_type, options, begins, spans)


def join_pieces(path: Path, media_type: str, pieces: Sequence[Piece]) -> Content:
    """Put the ranges of a long file together.

    Args:
        path: The file, for messages.
        media_type: Its type.
        pieces: In order, without those that were lost.

    Returns:
        The content; its indices count in the arrays of all pieces, one piece after the other.

    Raises:
        SourceError: There is nothing in them.
    """
    return _long_decoder(media_type).join(path, media_type, pieces)


def supported() -> str:
    """What can be decoded, for messages: ``text (plain, markdown, ...), image (...), ...``."""
    kinds: dict[str, list[str]] = {}
    for media_type in DECODERS:
        kind, _, name = media_type.partition("/")
        kinds.setdefault(kind, []).append(name)
    return ", ".join(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())


def _type_of(path: Path, hint: str, options: DecodeOptions) -> str:
    _check_file(path, options.limits.file_bytes)
    return sniff(path, hint)


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
    if media_type in _REFUSED:
        error, advice = _REFUSED[media_type]
        raise error(f"{path} {advice}")
    if media_type not in DECODERS:
        raise UnsupportedError(
            f"{path} looks like {media_type}, which has no decoder; supported: {supported()}"
        )
    module, _, function = DECODERS[media_type].partition(":")
    return cast("Decoder", getattr(import_module(module), function))


def _long_decoder(media_type: str) -> LongDecoder:
    return cast("LongDecoder", import_module(LONG[media_type]))


def _has_content(content: Content) -> bool:
    parts = (content.blocks, content.tables, content.pages, content.regions)
    return any(parts) or any((content.image, content.sound, content.video))
