"""Containers: what is inside decides whether it is a picture, a sound, a video or a document."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, BinaryIO, Final

from stages.decode._archive import ZIP_ERRORS
from stages.decode._ole import compound_type

if TYPE_CHECKING:
    from collections.abc import Iterator

_RIFF: Final = {
    b"WAVE": "audio/wav",
    b"AVI ": "video/x-msvideo",
    b"WEBP": "image/webp",
    b"RMID": "audio/midi",
    b"ACON": "application/x-navi-animation",
}
_IFF: Final = {b"AIFF": "audio/aiff", b"AIFC": "audio/aiff", b"8SVX": "audio/x-8svx"}
# Major brands of ISO base media files (ISO/IEC 14496-12; registered at mp4ra.org).
_FTYP: Final = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"hevm": "image/heic",
    b"hevs": "image/heic",
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
# Name of a member, or how names of members begin -> media type; of all that are there the first one counts.
_MEMBERS: Final = (
    ("word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("xl/workbook.bin", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    ("xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("META-INF/container.xml", "application/epub+zip"),
)
_MEMBER_HEADER: Final = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[\w.+-]{1,90}")


def by_container(head: bytes, file: BinaryIO) -> str | None:
    """Media type of a known container, or None.

    Args:
        head: The first bytes of the file.
        file: The file, seekable; read further only for the tracks of an MP4 and the names in an archive.
    """
    for kind in (_riff, _iff, _ogg, _matroska, _asf):
        if media_type := kind(head):
            return media_type
    return _zip(head, file) or compound_type(head, file) or _iso_media(head, file)


def _riff(head: bytes) -> str | None:
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64"):
        return None
    return _RIFF.get(head[8:12])


def _iff(head: bytes) -> str | None:
    return _IFF.get(head[8:12]) if head[:4] == b"FORM" else None


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


def _zip(head: bytes, file: BinaryIO) -> str | None:
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return None
    if head[30:38] == b"mimetype":  # OpenDocument and EPUB store their type first, uncompressed
        name = head[38:].split(b"PK", 1)[0][:100].decode("ascii", "replace").strip("\0 \r\n")
        if _MEDIA_TYPE.fullmatch(name):
            return name
    names = _member_names(head, file)
    if not {"[Content_Types].xml", "_rels/.rels", "META-INF/container.xml"}.intersection(names):
        return "application/zip"
    kinds = (kind for part, kind in _MEMBERS if any(name.startswith(part) for name in names))
    return next(kinds, "application/zip")


def _member_names(head: bytes, file: BinaryIO) -> list[str]:
    """Names in an archive, by its index or, where that is cut off, by what stands at its beginning."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except ZIP_ERRORS:
        found = ((m.end(), int.from_bytes(m[1], "little")) for m in _MEMBER_HEADER.finditer(head))
        return [head[start : start + size].decode("utf-8", "replace") for start, size in found]


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
