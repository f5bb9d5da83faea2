"""Blobs over obstore: a folder, S3, GCS, Azure or memory behind :class:`schemas.blobs.BlobStore`.

Conditional put (``mode="create"``) is atomic on a local disk (hard link) and on object stores (``If-None-Match``).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.local_blobs import (
    ReadOnlyLocalBlobs,
    full_disk,
    local_root,
    missing_key,
    out_of_space,
    refuse_write,
)
from infra.remote import SCHEMES, cause_of, open_store
from schemas.blobs import check_key, check_prefix
from schemas.errors import ConfigError, IntegrityError, LakeError
from schemas.ids import digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from obstore.store import ObjectStore

    from schemas.blobs import BlobStore

    T = TypeVar("T")

_SCHEMES: Final = (*SCHEMES, "memory")
_DOWNLOAD_CHUNK_BYTES: Final = 8 << 20


def open_blobs(url: str, *, read_only: bool = False, cache_dir: Path | None = None) -> BlobStore:
    """Open the store that `url` names.

    Args:
        url: A local path, ``file://``, ``s3://`` (with the usual ``AWS_*`` variables of the environment,
            ``AWS_ENDPOINT_URL`` included), ``gs://``, ``az://``, or ``memory://`` for a fresh, empty one.
        read_only: Refuse writes. A read-only local folder needs no obstore.
        cache_dir: Where :meth:`local_path` of a remote store keeps its copies; by default
            ``gristmill`` in ``$XDG_CACHE_HOME`` (``~/.cache``).

    Raises:
        ConfigError: No backend has the scheme.
        LakeError: The URL or the options of the environment make no sense to the backend.
    """
    root = local_root(url)
    if root is not None and read_only:
        return ReadOnlyLocalBlobs(root)
    if root is not None:
        return _LocalBlobs(root)
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES:
        raise ConfigError(f"{url}: no backend for {scheme}://; use a path, {', '.join(_SCHEMES)}")
    return _RemoteBlobs(url, read_only=read_only, cache_dir=cache_dir or _default_cache_dir())


class _ObstoreBlobs:
    """What local and remote stores share."""

    def __init__(self, store: ObjectStore, url: str, *, read_only: bool) -> None:
        self._store = store
        self._url = url
        self._read_only = read_only

    @property
    def url(self) -> str:
        return self._url

    def get(self, key: str) -> bytes:
        return self._call(key, lambda: self._store.get(check_key(key)).bytes().to_bytes())

    def put(self, key: str, data: bytes) -> None:
        self._check_writable(key)
        self._call(key, lambda: self._store.put(check_key(key), data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError, BaseError

        self._check_writable(key)
        try:
            self._store.put(check_key(key), data, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise self._unreachable(key, error) from None
        return True

    def exists(self, key: str) -> bool:
        return self.size_bytes(key) is not None

    def list(self, prefix: str = "") -> list[str]:
        return [*self.sizes(prefix)]

    def sizes(self, prefix: str = "") -> dict[str, int]:
        folder = check_prefix(prefix)
        batches = self._call(folder, lambda: [*self._store.list(folder or None)])
        found = {blob["path"]: blob["size"] for batch in batches for blob in batch}
        return {key: found[key] for key in sorted(found)}

    def delete(self, key: str) -> None:
        self._check_writable(key)
        if self.exists(key):  # a local store raises for a missing key, S3 does not
            self._call(key, lambda: self._store.delete(check_key(key)))

    def size_bytes(self, key: str) -> int | None:
        from obstore.exceptions import BaseError

        try:
            return self._store.head(check_key(key))["size"]
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise self._unreachable(key, error) from None

    def _call(self, key: str, operation: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return operation()
        except FileNotFoundError:
            raise missing_key(key, self._url) from None
        except (BaseError, OSError) as error:
            raise self._unreachable(key, error) from None

    def _unreachable(self, key: str, error: Exception) -> LakeError:
        if out_of_space(error):
            return full_disk(f"{self._url}, for {key}", error)
        return LakeError(f"cannot reach {key} in {self._url}: {cause_of(error)}")

    def _check_writable(self, key: str) -> None:
        if self._read_only:
            refuse_write(key, self._url)


class _LocalBlobs(_ObstoreBlobs):
    """A folder; made when it is not there."""

    def __init__(self, root: Path) -> None:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore

        try:
            store = LocalStore(prefix=root, mkdir=True)
        except (BaseError, OSError) as error:
            raise LakeError(f"cannot make the folder {root}: {error}") from error
        super().__init__(store, str(root), read_only=False)
        self._root = root

    def local_path(self, key: str) -> Path:
        if not self.exists(key):
            raise missing_key(key, self._url)
        return self._root / key


class _RemoteBlobs(_ObstoreBlobs):
    """An object store."""

    def __init__(self, url: str, *, read_only: bool, cache_dir: Path) -> None:
        from obstore.exceptions import BaseError

        url = url.rstrip("/") if not url.startswith("memory:") else "memory:///"
        try:
            store = open_store(url)
        except (BaseError, ValueError) as error:
            raise LakeError(f"cannot open {url}: {cause_of(error)}") from None
        super().__init__(store, url, read_only=read_only)
        self._cache = cache_dir / digest("blobs", url)

    def delete(self, key: str) -> None:
        super().delete(key)
        (self._cache / key).unlink(missing_ok=True)

    def local_path(self, key: str) -> Path:
        size_bytes = self.size_bytes(key)
        if size_bytes is None:
            raise missing_key(key, self._url)
        path = self._cache / key
        if not (path.is_file() and path.stat().st_size == size_bytes):
            self._download(key, path, size_bytes)
        return path

    def _download(self, key: str, path: Path, size_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the rename is atomic; a half-written copy never gets the name.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".partial-", delete=False) as file:
            partial = Path(file.name)
            try:
                self._call(key, lambda: self._write_chunks(key, file))
                file.flush()
                if partial.stat().st_size != size_bytes:
                    raise IntegrityError(
                        f"{key} in {self._url} came as {partial.stat().st_size} bytes instead of"
                        f" {size_bytes}: it changed meanwhile or the transfer broke; try again"
                    )
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def _write_chunks(self, key: str, file: Any) -> None:
        for chunk in self._store.get(key).stream(min_chunk_size=_DOWNLOAD_CHUNK_BYTES):
            try:
                file.write(chunk)
            except OSError as error:
                if out_of_space(error):
                    raise full_disk(f"the cache {self._cache}", error) from error
                raise


def _default_cache_dir() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "gristmill"
