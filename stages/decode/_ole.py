"""Compound files (MS-CFB), which Office wrote before 2007: the names at their top say which program's a file is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
UNKNOWN: Final = "application/x-ole-storage"
# Name of a stream -> media type, most telling first: what is encrypted has a workbook's or a document's names nowhere.
_STREAMS: Final = {
    "EncryptedPackage": "application/x-encrypted-office",
    "WordDocument": "application/msword",
    "PowerPoint Document": "application/vnd.ms-powerpoint",
    "Workbook": "application/vnd.ms-excel",
    "Book": "application/vnd.ms-excel",
    "VisioDocument": "application/vnd.visio",
    "__properties_version1.0": "application/vnd.ms-outlook",
}
_ENTRY_BYTES: Final = 128
_NONE: Final = 0xFFFFFFFA  # from here on numbers of sectors mean "free", "end" and so on
_HEADER_FAT: Final = 109  # places of allocation tables in the header
_MOST_SECTORS: Final = 512  # of the directory that are looked at


def compound_type(head: bytes, file: BinaryIO) -> str | None:
    """Media type of a compound file, or None for another file.

    Args:
        head: The first bytes of the file.
        file: The file, seekable; its directory is read.
    """
    if not head.startswith(MARK):
        return None
    names = set(_names(head, file))
    return next((kind for name, kind in _STREAMS.items() if name in names), UNKNOWN)


def _names(head: bytes, file: BinaryIO) -> Iterator[str]:
    """Names right below the root (MS-CFB 2.6.4: siblings form a tree that hangs on their parent's child field)."""
    directory = _directory(head, file)
    entries = [
        directory[i : i + _ENTRY_BYTES]
        for i in range(0, len(directory) - _ENTRY_BYTES + 1, _ENTRY_BYTES)
    ]
    waiting = [_links(entries[0])[2]] if entries else []
    seen: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number in seen or number >= len(entries):
            continue
        seen.add(number)
        left, right, _ = _links(entries[number])
        waiting += [left, right]
        size = int.from_bytes(entries[number][64:66], "little")
        yield entries[number][: max(0, min(size, 64) - 2)].decode("utf-16-le", "replace")


def _links(entry: bytes) -> tuple[int, int, int]:
    left, right, child = struct.unpack_from("<III", entry, 68)
    return left, right, child


def _directory(head: bytes, file: BinaryIO) -> bytes:
    """The directory's sectors in order, as far as the header knows where they are."""
    if len(head) < 512:
        return b""
    shift = int.from_bytes(head[30:32], "little")
    if shift not in (9, 12):
        return b""
    fat = struct.unpack_from(f"<{_HEADER_FAT}I", head, 76)
    sector = int.from_bytes(head[48:52], "little")
    parts: list[bytes] = []
    while sector < _NONE and len(parts) < _MOST_SECTORS:
        parts.append(_sector(file, sector, shift))
        table, place = divmod(sector, (1 << shift) // 4)
        if table >= _HEADER_FAT or fat[table] >= _NONE:
            break
        entry = _sector(file, fat[table], shift)[place * 4 : place * 4 + 4]
        if len(entry) < 4:
            break
        sector = int.from_bytes(entry, "little")
    return b"".join(parts)


def _sector(file: BinaryIO, number: int, shift: int) -> bytes:
    file.seek((number + 1) << shift)
    return file.read(1 << shift)
