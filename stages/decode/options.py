"""What a decoder may cost and what it should prepare."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.config import Limits, Recognition, Segmentation


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """Options of every decoder.

    Attributes:
        limits: What one file may cost.
        segmentation: How it will be cut (frames a clip, DPI of a page).
        recognition: Which recognisers will follow, so that their input is kept.
        frame_size: Side in pixels of the pictures made for pixel encoders.
    """

    limits: Limits = field(default_factory=Limits)
    segmentation: Segmentation = field(default_factory=Segmentation)
    recognition: Recognition = field(default_factory=Recognition)
    frame_size: int = 224
