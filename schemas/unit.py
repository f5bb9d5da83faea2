"""A unit: one row of a partition, with the place in its source that a person can go to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.ids import canonical_json, digest

if TYPE_CHECKING:
    from schemas.content import BBox
    from schemas.partition import Partition


@dataclass(frozen=True, slots=True)
class Locator:
    """Where in its source a unit is. Only the fields that make sense for it are set.

    Attributes:
        page: 1-based page.
        bbox: x0, y0, x1, y1 in PDF points (origin top left), or pixels for a picture.
        start_s: Start in seconds.
        end_s: End in seconds, exclusive.
        row: 1-based data row in its table.
        table: 1-based table in its file.
        part: 1-based part of a document cut into parts.
        char_start: Offset in characters into the file's text.
        char_end: End of it, exclusive.
    """

    page: int | None = None
    bbox: BBox | None = None
    start_s: float | None = None
    end_s: float | None = None
    row: int | None = None
    table: int | None = None
    part: int | None = None
    char_start: int | None = None
    char_end: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields that are set, floats rounded to a thousandth (a millisecond)."""
        return {k: _rounded(v) for k, v in asdict(self).items() if v is not None}

    def as_text(self) -> str:
        """For people: ``page 3``, ``0:12-0:41``, ``row 7``."""
        parts = []
        if self.page is not None:
            parts.append(f"page {self.page}")
        if self.table is not None:
            parts.append(f"table {self.table}")
        if self.row is not None:
            parts.append(f"row {self.row}")
        if self.part is not None:
            parts.append(f"part {self.part}")
        if self.start_s is not None and self.end_s is not None:
            parts.append(f"{clock(self.start_s)}-{clock(self.end_s)}")
        if not parts and self.char_start is not None:
            parts.append(f"character {self.char_start}")
        return ", ".join(parts)


def clock(seconds: float) -> str:
    """``75.2`` as ``1:15``, ``3700`` as ``1:01:40``."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, tuple):
        return [_rounded(v) for v in value]
    return value


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of a partition.

    Attributes:
        source_id: The source it was cut from.
        partition: Where it belongs.
        locator: Where in the source it is.
        text: What a person reads and a text encoder embeds (passage, row, caption, transcript); may be empty.
        context: What surrounds it (title, heading path joined by " > "); shown, and given to text
            encoders before the text.
        pixels_hash: Digest of its pixels at model size; empty without pixels.
        pixels_array: Index of its pixels among the arrays beside it; not stored.
        parent_id: unit_id of the unit it is part of (a paragraph's page, a clip's video), or empty.
        language: ISO 639-1 code, or empty.
        attributes: Free facts (kind of region, sound tags, frame times), as text.
        acl: Access labels; empty means unrestricted.
    """

    source_id: str
    partition: Partition
    locator: Locator
    text: str = ""
    context: str = ""
    pixels_hash: str = ""
    pixels_array: int | None = None
    parent_id: str = ""
    language: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    acl: tuple[str, ...] = ()

    @property
    def unit_id(self) -> str:
        """Identity from source, partition, place and content: 32 hex characters."""
        place = canonical_json(self.locator.as_dict())
        return digest(
            "unit", self.source_id, str(self.partition), place, self.embedded_text, self.pixels_hash
        )

    @property
    def embedded_text(self) -> str:
        """What a text encoder reads: the context, a newline, the text."""
        return f"{self.context}\n{self.text}" if self.context and self.text else self.text
