"""Pauses in a sound, by energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME: Final = SAMPLE_RATE_HZ // 50  # 20 ms
_BLOCK: Final = 50 * 60 * FRAME  # a minute at a time, so that float copies stay small
_BELOW_PEAK_DB: Final = 40.0
_MIN_PAUSE_S: Final = 0.3


def find_silences(samples: NDArray[np.int16]) -> tuple[tuple[float, float], ...]:
    """Pauses of at least 0.3 s whose energy is 40 dB below the loudest moment.

    As librosa's ``effects.split`` (RMS against its maximum), with 40 instead of 60 dB: rooms are seldom quieter.

    Args:
        samples: int16 [n] at 16 kHz.

    Returns:
        (start_s, end_s), ascending, multiples of 20 ms. All of a silent recording is one pause.
    """
    rms = loudness(samples)
    if not rms.size:
        return ()
    quiet = rms <= rms.max() * 10 ** (-_BELOW_PEAK_DB / 20)
    if not rms.max():
        quiet[:] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([False], quiet, [False])).astype(np.int8)))
    spans = edges.reshape(-1, 2) * (FRAME / SAMPLE_RATE_HZ)
    return tuple(
        (round(float(start), 2), round(float(end), 2))
        for start, end in spans
        if end - start >= _MIN_PAUSE_S
    )


def loudness(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Root mean square of each whole frame of 20 ms, float32 [n // FRAME]."""
    whole = samples[: len(samples) // FRAME * FRAME]
    blocks = [
        np.sqrt(
            np.mean(
                whole[i : i + _BLOCK].reshape(-1, FRAME).astype(np.float32) ** 2,
                axis=1,
            )
        )
        for i in range(0, len(whole), _BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
