"""Which files there are. Every name found is accounted for: as a file, or as a reject that says why not."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from schemas.errors import ConfigError
from schemas.ids import digest_file
from schemas.source import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FRESH_NS: Final = (
    2_000_000_000  # the coarsest time stamps of a file system in use (FAT) are 2 s apart
)
_HASH_THREADS: Final = 4  # hashing releases the GIL; more threads only queue on the disk


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found under the given SRCs.

    Attributes:
        roots: URI of each SRC.
        files: Regular files in order of uri, not hashed yet.
        unreadable: Names that are not readable regular files, with the reason.
        blocked: URIs of those of them that are folders: nobody knows what is below.
    """

    roots: tuple[str, ...]
    files: tuple[SourceFile, ...]
    unreadable: tuple[tuple[SourceFile, str], ...]
    blocked: tuple[str, ...] = ()


def check_sources(sources: Sequence[str]) -> None:
    """See that each SRC can be listed, before anything is started for it.

    Raises:
        ConfigError: A SRC does not exist or cannot be read.
    """
    for source in sources:
        _resolve(source)


def list_sources(sources: Sequence[str], *, exclude: Path | None = None) -> Listing:
    """List files and folders. Links to files are files; links to folders are not entered, and said to be so.

    Args:
        sources: Files or folders (paths or ``file://`` URIs).
        exclude: A folder to leave out: the lake itself, should it lie in one of them.

    Raises:
        ConfigError: A SRC does not exist or cannot be listed.
    """
    files: dict[str, SourceFile] = {}
    unreadable: dict[str, tuple[SourceFile, str]] = {}
    blocked: set[str] = set()
    roots = []
    now_ns = time.time_ns()
    for source in sources:
        root = _resolve(source)
        roots.append(file_uri(root))
        for path in _walk(root, exclude):
            found, reason = _look(path, root, now_ns)
            if reason:
                unreadable[found.uri] = (found, reason)
                if path.is_dir():
                    blocked.add(found.uri)
            else:
                files[found.uri] = found
    return Listing(
        tuple(sorted(set(roots))),
        tuple(files[uri] for uri in sorted(files)),
        tuple(unreadable[uri] for uri in sorted(unreadable)),
        tuple(sorted(blocked)),
    )


def look_again(uri: str, root: str) -> tuple[SourceFile | None, str]:
    """One file that was listed before, with the reason why it cannot be read; None if it is no longer there."""
    path = local_path(uri)
    if not os.path.lexists(path):
        return None, ""
    return _look(path, local_path(root), time.time_ns())


def hash_files(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, str]]:
    """Each file with its content hash, or unhashed with the reason why it cannot be read; in order."""
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        yield from pool.map(_hash, files)


def file_uri(path: Path) -> str:
    """``file://`` URI of an absolute path; bytes that are not UTF-8 are percent-encoded as they are."""
    return "file://" + quote(os.fsencode(path))


def local_path(uri: str) -> Path:
    """The path of a :func:`file_uri`."""
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))


def _hash(file: SourceFile) -> tuple[SourceFile, str]:
    try:
        return replace(file, content_hash=digest_file(Path(file.local_path))), ""
    except OSError as error:
        return file, f"cannot be read: {error.strerror or error}"


def _resolve(source: str) -> Path:
    if "://" in source and not source.startswith("file://"):
        raise ConfigError(
            f"{source}: only local files and folders can be read so far; copy or mount it"
        )
    path = Path(os.path.abspath(source.removeprefix("file://")))  # noqa: PTH100  # keeps links, unlike resolve()
    if not path.exists():
        raise ConfigError(f"{source} does not exist: give a file or a folder")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"{source} cannot be read: check its permissions")
    return path


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


def _look(path: Path, root: Path, now_ns: int) -> tuple[SourceFile, str]:
    relative = path.name if path == root else path.relative_to(root).as_posix()
    blank = SourceFile(file_uri(path), file_uri(root), relative, str(path), 0, 0)
    try:
        info = path.stat()
    except OSError as error:
        return blank, f"cannot be looked at: {error.strerror or error}"
    if stat.S_ISDIR(info.st_mode):
        return blank, (
            "a link to a folder, which is not followed: give that folder as a source too"
            if path.is_symlink()
            else "a folder that cannot be entered: check its permissions"
        )
    # Two writes within a clock's tick leave the same time: one that is too fresh tells nothing at the next listing.
    settled = now_ns - info.st_mtime_ns > _FRESH_NS
    mtime_ns = info.st_mtime_ns if settled else 0
    found = replace(blank, size_bytes=info.st_size, mtime_ns=mtime_ns)
    if not stat.S_ISREG(info.st_mode):
        return found, "not a regular file (a pipe, socket or device)"
    return found, ""
