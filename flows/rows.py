"""Rows of the lake's tables, gathered by batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from infra.lake import CommitBatch, SourceFacts
from schemas.derived import is_derived
from schemas.ids import canonical_json, digest
from schemas.source import SourceFile
from schemas.space import Marked
from schemas.tables import COMPLETIONS, EMBEDDINGS, REJECTS, SOURCES, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.lake import KnownPath
    from schemas.engine import Failure
    from schemas.partition import Partition
    from schemas.space import Embedding, SpaceContract
    from schemas.unit import Unit
    from stages.messages import Milled

Row = dict[str, Any]


def text_hash(unit: Unit) -> str:
    """Digest of what a text encoder reads of the unit; empty without text."""
    return digest("text", unit.embedded_text) if unit.embedded_text else ""


def input_of(unit: Unit, space: SpaceContract) -> str:
    """What names the input of a unit in a space; empty where it has none."""
    if space.input == "text":
        return text_hash(unit)
    if space.input == "pixels":
        return unit.pixels_hash
    return "" if is_derived(unit.attributes) else unit.unit_id


@dataclass(slots=True)
class BatchRows:
    """The rows that will land together.

    Attributes:
        batch_id: Unique in the lake: run and number.
        run_id: The run.
        fingerprint: Of decoding and segmenting.
    """

    batch_id: str
    run_id: str
    fingerprint: str
    sources: list[Row] = field(default_factory=list)
    units: list[Row] = field(default_factory=list)
    embeddings: dict[str, list[Row]] = field(default_factory=dict)
    rejects: list[Row] = field(default_factory=list)
    completions: list[Row] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Rows of all tables."""
        vectors = sum(len(rows) for rows in self.embeddings.values())
        return len(self.units) + len(self.sources) + len(self.rejects) + vectors

    def add_path(self, file: SourceFile, outcome: str, facts: SourceFacts) -> None:
        """This name now has this content (`outcome` indexed or duplicate)."""
        self._add_source(file, outcome, facts)
        self._complete("path", uri=file.uri, source_id=file.source_id, fingerprint=self.fingerprint)

    def add_kept(
        self, known: KnownPath, facts: SourceFacts, stage: str, failure: Failure, attempts: int = 1
    ) -> None:
        """This name cannot be read now: it is said so, and what the lake has of it stays."""
        file = SourceFile(
            uri=known.uri,
            root=known.root,
            path=known.path,
            size_bytes=known.size_bytes,
            mtime_ns=known.mtime_ns,
            content_hash=known.content_hash,
            etag=known.etag,
        )
        self.add_path(file, known.outcome, facts)
        self.add_reject(file, stage, failure, attempts=attempts)

    def add_gone(self, uri: str) -> None:
        """This name is no longer there."""
        self._complete("path", uri=uri, source_id="", fingerprint=self.fingerprint)

    def add_units(self, milled: Milled, spaces: list[str]) -> None:
        """The units of a source, complete in these spaces."""
        self.units.extend(self._unit_row(unit) for unit in milled.units)
        self.add_complete(milled.source_id, spaces)

    def add_complete(self, source_id: str, spaces: Iterable[str]) -> None:
        """All units of the source are in this batch, and their vectors in these spaces are there."""
        self._complete("units", source_id=source_id, fingerprint=self.fingerprint)
        self.add_spaces(source_id, spaces)

    def add_spaces(self, source_id: str, spaces: Iterable[str]) -> None:
        """The units that the lake has of the source have their vectors in these spaces."""
        for space in spaces:
            self._complete("space", source_id=source_id, fingerprint=space)

    def add_batch(self) -> None:
        """What else is in this batch counts, though no source is complete by it."""
        self._complete("batch")

    def add_derived(self, source_id: str, generators: Iterable[str]) -> None:
        """The units that the lake has of the source, as of now, have the texts of these generators among them."""
        for key in generators:
            self._complete("derived", source_id=source_id, fingerprint=key)

    def add_vector(
        self, space: str, partition: Partition, input_hash: str, found: Embedding
    ) -> None:
        """What a content of a partition became in a space."""
        numbers, marks = found if isinstance(found, Marked) else (found, None)
        self.embeddings.setdefault(space, []).append(
            {
                "modality": partition.modality,
                "granularity": partition.granularity,
                "input_hash": input_hash,
                "vector": numbers.ravel(),
                "marks": marks,
                "batch": self.batch_id,
            }
        )

    def add_rejected(self, file: SourceFile, stage: str, failure: Failure, attempts: int) -> None:
        """A file that gives nothing."""
        self._add_source(file, "rejected", SourceFacts())
        self.add_reject(file, stage, failure, attempts=attempts)
        self._complete("path", uri=file.uri, source_id="", fingerprint=self.fingerprint)

    def add_reject(
        self,
        file: SourceFile,
        stage: str,
        failure: Failure,
        *,
        attempts: int = 1,
        unit_id: str = "",
    ) -> None:
        """A row of rejects: a whole file, a part of one, or a unit."""
        self.rejects.append(
            {
                "uri": file.uri,
                "path": _printable(file.path),
                "source_id": file.source_id if file.content_hash else "",
                "unit_id": unit_id,
                "stage": stage,
                "code": failure.code,
                "reason": failure.reason,
                "retryable": failure.retryable,
                "page": failure.page,
                "second": failure.second,
                "attempts": attempts,
                "run_id": self.run_id,
                "rejected_at": datetime.now(UTC),
                "batch": self.batch_id,
            }
        )

    def add_old_reject(self, row: Mapping[str, Any]) -> None:
        """A row of rejects that still holds, though the units of its source are written again."""
        self.rejects.append({**row, "batch": self.batch_id})

    def seal(self) -> CommitBatch:
        """As Arrow tables in the canonical schemas."""
        return CommitBatch(
            batch_id=self.batch_id,
            sources=pa.Table.from_pylist(self.sources, SOURCES),
            units=pa.Table.from_pylist(self.units, UNITS),
            embeddings={
                space: pa.Table.from_pylist(rows, EMBEDDINGS)
                for space, rows in self.embeddings.items()
            },
            rejects=pa.Table.from_pylist(self.rejects, REJECTS),
            completions=pa.Table.from_pylist(self.completions, COMPLETIONS),
        )

    def _add_source(self, file: SourceFile, outcome: str, facts: SourceFacts) -> None:
        self.sources.append(
            {
                "source_id": file.source_id if file.content_hash else "",
                "uri": file.uri,
                "root": file.root,
                "path": _printable(file.path),
                "size_bytes": file.size_bytes,
                "mtime_ns": file.mtime_ns,
                "etag": file.etag,
                "content_hash": file.content_hash,
                "media_type": facts.media_type,
                "title": facts.title,
                "notes": list(facts.notes),
                "outcome": outcome,
                "units": facts.units,
                "batch": self.batch_id,
            }
        )

    def _unit_row(self, unit: Unit) -> Row:
        return {
            "modality": unit.partition.modality,
            "granularity": unit.partition.granularity,
            "unit_id": unit.unit_id,
            "source_id": unit.source_id,
            "parent_id": unit.parent_id,
            "locator": canonical_json(unit.locator.as_dict()),
            "text": unit.text,
            "context": unit.context,
            "text_hash": text_hash(unit),
            "pixels_hash": unit.pixels_hash,
            "language": unit.language,
            "attributes": canonical_json(unit.attributes),
            "acl": list(unit.acl),
            "batch": self.batch_id,
        }

    def _complete(
        self, kind: str, *, uri: str = "", source_id: str = "", fingerprint: str = ""
    ) -> None:
        self.completions.append(
            {
                "kind": kind,
                "uri": uri,
                "source_id": source_id,
                "fingerprint": fingerprint,
                "batch": self.batch_id,
                "seq": 0,  # set by the committer
            }
        )


def _printable(path: str) -> str:
    r"""A path as valid UTF-8; bytes that are not are shown as \\xNN (the uri keeps them exactly)."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
