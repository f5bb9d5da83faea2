"""Where a recording is cut before it is read: blocks of minutes, in them windows of speech."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# A long recording goes through in blocks, so that no float copy of it is ever whole.
_BLOCK_S: Final = 300
_SEARCH_S: Final = 30
_GRAIN: Final = SAMPLE_RATE_HZ // 5

LONGEST_S: Final = 28.0  # Whisper's window is 30 s, and there must be some silence around the words
SHORT_S: Final = 9.0
_APART_S: Final = 2.0  # silence that is not worth reading
_PAUSE_MS: Final = 300


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of a recording that is read at once.

    Attributes:
        start_s: Where it begins in the recording.
        audio: float32 [n], -1 to 1, at 16 kHz; at most 28 s.
        spoken_s: Seconds of it that are speech.
    """

    start_s: float
    audio: NDArray[np.float32]
    spoken_s: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return len(self.audio) / SAMPLE_RATE_HZ


def blocks(samples: NDArray[np.int16]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Parts of at most five minutes with their first index, cut where the last half minute is quietest."""
    block, search = _BLOCK_S * SAMPLE_RATE_HZ, _SEARCH_S * SAMPLE_RATE_HZ
    start = 0
    while len(samples) - start > block:
        window = samples[start + block - search : start + block].astype(np.float32)
        energy = (window.reshape(-1, _GRAIN) ** 2).mean(axis=1)
        end = start + block - search + int(energy.argmin()) * _GRAIN + _GRAIN // 2
        yield start, samples[start:end]
        start = end
    if start < len(samples):
        yield start, samples[start:]


def windows(samples: NDArray[np.int16], first: int = 0) -> list[Window]:
    """The windows of one block in which Silero's voice detector (in faster-whisper) hears speech.

    Args:
        samples: int16 [n] at 16 kHz, at most some minutes.
        first: Index of its first sample in the recording.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    audio = samples.astype(np.float32) / np.float32(32768)
    options = VadOptions(min_silence_duration_ms=_PAUSE_MS, max_speech_duration_s=LONGEST_S)
    found = get_speech_timestamps(audio, options)
    spans = [(int(span["start"]), int(span["end"])) for span in found]
    return [
        Window(
            (first + start) / SAMPLE_RATE_HZ,
            audio[start:end],
            sum(b - a for a, b in group) / SAMPLE_RATE_HZ,
        )
        for start, end, group in _cuts(spans, len(audio))
    ]


def _cuts(
    spans: Sequence[tuple[int, int]], length: int
) -> list[tuple[int, int, list[tuple[int, int]]]]:
    """Start, end and spans of each window; a short block is one window as a whole."""
    if spans and length <= SHORT_S * SAMPLE_RATE_HZ:
        return [(0, length, list(spans))]
    return [(group[0][0], group[-1][1], group) for group in join(spans)]


def join(spans: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Neighbouring spans of speech together, as long as they fit into one window and no long silence is between.

    Args:
        spans: (start, end) in samples, ascending, none longer than a window.
    """
    groups: list[list[tuple[int, int]]] = []
    for start, end in spans:
        group = groups[-1] if groups else []
        fits = bool(group) and end - group[0][0] <= LONGEST_S * SAMPLE_RATE_HZ
        if fits and start - group[-1][1] <= _APART_S * SAMPLE_RATE_HZ:
            group.append((start, end))
        else:
            groups.append([(start, end)])
    return groups
