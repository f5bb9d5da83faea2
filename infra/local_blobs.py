"""Blobs of a local folder, read-only, with the standard library alone: what a serving process needs."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from schemas.blobs import check_key, check_prefix
from schemas.errors import IntegrityError, LakeError

if TYPE_CHECKING:
    from typing import NoReturn

_STAGED: Final = re.compile(r".+#\d+")  # obstore's local store writes there, then renames or links
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_CAUSE_CHARS: Final = 160


def local_root(url: str) -> Path | None:
    """The folder that `url` names, absolute; None where it names no local folder.

    Args:
        url: A path, or a URL with a scheme (``file:///data/lake``, ``s3://bucket/lake``).

    Raises:
        LakeError: A path that Delta would read as another one (it decodes ``%20`` and its like).
    """
    if "://" not in url:
        root = Path(url)
    else:
        parts = urlsplit(url)
        if parts.scheme != "file":
            return None
        if parts.netloc not in {"", "localhost"}:
            raise LakeError(f"{url} names another host: write file:///path, with three slashes")
        root = Path(unquote(parts.path))
    absolute = Path(os.path.abspath(root))  # noqa: PTH100 -- resolve() would follow symbolic links
    if unquote(str(absolute)) != str(absolute):
        raise LakeError(f"{absolute} has a percent escape in it: choose a path without one")
    return absolute


class ReadOnlyLocalBlobs:
    """A folder as a read-only :class:`schemas.blobs.BlobStore`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def url(self) -> str:
        """Absolute path of the folder."""
        return str(self._root)

    def get(self, key: str) -> bytes:
        """See :meth:`schemas.blobs.BlobStore.get`."""
        try:
            return self.local_path(key).read_bytes()
        except OSError as error:
            raise LakeError(f"cannot read {key} in {self.url}: {error}") from error

    def exists(self, key: str) -> bool:
        """See :meth:`schemas.blobs.BlobStore.exists`."""
        return (self._root / check_key(key)).is_file()

    def size_bytes(self, key: str) -> int | None:
        """See :meth:`schemas.blobs.BlobStore.size_bytes`."""
        return (self._root / key).stat().st_size if self.exists(key) else None

    def list(self, prefix: str = "") -> list[str]:
        """See :meth:`schemas.blobs.BlobStore.list`."""
        return list_files(self._root, prefix)

    def sizes(self, prefix: str = "") -> dict[str, int]:
        """See :meth:`schemas.blobs.BlobStore.sizes`."""
        return {key: (self._root / key).stat().st_size for key in self.list(prefix)}

    def local_path(self, key: str) -> Path:
        """See :meth:`schemas.blobs.BlobStore.local_path`."""
        if not self.exists(key):
            raise missing_key(key, self.url)
        return self._root / key

    def put(self, key: str, data: bytes) -> None:
        """Refused."""
        refuse_write(key, self.url)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Refused."""
        refuse_write(key, self.url)

    def delete(self, key: str) -> None:
        """Refused."""
        refuse_write(key, self.url)


def list_files(root: Path, prefix: str) -> list[str]:
    """Keys of the files below ``root/prefix``, sorted; names that are no keys (half-written files) are not blobs."""
    keys = []
    for folder, _, names in os.walk(root / check_prefix(prefix)):
        base = Path(folder).relative_to(root)
        keys += [(base / name).as_posix() for name in names]
    return sorted(key for key in keys if is_key(key))


def half_written(root: Path, prefixes: tuple[str, ...]) -> list[Path]:
    """Staging files that a put left behind whose process was killed: ``<key>#<n>``, which is no key.

    Args:
        root: Of the store.
        prefixes: Folders to look into.
    """
    found = []
    for prefix in prefixes:
        for folder, _, names in os.walk(root / check_prefix(prefix)):
            found += [Path(folder) / name for name in names if _STAGED.fullmatch(name)]
    return sorted(found)


def out_of_space(error: BaseException) -> bool:
    """Whether a write failed for want of space. The standard library gives a number, obstore and delta-rs words."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(f"(os error {number})" in str(error) for number in _FULL)


def full_disk(where: str, error: BaseException) -> LakeError:
    """The error of every write that found no space."""
    cause = " ".join(str(error).split())
    return LakeError(
        f"no space is left on the file system of {where}: free some, or give it more, and run the same command"
        f" again; what was committed stays, and nothing half-written counts ({cause[:_CAUSE_CHARS]})"
    )


def missing_key(key: str, url: str) -> IntegrityError:
    """The error of every store for a key that is not there."""
    return IntegrityError(f"{key} is missing in {url}: it was deleted, or this is another lake")


def refuse_write(key: str, url: str) -> NoReturn:
    """Raise the error of every store that was opened read-only."""
    raise LakeError(f"cannot write {key}: {url} was opened read-only")


def is_key(key: str) -> bool:
    """Whether it is a key of a blob store."""
    try:
        check_key(key)
    except LakeError:
        return False
    return True
