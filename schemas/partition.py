"""Partition(modality, granularity): the key of everything, from units to indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One corpus of the routed retrieval: units of one modality at one granularity."""

    modality: str
    granularity: str

    def __str__(self) -> str:
        return f"{self.modality}/{self.granularity}"

    @classmethod
    def parse(cls, text: str) -> Partition:
        """Read ``"text/paragraph"``.

        Raises:
            ValueError: `text` is not two non-empty names with one slash between them.
        """
        modality, slash, granularity = text.partition("/")
        if not (modality and slash and granularity) or "/" in granularity:
            raise ValueError(f"{text!r} is not a partition; write it as modality/granularity")
        return cls(modality, granularity)


TEXT_PARAGRAPH: Final = Partition("text", "paragraph")
TEXT_DOCUMENT: Final = Partition("text", "document")
TABLE_ROW: Final = Partition("table", "row")
TABLE_TABLE: Final = Partition("table", "table")
PAGE_PAGE: Final = Partition("page", "page")
PAGE_REGION: Final = Partition("page", "region")
IMAGE_IMAGE: Final = Partition("image", "image")
IMAGE_REGION: Final = Partition("image", "region")
AUDIO_SEGMENT: Final = Partition("audio", "segment")
AUDIO_RECORDING: Final = Partition("audio", "recording")
VIDEO_CLIP: Final = Partition("video", "clip")
VIDEO_VIDEO: Final = Partition("video", "video")

ALL_PARTITIONS: Final = (
    TEXT_PARAGRAPH,
    TEXT_DOCUMENT,
    TABLE_ROW,
    TABLE_TABLE,
    PAGE_PAGE,
    PAGE_REGION,
    IMAGE_IMAGE,
    IMAGE_REGION,
    AUDIO_SEGMENT,
    AUDIO_RECORDING,
    VIDEO_CLIP,
    VIDEO_VIDEO,
)
