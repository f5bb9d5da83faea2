"""Ids come from content and locator, never from position, time or order of arrival."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha.update(block)
    return sha.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
