"""Containers: what is inside decides whether it is a picture, a sound or a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_RIFF: Final = {
    b"WAVE": "audio/wav",
    b"AVI ": "video/x-msvideo",
    b"WEBP": "image/webp",
    b"RMID": "audio/midi",
    b"ACON": "application/x-navi-animation",
}
# Major brands of ISO base media files (ISO/IEC 14496-12; registered at mp4ra.org).
_FTYP: Final = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"crx ": "image/x-canon-cr3",
    b"qt  ": "video/quicktime",
}
_ATOMS: Final = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")  # QuickTime without ftyp
_MOOV_BYTES: Final = 16 << 20
_MAX_BOXES: Final = 64
_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO: Final = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_OGG_VIDEO: Final = (b"\x80theora", b"BBCD\0", b"video\0", b"OVP80")
_OPEN_XML: Final = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)


def by_container(head: bytes, file: BinaryIO) -> str | None:
    """Media type of a known container, or None.

    Args:
        head: The first bytes of the file.
        file: The file, seekable; read further only to find the tracks of an MP4.
    """
    for kind in (_riff, _iff, _ogg, _matroska, _asf, _zip):
        if media_type := kind(head):
            return media_type
    return _iso_media(head, file)


def _riff(head: bytes) -> str | None:
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64"):
        return None
    return _RIFF.get(head[8:12])


def _iff(head: bytes) -> str | None:
    return "audio/aiff" if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else None


def _ogg(head: bytes) -> str | None:
    if head[:4] != b"OggS":
        return None
    # The first packets of all streams stand in the first pages, which need not fill the head.
    return "video/ogg" if any(name in head[:4096] for name in _OGG_VIDEO) else "audio/ogg"


def _matroska(head: bytes) -> str | None:
    if head[:4] != _EBML:
        return None
    has_video = b"\x86" in head and any(
        b"V_" + name in head for name in (b"MPEG", b"VP", b"AV1", b"MS/")
    )
    if not has_video and b"A_" in head and b"V_" not in head:
        return "audio/x-matroska"
    return "video/webm" if b"webm" in head[:64] else "video/x-matroska"


def _asf(head: bytes) -> str | None:
    if head[:16] != _ASF:
        return None
    return "video/x-ms-wmv" if _ASF_VIDEO in head else "audio/x-ms-wma"


def _zip(head: bytes) -> str | None:
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return None
    if head[30:38] == b"mimetype":  # OpenDocument and EPUB store their type first, uncompressed
        name = head[38:].split(b"PK", 1)[0][:100]
        return name.decode("ascii", "replace").strip("\0 \r\n") or "application/zip"
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        return next((kind for part, kind in _OPEN_XML if part in head), "application/zip")
    return "application/zip"


def _iso_media(head: bytes, file: BinaryIO) -> str | None:
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand[:3] == b"3gp" or brand not in _FTYP:
            return _by_tracks(file, "video/mp4")
        media_type = _FTYP[brand]
        return _by_tracks(file, media_type) if media_type == "video/quicktime" else media_type
    return _by_tracks(file, "video/quicktime") if head[4:8] in _ATOMS else None


def _by_tracks(file: BinaryIO, as_video: str) -> str:
    """`as_video`, unless the movie box names sound tracks only."""
    for kind, start, size in _boxes(file):
        if kind == b"moov":
            file.seek(start)
            moov = file.read(min(size, _MOOV_BYTES))
            return "audio/mp4" if b"soun" in moov and b"vide" not in moov else as_video
    return as_video


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Top-level boxes as (kind, offset, bytes); stops at the first that makes no sense."""
    offset = 0
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        header = file.read(16)
        if len(header) < 8:
            return
        size = int.from_bytes(header[:4], "big")
        if size == 1 and len(header) == 16:
            size = int.from_bytes(header[8:16], "big")
        yield header[4:8], offset, size or _MOOV_BYTES
        if size < 8:
            return
        offset += size
