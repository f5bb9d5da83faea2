"""What a decoder gives: the content of one file, before it is cut into units.

Small things (text, boxes, times) are here; big arrays (pixels, samples) travel beside a `Content` in one
tuple of numpy arrays, and the fields named ``*_array`` are indices into that tuple.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

BlockKind = Literal["heading", "paragraph", "list_item", "caption", "code", "quote"]
BBox = tuple[float, float, float, float]
SAMPLE_RATE_HZ: Final = 16_000


@dataclass(frozen=True, slots=True)
class Block:
    """A run of text in reading order.

    Attributes:
        kind: What it is.
        text: Its text, white space normalised, never empty.
        level: Heading level, 1 is the highest; 0 for other kinds.
        page: 1-based page number, None where there are no pages.
        bbox: x0, y0, x1, y1 in PDF points, origin top left.
        char_start: Offset in characters into the decoded text of the file, where there is one.
        char_end: End of it, exclusive.
    """

    kind: BlockKind
    text: str
    level: int = 0
    page: int | None = None
    bbox: BBox | None = None
    char_start: int | None = None
    char_end: int | None = None


@dataclass(frozen=True, slots=True)
class TableData:
    """A table: `header` has one name a column, every row as many cells; an empty cell is ``""``."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    page: int | None = None
    bbox: BBox | None = None
    first_row: int = 1  # 1-based number of the first data row in its file


@dataclass(frozen=True, slots=True)
class PageContent:
    """A rendered page.

    Attributes:
        number: 1-based.
        width_pt: Width in PDF points (1/72 inch).
        height_pt: Height in PDF points.
        text: Its text layer or, after recognition, its OCR text.
        pixels_array: Index of its picture at model size, uint8 [1, S, S, 3].
        ocr_array: Index of its full render in grey, uint8 [H, W, 1], when the page has no text layer; else None.
    """

    number: int
    width_pt: float
    height_pt: float
    text: str
    pixels_array: int
    ocr_array: int | None = None


@dataclass(frozen=True, slots=True)
class RegionContent:
    """A figure, table or picture cut out of a page. `pixels_array`: uint8 [1, S, S, 3]."""

    kind: Literal["figure", "table", "picture"]
    page: int
    bbox: BBox
    caption: str
    pixels_array: int


@dataclass(frozen=True, slots=True)
class ImageContent:
    """A picture. `pixels_array`: uint8 [1, S, S, 3]; `ocr_array`: uint8 [H, W, 3] or None."""

    width: int
    height: int
    pixels_array: int
    text: str = ""
    ocr_array: int | None = None


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """What was said from `start_s` to `end_s` (seconds from the start of the recording)."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class SoundTags:
    """Sound classes heard from `start_s` to `end_s`: (label, score 0..1), best first."""

    start_s: float
    end_s: float
    tags: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class SoundContent:
    """A sound track, decoded to mono 16 kHz.

    Attributes:
        duration_s: Length in seconds.
        samples_array: Index of the samples, int16 [n]; None once recognition is done with them.
        silences: (start_s, end_s) of pauses, for cutting.
        words: Transcript with times, empty before recognition.
        tags: Sound tags with times, empty before recognition.
        language: ISO 639-1 code of the speech, empty if unknown.
        metadata: Container tags such as title and artist.
    """

    duration_s: float
    samples_array: int | None
    silences: tuple[tuple[float, float], ...] = ()
    words: tuple[SpokenWords, ...] = ()
    tags: tuple[SoundTags, ...] = ()
    language: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ClipContent:
    """Frames of a clip at exact times. `frames_array`: uint8 [n_frames, S, S, 3]."""

    start_s: float
    end_s: float
    frame_times_s: tuple[float, ...]
    frames_array: int


@dataclass(frozen=True, slots=True)
class VideoContent:
    """A video: its clips in order, and the whole sampled sparsely (`whole` spans it all)."""

    duration_s: float
    width: int
    height: int
    fps: float
    clips: tuple[ClipContent, ...]
    whole: ClipContent
    scene_cuts_s: tuple[float, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PartialReject:
    """A part of a file that was lost while the rest came through."""

    stage: str
    code: str
    reason: str
    page: int | None = None
    second: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that came out of one file.

    Attributes:
        media_type: What the content is, e.g. ``application/pdf``.
        title: A title found inside the file, or empty.
        blocks: Text in reading order.
        tables, pages, regions: As found.
        image, sound, video: At most one of each.
        notes: What a person should know ("animated: first of 12 frames"), shown with the source.
        rejects: Parts that were lost.
    """

    media_type: str
    title: str = ""
    blocks: tuple[Block, ...] = ()
    tables: tuple[TableData, ...] = ()
    pages: tuple[PageContent, ...] = ()
    regions: tuple[RegionContent, ...] = ()
    image: ImageContent | None = None
    sound: SoundContent | None = None
    video: VideoContent | None = None
    notes: tuple[str, ...] = ()
    rejects: tuple[PartialReject, ...] = field(default=())

    @property
    def needs_recognition(self) -> bool:
        """Whether OCR, speech or sound recognition still has something to read."""
        return (
            any(page.ocr_array is not None for page in self.pages)
            or (self.image is not None and self.image.ocr_array is not None)
            or (self.sound is not None and self.sound.samples_array is not None)
        )

    def with_note(self, note: str) -> Content:
        """The same content with one more note."""
        return replace(self, notes=(*self.notes, note))
