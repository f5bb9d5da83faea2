"""What a decoder may cost and what it should prepare."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from schemas.config import Limits, Recognition, Segmentation
from schemas.space_config import FRAME_SIZE

if TYPE_CHECKING:
    from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """Options of every decoder.

    Attributes:
        limits: What one file may cost.
        segmentation: How it will be cut (frames a clip, DPI of a page).
        recognition: Which recognisers will follow, so that their input is kept.
        frame_size: Side in pixels of the pictures made for pixel encoders.
        passwords: Tried on encrypted files, in order.
    """

    limits: Limits = field(default_factory=Limits)
    segmentation: Segmentation = field(default_factory=Segmentation)
    recognition: Recognition = field(default_factory=Recognition)
    frame_size: int = FRAME_SIZE
    passwords: tuple[SecretStr, ...] = ()

    def shared_among(self, ranges: int) -> DecodeOptions:
        """Those for each of so many ranges of a file, which together may cost what a file may."""
        limits = self.limits.model_copy(
            update={
                "text_chars": max(1, self.limits.text_chars // ranges),
                "file_pixels": max(1, self.limits.file_pixels // ranges),
            }
        )
        return replace(self, limits=limits)
