"""What a preview may cost and how large it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.config import Limits

if TYPE_CHECKING:
    from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """Options of every preview.

    Attributes:
        limits: Of decoding: what they refuse has no preview either.
        side_px: Longest side of the picture; a grid of upright frames may be higher.
        timeout_s: Longest time that drawing may take.
        frames_s: Times of the frames that a clip was embedded by, in seconds (a unit's attribute ``frames_s``);
            without any, times are spread over the clip.
        passwords: Tried on encrypted files, in order.
    """

    limits: Limits = field(default_factory=Limits)
    side_px: int = 960
    timeout_s: float = 60.0
    frames_s: tuple[float, ...] = ()
    passwords: tuple[SecretStr, ...] = ()

    def limits_within(self, seconds: float) -> Limits:
        """The limits with so much time left, for one run of ffmpeg; at least a tenth of a second."""
        return self.limits.model_copy(update={"decode_timeout_s": max(0.1, seconds)})
