"""Where sources lie: local disks and object stores. To add a kind: one file here, one row, one contract case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infra.remote import SCHEMES
from infra.sources.local import LocalFiles
from infra.sources.objects import Objects
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from schemas.source import SourceFile, SourceStore

_STORES: Final[dict[str, SourceStore]] = {
    "file": LocalFiles(),
    **dict.fromkeys(SCHEMES, Objects()),
}


def store_of(source: str) -> SourceStore:
    """The store that has a path or URI.

    Raises:
        ConfigError: No store has that scheme.
    """
    scheme, separator, _ = source.partition("://")
    if not separator:
        scheme = "file"
    if scheme not in _STORES:  # the rest may be a signed address, which is not repeated
        known = ", ".join(f"{name}://" for name in _STORES)
        raise ConfigError(f"{scheme}://... cannot be read: give a path, or one of {known}")
    return _STORES[scheme]


def open_file(file: SourceFile, *, limit_bytes: int) -> AbstractContextManager[Path]:
    """See :meth:`schemas.source.SourceStore.open`."""
    return store_of(file.uri).open(file, limit_bytes)


__all__ = ["open_file", "store_of"]
