"""What travels between the stages and the driver: small picklable values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.content import Content, PartialReject
    from schemas.sound import SoundSpan
    from schemas.source import SourceFile
    from schemas.unit import Unit
    from stages.ranges import Piece, Span


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """Decode this file, which has been hashed, or a range of it."""

    file: SourceFile
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class LongFile:
    """The file is long: ask for these ranges of it, then for them to be joined."""

    source_id: str
    media_type: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class DecodedPiece:
    """A range of a long file; its arrays travel beside it. If there is still something to read, recognition is next."""

    source_id: str
    piece: Piece


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """Put the ranges of a long file together.

    The units that it is cut into point into the arrays of all pieces, one piece after the other.

    Attributes:
        file: The file.
        media_type: Its type.
        pieces: What was read, in order.
        lost: Ranges that were not.
    """

    file: SourceFile
    media_type: str
    pieces: tuple[Piece, ...]
    lost: tuple[PartialReject, ...] = ()


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
        kept_bytes: What was written of its pixels and its content to be kept.
    """

    source_id: str
    media_type: str
    title: str
    notes: tuple[str, ...]
    rejects: tuple[PartialReject, ...]
    units: tuple[Unit, ...]
    tokens: tuple[int, ...] = field(default=())
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class UnpackRequest:
    """Measure texts of kept units, and read their pixels, which were kept at this side of a frame, by their hashes.

    With side 0 what is read are sounds, by their units.
    """

    texts: tuple[str, ...]
    frame_size: int
    pixels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SoundRequest:
    """Decode the sound of units of a source, which has been cut; answered with `Sounds`.

    Attributes:
        file: The file.
        begin_s: Where to begin to decode: the same for a unit whichever others are asked for with it.
        spans: Of the units, none of which begins before.
        units: Their unit_ids, in the same order.
    """

    file: SourceFile
    begin_s: int
    spans: tuple[SoundSpan, ...]
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sounds:
    """The sounds of a `SoundRequest` travel beside this, int16 [n] at 16 kHz each, in its order; n may be 0.

    Attributes:
        kept_bytes: What was written of them to be kept.
    """

    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RecutRequest:
    """Cut the content anew that is kept of a source under this key; answered with `Milled`, no pixels beside it."""

    source_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Tokens of each text of an `UnpackRequest`; its pixels travel beside this, in its order."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DeriveRequest:
    """Have the generator with this key say something of units that it cannot tell apart; their pixels travel beside."""

    generator: str
    parents: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """What was said, as units, each with its length in tokens of the text space."""

    units: tuple[Unit, ...]
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Embed one text, or pixels or a sound that travel beside it, in the space with this key; as a question if `query`.

    With `probe`, answer with what the encoder makes of the inputs of its self-check.
    """

    space: str
    text: str = ""
    query: bool = False
    probe: bool = False
