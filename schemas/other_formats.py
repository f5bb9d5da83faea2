"""What can be told of a snapshot in another format, so that a lake with one in it can be kept in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.errors import FormatError
from schemas.manifest import FORMAT_VERSION, FileRef, Manifest, format_version_of, other_format

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class OtherFormat:
    """A snapshot of another format version: it can be listed, kept, expired and checked for damage, not opened.

    Attributes:
        snapshot_id, created_at, run_id, table_versions: As in :class:`~schemas.manifest.Manifest`; of a newer format
            what it states under these names, or nothing.
        format_version: Which.
        rows, indexes: How many it states; None of a newer format.
        sources: The file of sources; None of a newer format.
        references: Every file it consists of; None of a newer format, where nobody knows.
        text: The manifest as it was written.
    """

    snapshot_id: str
    created_at: str
    run_id: str
    table_versions: dict[str, int]
    format_version: int
    rows: int | None
    indexes: int | None
    sources: FileRef | None
    references: tuple[FileRef, ...] | None
    text: str

    @property
    def advice(self) -> str:
        """What is wrong with it, and what to do."""
        return other_format(self.format_version)

    def files(self) -> Iterator[FileRef]:
        """Every file it consists of.

        Raises:
            FormatError: It is of a newer format.
        """
        if self.references is None:
            raise FormatError(f"snapshot {self.snapshot_id} {self.advice}")
        yield from self.references

    def to_json(self) -> str:
        """What was written."""
        return self.text


AnyManifest = Manifest | OtherFormat


def read_any(text: str) -> AnyManifest:
    """Read a manifest of any format version.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is no manifest.
    """
    raw = json.loads(text)
    version = format_version_of(raw)
    if version == FORMAT_VERSION:
        return Manifest.from_json(text)
    return _newer(raw, version, text) if version > FORMAT_VERSION else _first(raw, text)


def _newer(raw: dict[str, Any], version: int, text: str) -> OtherFormat:
    """Of a format nobody knows yet: any name in it may mean something else."""
    said = {name: raw.get(name) for name in ("snapshot_id", "created_at", "run_id")}
    names = {name: value if isinstance(value, str) else "" for name, value in said.items()}
    return OtherFormat(
        **names,
        table_versions={},
        format_version=version,
        rows=None,
        indexes=None,
        sources=None,
        references=None,
        text=text,
    )


def _first(raw: dict[str, Any], text: str) -> OtherFormat:
    """Of format version 1: segments of three files, prototypes, sources."""
    sources = FileRef(**raw["sources"])
    references = [sources]
    for index in raw["indexes"]:
        for segment in index["segments"]:
            references += [FileRef(**file) for file in segment["files"]]
        if index["prototypes"]:
            references.append(FileRef(**index["prototypes"]))
    return OtherFormat(
        snapshot_id=raw["snapshot_id"],
        created_at=raw["created_at"],
        run_id=raw["run_id"],
        table_versions=dict(raw["table_versions"]),
        format_version=1,
        rows=sum(index["rows"] for index in raw["indexes"]),
        indexes=len(raw["indexes"]),
        sources=sources,
        references=tuple(references),
        text=text,
    )
