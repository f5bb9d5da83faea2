"""Digests of large files, each computed once: kept by path, size and time of change."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Final

from schemas.ids import digest, digest_file

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def cached_digest(path: Path) -> str:
    """SHA-256 of a file (64 hex characters).

    In the cache of Hugging Face a large file's blob is named by it. Of any other file it is computed at the first time
    and kept under ``$XDG_CACHE_HOME/gristmill/digests`` (``~/.cache`` by default), if that can be written.
    """
    real = path.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name
    stat = real.stat()
    name = digest("file", str(real), str(stat.st_size), str(stat.st_mtime_ns))
    kept = _folder() / name
    try:
        known = kept.read_text(encoding="ascii")
    except OSError:
        known = ""
    if _SHA256.fullmatch(known):
        return known
    found = digest_file(real)
    _keep(kept, found)
    return found


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gristmill" / "digests"


def _keep(path: Path, value: str) -> None:
    """Written aside and renamed, so that nobody reads half of it; a cache that cannot be written is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(value)
        Path(file.name).replace(path)
    except OSError:
        return
