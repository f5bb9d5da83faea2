"""Blobs of a local folder, read-only, with the standard library alone: what a serving process needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from schemas.blobs import check_key, check_prefix
from schemas.errors import IntegrityError, LakeError

if TYPE_CHECKING:
    from typing import NoReturn


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

    def list(self, prefix: str = "") -> list[str]:
        """See :meth:`schemas.blobs.BlobStore.list`."""
        return list_files(self._root, prefix)

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
    return sorted(key for key in keys if _is_key(key))


def missing_key(key: str, url: str) -> IntegrityError:
    """The error of every store for a key that is not there."""
    return IntegrityError(f"{key} is missing in {url}: it was deleted, or this is another lake")


def refuse_write(key: str, url: str) -> NoReturn:
    """Raise the error of every store that was opened read-only."""
    raise LakeError(f"cannot write {key}: {url} was opened read-only")


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except LakeError:
        return False
    return True
