"""Sources in object stores: S3, Google Cloud Storage, Azure, through obstore.

An object is known by its etag and size; what those leave open its bytes decide. A key is taken apart at its slashes,
and a SRC means the object of that key and all below it.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import quote, unquote

from infra.remote import cause_of, open_store
from infra.sources.scratch import scratch_file
from schemas.errors import ConfigError, LimitError, SourceError, UnreadableError
from schemas.ids import digest_chunks
from schemas.source import Found, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_CHUNK_BYTES: Final = 8 << 20
_HEAD_THREADS: Final = 16
# The client's own limit is 30 s for a whole transfer, which a long film does not keep.
_TRANSFER: Final = timedelta(hours=12)
_STALL: Final = timedelta(seconds=60)
_SECRET: Final = re.compile(r"[?&](sig|[\w-]*(signature|credential|token))=", re.IGNORECASE)
_CHANGED: Final = "it changed since it was listed"


class _ChangedError(Exception):
    """The object is another one than was listed."""


class Objects:
    """Objects and prefixes. Keys that end in a slash and have no bytes mark folders and are no files."""

    keeps_folders = False

    def uri(self, source: str) -> str:
        """``scheme://bucket/key`` with the key percent-encoded once; ``s3a`` is ``s3``."""
        scheme, _, rest = source.partition("://")
        bucket, _, key = rest.partition("/")
        if not bucket or ":" in bucket or _SECRET.search(rest):
            raise ConfigError(
                f"{scheme}:// takes a bucket and a prefix, without keys or signatures: credentials come from the"
                " environment"
            )
        return _uri(f"{scheme.replace('s3a', 's3')}://{bucket}", unquote(key).strip("/"))

    def check(self, root: str) -> None:
        """See :meth:`schemas.source.SourceStore.check`; one page is listed, which may be empty."""
        from obstore.exceptions import BaseError, InvalidPathError

        base, key = _apart(root)
        try:
            next(iter(_store(base).list(key or None)), None)
        except InvalidPathError:
            return  # it answers; walk() says what is wrong with that key
        except (BaseError, OSError, ValueError) as error:
            raise _unlisted(root, error) from None

    def walk(self, root: str, exclude: str) -> Iterator[Found]:
        """See :meth:`schemas.source.SourceStore.walk`."""
        from obstore.exceptions import BaseError

        base, key = _apart(root)
        store = _store(base)
        closed: dict[str, str] = {}
        found: dict[str, ObjectMeta] = {}
        empty: dict[str, ObjectMeta] = {}
        try:
            for meta in _list(store, key, closed):
                (found if meta["size"] else empty)[meta["path"]] = meta
            found |= _objects_among(store, [path for path in empty if path not in found])
            itself = _head_if_allowed(store, key) if key else None
            if itself and (itself["size"] or not found):
                found[key] = itself
        except (BaseError, OSError, ValueError) as error:
            raise _unlisted(root, error) from None
        for path, meta in found.items():
            if not f"{_uri(base, path)}/".startswith(f"{exclude}/"):
                yield Found(_file(_uri(base, path), root, meta))
        for prefix, reason in closed.items():
            yield Found(_file(_uri(base, prefix), root), reason, blocked=True)

    def look(self, uri: str, root: str) -> Found | None:
        """See :meth:`schemas.source.SourceStore.look`.

        Raises:
            UnreadableError: Not this object is at fault, the store cannot be reached.
        """
        from obstore.exceptions import BaseError

        base, key = _apart(uri)
        try:
            return Found(_file(uri, root, _store(base).head(key)))
        except FileNotFoundError:
            return None
        except (BaseError, OSError, ValueError) as error:
            self.check(root)
            return Found(_file(uri, root), f"cannot be looked at: {_why(error)}")

    def hash(self, file: SourceFile) -> Found:
        """See :meth:`schemas.source.SourceStore.hash`; the bytes are streamed, nothing is written."""
        from obstore.exceptions import BaseError, PreconditionError

        for _ in range(2):
            try:
                return Found(replace(file, content_hash=digest_chunks(_chunks(file))))
            except (_ChangedError, PreconditionError, FileNotFoundError):
                again = self.look(file.uri, file.root)
            except (BaseError, OSError, ValueError) as error:
                self.check(file.root)
                return Found(file, f"cannot be read: {_why(error)}")
            if again is None:
                return Found(file, "cannot be read: it is not there any more")
            if again.reason:
                return again
            file = again.file
        return Found(file, "is being written: it changed while it was read; the next run reads it")

    @contextmanager
    def open(self, file: SourceFile, limit_bytes: int) -> Iterator[Path]:
        """See :meth:`schemas.source.SourceStore.open`; a copy that is deleted afterwards."""
        if file.size_bytes > limit_bytes:
            raise LimitError(
                f"{file.uri} has {file.size_bytes} bytes, more than limits.file_bytes = {limit_bytes}"
            )
        with scratch_file() as (copy, path):
            _download(file, copy)
            try:
                yield path
            except SourceError as error:  # decoders name what they were given to open
                message = error.message.replace(str(path), file.uri)
                raise type(error)(message, page=error.page, second=error.second) from None


def _download(file: SourceFile, copy: BinaryIO) -> None:
    """Write the bytes that were hashed; :func:`_chunks` never gives more than were listed.

    Raises:
        UnreadableError: They are not to be had.
    """
    from obstore.exceptions import BaseError

    def written() -> Iterator[memoryview]:
        for chunk in _chunks(file):
            copy.write(chunk)
            yield chunk
        copy.flush()

    try:
        content_hash = digest_chunks(written())
    except (_ChangedError, BaseError, OSError, ValueError) as error:
        reason = _why(error)
    else:
        if content_hash == file.content_hash:
            return
        reason = _CHANGED
    raise UnreadableError(f"{file.uri} cannot be read: {reason}; the next run looks again")


def _chunks(file: SourceFile) -> Iterator[memoryview]:
    """The bytes of the object that was listed, and of no other.

    Raises:
        _ChangedError, obstore.exceptions.PreconditionError: It was written again.
    """
    base, key = _apart(file.uri)
    weak = not file.etag or file.etag.startswith("W/")  # those are not allowed in If-Match
    options: dict[str, Any] = {} if weak else {"options": {"if_match": f'"{file.etag}"'}}
    answer = _store(base).get(key, **options)
    if (answer.meta["size"], _etag(answer.meta)) != (file.size_bytes, file.etag):
        raise _ChangedError
    left = file.size_bytes
    for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise _ChangedError
        yield memoryview(chunk)
    if left:
        raise _ChangedError


def _list(store: ObjectStore, prefix: str, closed: dict[str, str]) -> Iterator[ObjectMeta]:
    """Objects below a prefix, some twice; prefixes that the client cannot list go into `closed` with the reason."""
    from obstore.exceptions import InvalidPathError

    try:
        for page in store.list(prefix or None):
            yield from page
    except InvalidPathError:
        yield from _list_by_folder(store, prefix, closed)


def _list_by_folder(
    store: ObjectStore, prefix: str, closed: dict[str, str]
) -> Iterator[ObjectMeta]:
    """The same for where one key spoils a whole page: only its folder is lost."""
    from obstore.exceptions import InvalidPathError

    try:
        level = store.list_with_delimiter(prefix or None)
    except InvalidPathError as error:
        closed[prefix] = (
            f"a prefix that cannot be listed: {cause_of(error)}. Rename that object: keys with //, . or .. between"
            " slashes, or control characters are not read"
        )
        return
    yield from level["objects"]
    for below in level["common_prefixes"]:
        yield from _list(store, below, closed)


def _objects_among(store: ObjectStore, keys: list[str]) -> dict[str, ObjectMeta]:
    """Those of empty entries that are objects: a listing shows ``folder/`` as ``folder``, where nothing is."""

    def head(key: str) -> ObjectMeta | None:
        try:
            return store.head(key)
        except FileNotFoundError:
            return None

    with ThreadPoolExecutor(_HEAD_THREADS) as pool:
        return {key: meta for key, meta in zip(keys, pool.map(head, keys), strict=True) if meta}


def _head_if_allowed(store: ObjectStore, key: str) -> ObjectMeta | None:
    from obstore.exceptions import PermissionDeniedError

    try:
        return store.head(key)
    except (
        FileNotFoundError,
        PermissionDeniedError,
    ):  # the second is S3's answer to who may list only
        return None


def _file(uri: str, root: str, meta: ObjectMeta | None = None) -> SourceFile:
    relative = uri.rpartition("/")[2] if uri == root else uri.removeprefix(f"{root}/")
    size_bytes, etag = (meta["size"], _etag(meta)) if meta else (0, "")
    return SourceFile(uri, root, unquote(relative), size_bytes, 0, etag=etag)


def _etag(meta: ObjectMeta) -> str:
    return (meta["e_tag"] or "").strip('"')


def _uri(base: str, key: str) -> str:
    return f"{base}/{quote(key)}" if key else base


def _apart(uri: str) -> tuple[str, str]:
    """``s3://bucket`` and the key."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", unquote(key)


@cache
def _store(base: str) -> ObjectStore:
    """One client for each bucket and process: its connections are kept.

    Raises:
        ConfigError: The URL or the environment make no sense.
    """
    from obstore.exceptions import BaseError

    try:
        return open_store(base, timeout=_TRANSFER, read_timeout=_STALL)
    except (BaseError, ValueError) as error:
        raise ConfigError(f"{base} cannot be opened: {cause_of(error)}") from None


def _unlisted(root: str, error: Exception) -> UnreadableError:
    return UnreadableError(f"{root} cannot be listed, nothing was changed: {_why(error)}")


def _why(error: Exception) -> str:
    from obstore.exceptions import PermissionDeniedError, PreconditionError, UnauthenticatedError

    if isinstance(error, FileNotFoundError):
        return "it is not there any more"
    if isinstance(error, _ChangedError | PreconditionError):
        return _CHANGED
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return f"access is denied ({cause_of(error)})"
    return cause_of(error)
