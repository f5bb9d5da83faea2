"""What a decoder gives: the content of one file, before it is cut into units.

Small things (text, boxes, times) are here; big arrays (pixels, samples) travel beside a `Content` in one
tuple of numpy arrays, and the fields named ``*_array`` are indices into that tuple.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

BlockKind = Literal["heading", "paragraph", "list_item", "caption", "code", "quote"]
RegionKind = Literal["figure", "table", "picture", "equation"]
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
class TablePart:
    """Where a table goes on, on a later page; `first_row` is the number of its first data row there."""

    page: int
    bbox: BBox
    first_row: int


@dataclass(frozen=True, slots=True)
class TableData:
    """A table: `header` has one name a column, every row as many cells; an empty cell is ``""``.

    Attributes:
        caption: Its caption, or empty.
        header: One name a column; those of several header rows are joined, ``""`` where there is none.
        rows: Data rows. A merged cell stands in each cell that it spans.
        page: 1-based page it begins on, None where there are no pages.
        bbox: Its box on that page, in PDF points.
        first_row: 1-based number of the first data row in its file.
        header_rows: The header as it stands, row by row; empty where it is not known or there is none.
        columns_pt: x of the edges of its columns in PDF points, one more than columns; empty if unknown.
        parts: The later pages that it goes on to, in order.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    page: int | None = None
    bbox: BBox | None = None
    first_row: int = 1
    header_rows: tuple[tuple[str, ...], ...] = ()
    columns_pt: tuple[float, ...] = ()
    parts: tuple[TablePart, ...] = ()


@dataclass(frozen=True, slots=True)
class PageContent:
    """A rendered page.

    Attributes:
        number: 1-based.
        width_pt: Width in PDF points (1/72 inch).
        height_pt: Height in PDF points.
        text: Its text layer or, after recognition, its OCR text.
        pixels_array: Index of its picture at model size, uint8 [1, S, S, 3]; None where pages are not pictured.
        ocr_array: Index of its full render in grey, uint8 [H, W, 1], when the page has no text layer; else None.
        layout_array: Index of a small render in grey, uint8 [H, W, 1], when there are doubts about it; else None.
        pixels_hash: Of its picture, once that is out of reach; else empty.
    """

    number: int
    width_pt: float
    height_pt: float
    text: str
    pixels_array: int | None
    ocr_array: int | None = None
    layout_array: int | None = None
    pixels_hash: str = ""


@dataclass(frozen=True, slots=True)
class RegionContent:
    """A figure (drawn), picture (pixels), table or equation cut out of a page.

    Attributes:
        kind: What it is.
        page: 1-based.
        bbox: Its box in PDF points.
        caption: The caption that belongs to it, or empty.
        pixels_array: Index of its picture at model size, uint8 [1, S, S, 3]; the same for a picture used again;
            None where pages are not pictured.
        text: What is written inside of it: the labels of a figure, the signs of an equation; empty for a table.
        pixels_hash: Of its picture, once that is out of reach; else empty.
        phash: Perceptual hash of a figure or picture (see stages/near.py), from then on; empty where it has none.
    """

    kind: RegionKind
    page: int
    bbox: BBox
    caption: str
    pixels_array: int | None
    text: str = ""
    pixels_hash: str = ""
    phash: str = ""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something on a page that its objects and text leave open: a layout model is asked for it.

    Attributes:
        region: What it may be, with its picture.
        table: Its cells, if it may be a table.
        stands: Whether it is taken for it when nobody can tell.
        blocks: Its text as running text, which it is if it is nothing else.
        rest: Words in its box that its cells do not have: running text if it is a table.
    """

    region: RegionContent
    table: TableData | None = None
    stands: bool = False
    blocks: tuple[Block, ...] = ()
    rest: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class CropContent:
    """A part of a picture.

    Attributes:
        bbox: In pixels of the picture as shown.
        pixels_array: Index of it at model size, uint8 [1, S, S, 3].
        pixels_hash: Of that, once it is out of reach; else empty.
    """

    bbox: BBox
    pixels_array: int
    pixels_hash: str = ""


@dataclass(frozen=True, slots=True)
class ImageContent:
    """A picture.

    Attributes:
        width: In pixels, as it is shown.
        height: The same.
        pixels_array: Index of its picture at model size, uint8 [1, S, S, 3].
        text: What is written on it, as far as it is known.
        ocr_array: Index of the picture to be read, uint8 [H, W, 3], or None.
        crops: Parts of it that are looked at alone.
        phash: Perceptual hash of the whole, 16 hex digits; empty where it has none (see stages/near.py).
        pixels_hash: Of its picture, once that is out of reach; else empty.
    """

    width: int
    height: int
    pixels_array: int
    text: str = ""
    ocr_array: int | None = None
    crops: tuple[CropContent, ...] = ()
    phash: str = ""
    pixels_hash: str = ""


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
    """Frames of a clip at exact times.

    Attributes:
        start_s: Where it begins, in seconds.
        end_s: Where it ends.
        frame_times_s: Of each frame.
        frames_array: Index of the frames, uint8 [n_frames, S, S, 3].
        pixels_hash: Of those, once they are out of reach; else empty.
    """

    start_s: float
    end_s: float
    frame_times_s: tuple[float, ...]
    frames_array: int
    pixels_hash: str = ""


@dataclass(frozen=True, slots=True)
class ScreenContent:
    """A frame to be read, shown from `start_s` to `end_s`. `ocr_array`: uint8 [H, W, 1], grey."""

    start_s: float
    end_s: float
    ocr_array: int


@dataclass(frozen=True, slots=True)
class ScreenLine:
    """A line of writing seen in a video from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """Subtitles as text, by start. `language`: as the container has it (ISO 639-2, ``eng``), empty if unknown."""

    language: str
    lines: tuple[SpokenWords, ...]


@dataclass(frozen=True, slots=True)
class VideoContent:
    """A video: its clips in order, and the whole sampled sparsely (`whole` spans it all).

    Attributes:
        duration_s: Until the end of the last thing shown or heard.
        width: Of the picture as shown (rotation applied), in pixels.
        height: The same.
        fps: Average frames per second, 0 if unknown.
        clips: In order, without gaps.
        whole: All of it.
        scene_cuts_s: Times at which a new scene begins.
        metadata: Container tags such as title and artist.
        screens: Frames to be read, in order; empty once recognition is done with them.
        screen_lines: What was read in them, by start; empty before recognition.
        subtitles: Text tracks, the one to show first; once it is known what is said, without those that say it again.
    """

    duration_s: float
    width: int
    height: int
    fps: float
    clips: tuple[ClipContent, ...]
    whole: ClipContent
    scene_cuts_s: tuple[float, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    screens: tuple[ScreenContent, ...] = ()
    screen_lines: tuple[ScreenLine, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()


@dataclass(frozen=True, slots=True)
class PartialReject:
    """A part of a file that was lost while the rest came through. `retryable`: it may come through at another try."""

    stage: str
    code: str
    reason: str
    page: int | None = None
    second: float | None = None
    retryable: bool = False


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
        doubts: What recognition has to decide, in page order; none are left after it.
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
    doubts: tuple[Doubt, ...] = ()

    @property
    def needs_recognition(self) -> bool:
        """Whether OCR, layout, speech or sound recognition still has something to look at."""
        return (
            bool(self.doubts)
            or any(page.ocr_array is not None for page in self.pages)
            or (self.image is not None and self.image.ocr_array is not None)
            or (self.sound is not None and self.sound.samples_array is not None)
            or (self.video is not None and bool(self.video.screens))
        )

    def with_note(self, note: str) -> Content:
        """The same content with one more note."""
        return replace(self, notes=(*self.notes, note))
