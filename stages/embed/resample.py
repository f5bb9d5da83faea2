"""Samples as decoders give them, at the rate that a model takes."""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FULL_SCALE: Final = np.float32(1 << 15)


def resampled(samples: NDArray[np.int16], rate: int) -> NDArray[np.float32]:
    """By a polyphase FIR filter (scipy's ``resample_poly``, Kaiser window with beta 5); nothing above 8 kHz appears.

    Args:
        samples: int16 [n] at 16 kHz.
        rate: Samples a second that are wanted.

    Returns:
        float32 [ceil(n * rate / 16000)] in -1..1, but for what the filter overshoots.
    """
    from scipy.signal import resample_poly

    sound = samples.astype(np.float32) / _FULL_SCALE
    if rate == SAMPLE_RATE_HZ:
        return sound
    common = gcd(rate, SAMPLE_RATE_HZ)
    found: NDArray[np.float32] = resample_poly(sound, rate // common, SAMPLE_RATE_HZ // common)
    return found
