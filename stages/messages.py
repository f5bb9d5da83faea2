"""What travels between the stages and the driver: small picklable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.content import Content, PartialReject
    from schemas.source import SourceFile
    from schemas.unit import Unit


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """Decode this file, which has been hashed."""

    file: SourceFile


@dataclass(frozen=True, slots=True)
class Decoded:
    """Decoded, but there is still something to read: goes on to recognition with its arrays."""

    source_id: str
    content: Content


@dataclass(frozen=True, slots=True)
class Milled:
    """A source cut into units, ready to be embedded.

    Attributes:
        source_id: Where the units come from.
        media_type: What the source is.
        title: Title found inside.
        notes: For people.
        rejects: Parts that were lost.
        units: In order of unit_id; `pixels_array` counts in the arrays that travel beside this.
        tokens: Length of each unit's embedded text in tokens of the text space, 0 without text.
    """

    source_id: str
    media_type: str
    title: str
    notes: tuple[str, ...]
    rejects: tuple[PartialReject, ...]
    units: tuple[Unit, ...]
    tokens: tuple[int, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Embed one text, or the pixels that travel beside it, in the space with this key; as a question if `query`."""

    space: str
    text: str = ""
    query: bool = False
