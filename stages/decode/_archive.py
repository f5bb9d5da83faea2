"""Zip archives that are documents (docx, pptx, xlsx, ods, epub): unpacked once, in memory, within limits.

No part of an archive is ever written to a file. What a part becomes is counted while it is unpacked, not believed from
the archive's index, so that a bomb costs `limits.expanded_bytes` and no more. The libraries that read documents get a
copy that holds the parts of text alone, unpacked: no picture, no film, no macro, and nothing left that could expand.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from schemas.errors import CorruptError, EncryptedError, LimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What zipfile raises for archives that are cut off, spoilt or packed in a way that it does not know.
ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what documents use
_ENCRYPTED: Final = 0x1  # bit 0 of the flags of a member (APPNOTE 4.4.4)
_AS_FAR_AS_ASKED: Final = 1 << 62


class Archive:
    """An open archive. Get one from :func:`open_archive`.

    Attributes:
        names: Its members, each once, in the order of the archive.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile, limit_bytes: int) -> None:
        self.names = tuple(dict.fromkeys(file.namelist()))
        self._path = path
        self._file = file
        self._limit_bytes = limit_bytes
        self._left = limit_bytes

    def read(self, name: str) -> bytes | None:
        """Unpack a member; None if there is none of this name.

        Raises:
            LimitError: All that was read of the archive is more than `limits.expanded_bytes`.
            EncryptedError: It needs a password.
            CorruptError: It is damaged or packed in an unusual way.
        """
        if name not in self._file.NameToInfo:
            return None
        info = self._file.getinfo(name)
        if info.flag_bits & _ENCRYPTED:
            raise EncryptedError(f"{self._path} needs a password; save it without one")
        if info.compress_type not in _PACKED:
            raise CorruptError(f"{self._path}: {name!r} is packed in a way that no document is")
        info.file_size = (
            _AS_FAR_AS_ASKED  # zipfile would stop where the archive claims that it ends
        )
        try:
            with self._file.open(info) as member:
                data = member.read(self._left + 1)
        except ZIP_ERRORS as error:
            raise CorruptError(f"{self._path}: {name!r} is damaged: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            limit = self._limit_bytes
            raise LimitError(f"{self._path} unpacks to more than limits.expanded_bytes = {limit}")
        return data


@contextmanager
def open_archive(path: Path, limit_bytes: int) -> Iterator[Archive]:
    """Open a zip archive.

    Args:
        path: The file.
        limit_bytes: `limits.expanded_bytes`, for all that is read of it together.

    Raises:
        CorruptError: It is no whole zip archive.
    """
    try:
        file = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise CorruptError(f"{path} is no whole zip archive: {error}") from error
    with file:
        yield Archive(path, file, limit_bytes)


def plain_copy(
    path: Path, limit_bytes: int, wanted: Callable[[str], bool], edit: Callable[[str, bytes], bytes]
) -> io.BytesIO:
    """A copy of an archive whose wanted members are unpacked and whose other members are empty.

    Args:
        path: The archive.
        limit_bytes: `limits.expanded_bytes`.
        wanted: Whether a member, by name, keeps its content.
        edit: Gets name and content of each wanted member, nothing where it is damaged; gives what to keep.

    Raises:
        LimitError, EncryptedError: See :meth:`Archive.read`.
        CorruptError: It is no whole zip archive.
    """
    copy = io.BytesIO()
    with (
        open_archive(path, limit_bytes) as archive,
        zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as out,
    ):
        for name in archive.names:
            data = edit(name, _whole(archive, name)) if wanted(name) else b""
            out.writestr(zipfile.ZipInfo(name), data)
    copy.seek(0)
    return copy


def _whole(archive: Archive, name: str) -> bytes:
    """A member, or nothing if it is damaged: the rest of the document may do without it."""
    try:
        return archive.read(name) or b""
    except CorruptError:
        return b""
