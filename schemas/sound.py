"""The sound of a unit: the span of its source that it stands for, as mono samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import LimitError
from schemas.partition import AUDIO_SEGMENT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from schemas.unit import Locator

# A recording is not embedded as a whole: one vector would say nothing of hours, and hours of samples would travel.
SOUND_PARTITIONS: Final = (str(AUDIO_SEGMENT),)
MAX_SOUND_S: Final = (
    120  # 4 MB; a segment is cut at 30 s with a tail of 5 s, unless the configuration says more
)
_SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000


class SoundSpan(NamedTuple):
    """Milliseconds from the start of a source's sound, as a lake has them in locators; the end is exclusive."""

    start_ms: int
    end_ms: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ms - self.start_ms) / 1000

    def cut(self, samples: NDArray[np.int16], begin_s: int = 0) -> NDArray[np.int16]:
        """A copy of its samples, int16 [16 for each ms], fewer where the sound ends before.

        Args:
            samples: int16 [n] at 16 kHz.
            begin_s: Where they begin in the source, not after the span.
        """
        first, last = (
            max(0, (ms - 1000 * begin_s) * _SAMPLES_PER_MS) for ms in (self.start_ms, self.end_ms)
        )
        return samples[first:last].copy()


def sound_span(place: Locator) -> SoundSpan:
    """The span of a unit.

    Raises:
        LimitError: It is longer than what is embedded as sound.
        ValueError: It has none.
    """
    if place.start_s is None or place.end_s is None:
        raise ValueError(f"a place without times has no sound: {place}")
    span = SoundSpan(_milliseconds(place.start_s), _milliseconds(place.end_s))
    if span.seconds > MAX_SOUND_S:
        raise LimitError(
            f"a segment of {span.seconds:.0f} s is not embedded as sound, at most {MAX_SOUND_S} s are:"
            " set segmentation.segment_s lower",
            second=place.start_s,
        )
    return span


def _milliseconds(seconds: float) -> int:
    return round(round(seconds, 3) * 1000)
