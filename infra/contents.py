"""Kept contents: what was decoded and recognised of a source, to be cut into units anew (docs/reindex.md).

`content/<fingerprint>/<first two of the source_id>/<source_id>-<digest>.json.zst` is JSON (schemas/content_json.py),
compressed.
The fingerprint is of all that leads from a file's bytes to its content; the digest is of the JSON: what is read is
checked by its own name, no writer overwrites what another wrote, and whoever decodes the same gives the same.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from infra.blobs import open_blobs
from schemas.content_json import content_from_plain, content_to_plain
from schemas.errors import IntegrityError
from schemas.ids import canonical_json, digest

if TYPE_CHECKING:
    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore
    from schemas.content import Content

CONTENT: Final = "content"
MAX_BYTES: Final = 512 << 20  # of JSON; what has more is not kept, and decoded when it is needed
_VERSION: Final = 1
_KEY: Final = re.compile(
    CONTENT + r"/([0-9a-f]{32})/([0-9a-f]{2})/(\2[0-9a-f]{30})-([0-9a-f]{32})\.json\.zst"
)
_CODEC: Final = "zstd"
_LEVEL: Final = 3
_BROKEN: Final = (ValueError, KeyError, TypeError, OSError, RecursionError, pa.ArrowException)


class KeptContents:
    """The contents that a lake keeps. Picklable: a worker opens the store for itself.

    Every method raises LakeError when the store cannot be reached.

    Args:
        blobs: Where they are.
        fingerprint: Of decoding and recognition, as it is done now; empty to look after what is there.
    """

    def __init__(self, blobs: BlobStore, fingerprint: str) -> None:
        self._blobs = blobs
        self._fingerprint = fingerprint

    @classmethod
    def at(cls, lake_url: str, fingerprint: str) -> Self:
        """Those of the lake at a URL."""
        return cls(open_blobs(lake_url), fingerprint)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self).at, (self._blobs.url, self._fingerprint)

    def keep(self, source_id: str, content: Content) -> int:
        """Write one, if it is not there; gives the bytes written."""
        parts = {"version": _VERSION, "source_id": source_id, "content": content_to_plain(content)}
        text = canonical_json(parts).encode("utf-8", "surrogatepass")
        if len(text) > MAX_BYTES:
            return 0
        key = f"{CONTENT}/{self._fingerprint}/{source_id[:2]}/{source_id}-{digest(text)}.json.zst"
        data: bytes = pa.Codec(_CODEC, _LEVEL).compress(text, asbytes=True)
        return len(data) if self._blobs.put_if_absent(key, data) else 0

    def read(self, key: str) -> Content:
        """One that is kept.

        Raises:
            IntegrityError: It is not there, or is not what its name says.
        """
        match = _KEY.fullmatch(key)
        text = text_of(self._blobs.get(key), key)
        if match is None or digest(text) != match[4]:
            raise IntegrityError(f"{key} has another content than its name says")
        try:
            parts: dict[str, Any] = json.loads(text)
            if (parts["version"], parts["source_id"]) != (_VERSION, match[3]):
                raise ValueError("it is of another version, or of another source")
            return content_from_plain(parts["content"])
        except _BROKEN as error:
            raise IntegrityError(f"{key} cannot be read: {error}") from error

    def kept(self) -> dict[str, str]:
        """Keys of what decoding would give now, by source_id."""
        keys = self._blobs.list(f"{CONTENT}/{self._fingerprint}")
        return {match[3]: key for key in reversed(keys) if (match := _KEY.fullmatch(key))}

    def sizes(self) -> dict[str, int]:
        """Compressed bytes of everything that lies there, by key."""
        return self._blobs.sizes(CONTENT)

    def unneeded(self, live: pa.Array) -> list[str]:
        """Keys of what is kept of no live source, and, of what is kept as decoding would give it now, of all else.

        Args:
            live: source_id of all live sources.
        """
        found = [(key, _KEY.fullmatch(key)) for key in self._blobs.list(CONTENT)]
        sources = pa.array([match[3] if match else None for _, match in found], pa.string())
        lives = pc.is_in(sources, value_set=live, skip_nulls=True).to_pylist()
        best = self.kept() if self._fingerprint else {}
        return [
            key
            for (key, match), is_live in zip(found, lives, strict=True)
            if not is_live or match is None or best.get(match[3], key) != key
        ]

    def delete(self, key: str) -> None:
        """Remove one; nothing happens when it is not there."""
        self._blobs.delete(key)

    def faults(self, progress: Progress) -> dict[str, str]:
        """Read every content; gives what is wrong with those that are not what their names say, by key."""
        keys = [key for key in self._blobs.list(CONTENT) if _KEY.fullmatch(key)]
        found = {}
        for number, key in enumerate(keys):
            progress(CONTENT, number, len(keys))
            try:
                self.read(key)
            except IntegrityError as error:
                if self._blobs.exists(key):  # else maintenance took it meanwhile
                    found[key] = error.message.removeprefix(f"{key} ")
        return found


def is_content(key: str) -> bool:
    """Whether a blob is a kept content."""
    return _KEY.fullmatch(key) is not None


def text_of(data: bytes, name: str) -> bytes:
    """The JSON in the bytes of a kept content; no more than `MAX_BYTES` is unpacked.

    Raises:
        IntegrityError: It is none, or not a whole one.
    """
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), _CODEC) as file:
            text: bytes = file.read(MAX_BYTES + 1)
    except _BROKEN as error:
        raise IntegrityError(f"{name} cannot be read: {error}") from error
    if len(text) > MAX_BYTES:
        raise IntegrityError(f"{name} has more than {MAX_BYTES} bytes")
    return text
