"""Ids come from content and locator, never from position, time or order of arrival."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ID_HEX_CHARS: Final = 32  # 128 bits: a collision among 2**40 ids has odds of about 1 in 2**49
_READ_BYTES: Final = 1 << 20


def digest(*parts: str | bytes) -> str:
    """SHA-256 over length-prefixed parts, cut to 128 bits, as 32 hex characters."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()[:ID_HEX_CHARS]


def digest_buffer(data: bytes | memoryview) -> str:
    """The same for one large buffer (pixels, samples) without copying it."""
    return hashlib.sha256(data).hexdigest()[:ID_HEX_CHARS]


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex characters, read in 1 MiB pieces."""
    with path.open("rb") as file:
        return digest_stream(file)


def digest_stream(file: BinaryIO) -> str:
    """The same of an open file, from where it stands to its end."""
    return digest_chunks(iter(lambda: file.read(_READ_BYTES), b""))


def digest_chunks(chunks: Iterable[bytes | memoryview]) -> str:
    """The same of bytes that come piece by piece."""
    sha = hashlib.sha256()
    for chunk in chunks:
        sha.update(chunk)
    return sha.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
