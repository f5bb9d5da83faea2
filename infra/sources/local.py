"""Sources on local disks."""

from __future__ import annotations

import os
import stat
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote, unquote_to_bytes

from schemas.errors import ConfigError, SourceError, UnreadableError
from schemas.ids import digest_stream
from schemas.source import FileStamp, Found, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEME: Final = "file://"
_FRESH_NS: Final = (
    2_000_000_000  # the coarsest time stamps of a file system in use (FAT) are 2 s apart
)


class LocalFiles:
    """Files and folders. Links to files are files; links to folders are not entered, and said to be so."""

    keeps_folders = True

    def uri(self, source: str) -> str:
        """``file://`` URI of a path or ``file://`` URI, absolute; links stay."""
        path = local_path(source) if source.startswith(_SCHEME) else Path(source)
        return file_uri(Path(os.path.abspath(path)))  # noqa: PTH100  # keeps links, unlike resolve()

    def check(self, root: str) -> None:
        """See :meth:`schemas.source.SourceStore.check`."""
        path = local_path(root)
        if not path.exists():
            raise ConfigError(f"{path} does not exist: give a file or a folder")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{path} cannot be read: check its permissions")

    def walk(self, root: str, exclude: str) -> Iterator[Found]:
        """See :meth:`schemas.source.SourceStore.walk`; a folder that cannot be entered is said to be so."""
        top, now_ns = local_path(root), time.time_ns()
        left_out = local_path(exclude) if exclude.startswith(_SCHEME) else None
        for path in _walk(top, left_out):
            yield _look(path, top, root, now_ns)

    def look(self, uri: str, root: str) -> Found | None:
        """See :meth:`schemas.source.SourceStore.look`."""
        path = local_path(uri)
        if not os.path.lexists(path):
            return None
        return _look(path, local_path(root), root, time.time_ns())

    def hash(self, file: SourceFile) -> Found:
        """See :meth:`schemas.source.SourceStore.hash`; never raises."""
        path = local_path(file.uri)
        for _ in range(2):
            try:
                content_hash = _hash_unchanged(path, file.stamp)
            except OSError as error:
                return Found(file, f"cannot be read: {error.strerror or error}")
            if content_hash:
                return Found(replace(file, content_hash=content_hash))
            found = _look(path, local_path(file.root), file.root, time.time_ns())
            if found.reason:
                return found
            file = found.file
        return Found(file, "is being written: it changed while it was read; the next run reads it")

    @contextmanager
    def open(self, file: SourceFile, limit_bytes: int) -> Iterator[Path]:
        """See :meth:`schemas.source.SourceStore.open`; the path itself."""
        path = local_path(file.uri)
        _check_unchanged(path, file)
        try:
            yield path
        except SourceError:
            _check_unchanged(path, file)  # what was found wrong with other bytes says nothing
            raise
        _check_unchanged(path, file)


def file_uri(path: Path) -> str:
    """``file://`` URI of an absolute path; bytes that are not UTF-8 are percent-encoded as they are."""
    return _SCHEME + quote(os.fsencode(path))


def local_path(uri: str) -> Path:
    """The path of a :func:`file_uri`."""
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(_SCHEME))))


def _walk(root: Path, exclude: Path | None) -> Iterator[Path]:
    """Paths of everything below that is no folder, and of folders that cannot or must not be entered."""
    if not root.is_dir():
        yield root
        return
    blocked: list[Path] = []
    for folder, folders, names in os.walk(
        root, onerror=lambda e: blocked.append(Path(str(e.filename)))
    ):
        here = Path(folder)
        folders[:] = sorted(f for f in folders if exclude is None or here / f != exclude)
        links = [f for f in folders if (here / f).is_symlink()]
        yield from (here / name for name in sorted(names + links))
    yield from blocked


def _look(path: Path, top: Path, root: str, now_ns: int) -> Found:
    """`top` is the path of the URI `root`, which is not encoded for each file anew."""
    relative = path.name if path == top else path.relative_to(top).as_posix()
    blank = SourceFile(file_uri(path), root, relative, 0, 0)
    try:
        info = path.stat()
    except OSError as error:
        return Found(blank, f"cannot be looked at: {error.strerror or error}")
    if stat.S_ISDIR(info.st_mode):
        reason = (
            "a link to a folder, which is not followed: give that folder as a source too"
            if path.is_symlink()
            else "a folder that cannot be entered: check its permissions"
        )
        return Found(blank, reason, blocked=True)
    # Two writes within a clock's tick leave the same time: one that is too fresh tells nothing at the next listing.
    mtime_ns = info.st_mtime_ns if now_ns - info.st_mtime_ns > _FRESH_NS else 0
    stamp = FileStamp.of(info, settled=now_ns - info.st_ctime_ns > _FRESH_NS)
    found = replace(blank, size_bytes=info.st_size, mtime_ns=mtime_ns, stamp=stamp)
    if not stat.S_ISREG(info.st_mode):
        return Found(found, "not a regular file (a pipe, socket or device)")
    return Found(found)


def _open(path: Path) -> BinaryIO:
    """Open for reading; a pipe that took the place of a file does not block."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def _hash_unchanged(path: Path, stamp: FileStamp | None) -> str:
    """The hash, empty if the path did not name the file of that stamp before and after."""
    with _open(path) as opened:
        if FileStamp.of(os.fstat(opened.fileno())) != stamp:
            return ""
        content_hash = digest_stream(opened)
    return content_hash if FileStamp.of(path.stat()) == stamp else ""


def _check_unchanged(path: Path, file: SourceFile) -> None:
    """Raise unless the path has the bytes that were hashed.

    Raises:
        UnreadableError: It has others, or none.
    """
    try:
        stamp = FileStamp.of(path.stat())
        if stamp == file.stamp and file.stamp.settled:
            return
        # Touched, or written so shortly before that a second write might leave the same stamp.
        same = _hash_unchanged(path, stamp) == file.content_hash
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableError(
            f"{path} was there and cannot be read now ({reason}): the next run looks again"
        ) from error
    if not same:
        raise UnreadableError(f"{path} changed while it was read: the next run reads it")
