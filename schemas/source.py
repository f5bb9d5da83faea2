"""A file that was found, what a listing knows of it, and what a place that has files can be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from schemas.ids import digest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

# Of these the bytes alone do not always tell how to read them, so the suffix is part of the identity:
# the same bytes under another of these suffixes are another source, whatever order they arrive in.
TEXT_HINTS: Final = frozenset(
    {"txt", "md", "markdown", "rst", "html", "htm", "xhtml", "csv", "tsv", "json", "jsonl", "xml"}
)


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What a local file looked like at one moment: equal stamps mean equal bytes, if the stamp is settled.

    Attributes:
        inode: Of the file.
        size_bytes: Its size.
        mtime_ns: Its modification time, nanoseconds since the epoch.
        ctime_ns: When anything about it changed last, which no program can set.
        settled: Whether the last change lay far enough back for another one to leave another `ctime_ns`.
    """

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    settled: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, status: os.stat_result, *, settled: bool = False) -> FileStamp:
        """The stamp of what ``stat`` gave."""
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, settled)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file or object of a corpus.

    Attributes:
        uri: Absolute URI (``file:///...``, ``s3://bucket/key``), percent-encoded; the identity of the place, unique in
            a lake, and what to open.
        root: URI of the SRC it was found under.
        path: POSIX path, or key, relative to its SRC (surrogateescaped where it is not UTF-8).
        size_bytes: Size at listing time.
        mtime_ns: Modification time at listing time, nanoseconds since the epoch; 0 if it was too fresh to tell
            another write apart, and of objects.
        content_hash: SHA-256 of the bytes (64 hex characters); empty until hashed.
        etag: Of an object, without quotes: another one means that it was written again. Empty for local files.
        stamp: Of a local file at listing time; for this run only, no table has it.
    """

    uri: str
    root: str
    path: str
    size_bytes: int
    mtime_ns: int
    content_hash: str = ""
    etag: str = ""
    stamp: FileStamp | None = None

    @property
    def hint(self) -> str:
        """Lower-case suffix where it can matter to the reading of text, else empty."""
        suffix = self.path.rpartition("/")[2].rpartition(".")[2].lower()
        return suffix if suffix in TEXT_HINTS else ""

    @property
    def source_id(self) -> str:
        """Identity of the content (32 hex characters): equal files are one source."""
        if not self.content_hash:
            raise ValueError(f"{self.uri} has not been hashed yet")
        return digest("source", self.content_hash, self.hint)


@dataclass(frozen=True, slots=True)
class Found:
    """A name that was found.

    Attributes:
        file: What it names.
        reason: Why that cannot be read; empty if nothing is known against it.
        blocked: It is a folder, and nobody knows what is below.
    """

    file: SourceFile
    reason: str = ""
    blocked: bool = False


class SourceStore(Protocol):
    """A place that has files: a disk, an object store. Messages and reasons hold no secrets."""

    keeps_folders: bool  # whether a folder without files is there all the same

    def uri(self, source: str) -> str:
        """URI of what a user named, without a slash at the end.

        Raises:
            ConfigError: It cannot be one.
        """

    def check(self, root: str) -> None:
        """See that it can be listed.

        Raises:
            ConfigError: It does not exist or may not be read.
            UnreadableError: The store cannot be reached, or refuses.
        """

    def walk(self, root: str, exclude: str) -> Iterator[Found]:
        """Everything at or below `root`, not hashed, but for what is at or below the URI `exclude`.

        Raises:
            UnreadableError: The listing broke off: nothing can be said of what is there.
        """

    def look(self, uri: str, root: str) -> Found | None:
        """One file that was listed before, as it is now; None if it is no longer there."""

    def hash(self, file: SourceFile) -> Found:
        """The file with the hash of its content, looked at anew if it changed meanwhile.

        Raises:
            UnreadableError: Not this file is at fault, the store cannot be reached.
        """

    def open(self, file: SourceFile, limit_bytes: int) -> AbstractContextManager[Path]:
        """A local file with the bytes that were hashed, and none other, as long as the context lasts.

        Raises:
            UnreadableError: They are not to be had, or changed before the context was left; retryable.
            LimitError: They are more than `limit_bytes` and would have to be fetched.
        """
