"""The one way to bytes outside the tables: a small key-value protocol over a folder or a bucket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from schemas.errors import LakeError

if TYPE_CHECKING:
    from pathlib import Path

# What every backend stores under the very same name, on disk too (no escaping, no traversal).
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*")


class BlobStore(Protocol):
    """Immutable-by-habit blobs under ``/``-separated keys.

    Every method raises LakeError when the store cannot be reached or a key is malformed
    (see :func:`check_key`).
    """

    @property
    def url(self) -> str:
        """Where it is: an absolute path for a folder, else a URL without a trailing slash."""

    def get(self, key: str) -> bytes:
        """The bytes of `key`.

        Raises:
            IntegrityError: There is no such key.
        """

    def put(self, key: str, data: bytes) -> None:
        """Write `key` at once, over what was there: readers see the old bytes or the new, never a part.

        Raises:
            LakeError: The store was opened read-only.
        """

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write `key` unless it is there. Of several callers exactly one gets True.

        Raises:
            LakeError: The store was opened read-only.
        """

    def exists(self, key: str) -> bool:
        """Whether `key` is there."""

    def size_bytes(self, key: str) -> int | None:
        """Size of `key` in bytes; None where it is not there."""

    def list(self, prefix: str = "") -> list[str]:
        """All keys below the folder `prefix` at any depth, sorted; all keys for an empty prefix."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """Bytes of every key that :meth:`list` gives, in that order, at the price of one listing."""

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens when it is not there.

        Raises:
            LakeError: The store was opened read-only.
        """

    def local_path(self, key: str) -> Path:
        """A local file with the bytes of an immutable `key`, to be memory-mapped and never written.

        The file itself where the store is a folder; else a copy, downloaded once into a cache directory.

        Raises:
            IntegrityError: There is no such key, or the download has not the size that the store states.
        """


def check_key(key: str) -> str:
    """Return `key` if it is one.

    Args:
        key: Segments of letters, digits and ``._=+-`` (no leading dot) joined by single slashes.

    Raises:
        LakeError: It is not.
    """
    if not key or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise LakeError(
            f"{key!r} is no blob key: use segments of letters, digits and ._=+- (no leading dot)"
            " joined by single slashes"
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return the folder `prefix` without a trailing slash; empty stands for the root.

    Raises:
        LakeError: It is neither empty nor a key.
    """
    folder = prefix.removesuffix("/")
    return check_key(folder) if folder else ""
