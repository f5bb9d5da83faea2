"""A file that was found, and what a listing knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.ids import digest

# Of these the bytes alone do not always tell how to read them, so the suffix is part of the identity:
# the same bytes under another of these suffixes are another source, whatever order they arrive in.
TEXT_HINTS: Final = frozenset(
    {"txt", "md", "markdown", "rst", "html", "htm", "xhtml", "csv", "tsv", "json", "jsonl", "xml"}
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a corpus.

    Attributes:
        uri: Absolute ``file://`` URI; the identity of the place, unique in a lake.
        root: URI of the SRC it was found under.
        path: POSIX path relative to its SRC (surrogateescaped where it is not UTF-8).
        local_path: What to open.
        size_bytes: Size at listing time.
        mtime_ns: Modification time at listing time, nanoseconds since the epoch; 0 if it was too fresh to tell
            another write apart.
        content_hash: SHA-256 of the bytes (64 hex characters); empty until hashed.
    """

    uri: str
    root: str
    path: str
    local_path: str
    size_bytes: int
    mtime_ns: int
    content_hash: str = ""

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
