"""What every reader of speech shares: from windows of a recording to words that are believed, with their times."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from schemas.content import SpokenWords
from stages.recognise._windows import blocks, windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from stages.recognise._windows import Window

BATCH: Final = 8  # windows that go through together

# Guards against invented text. The first two are where Whisper's own decoder counts a window as failed (Radford et al.
# 2022, 4.5); silence is for it what also fails by the second.
MAX_COMPRESSION: Final = 2.4
_MIN_LOGPROB: Final = -1.0
_MAX_WORDS_A_S: Final = 8.0  # fast English is 5


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said.

    Attributes:
        words: Each word with its times, ascending.
        language: ISO 639-1 code of most of it; empty if nothing was said, or nobody knows.
        unread_s: Seconds that sound like speech, but of which no transcript could be believed.
    """

    words: tuple[SpokenWords, ...] = ()
    language: str = ""
    unread_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A window with what was read in it; no words if it is not to be believed."""

    window: Window
    language: str
    words: tuple[SpokenWords, ...]


def transcribe(
    samples: NDArray[np.int16], read: Callable[[list[Window]], Iterable[Reading]]
) -> Speech:
    """Write down what is said.

    Args:
        samples: int16 [n], mono at 16 kHz, of any length: five minutes at a time are looked at.
        read: Reads the windows of speech of such a block, in their order.
    """
    words: list[SpokenWords] = []
    seconds: defaultdict[str, float] = defaultdict(float)
    unread_s = 0.0
    for first, block in blocks(samples):
        for reading in read(windows(block, first)):
            words.extend(reading.words)
            if reading.words:
                seconds[reading.language] += reading.window.spoken_s
            else:
                unread_s += reading.window.spoken_s
    language = max(seconds, key=lambda name: (seconds[name], name), default="")
    return Speech(tuple(words), language, round(unread_s, 2))


def is_said(text: str, logprob: float, spoken_s: float) -> bool:
    """Whether a text is to be believed.

    Args:
        text: What was read.
        logprob: Mean log-probability of its tokens.
        spoken_s: Seconds of speech that it was read in.
    """
    if not _has_letters(text):
        return False
    if logprob < _MIN_LOGPROB or compression(text) > MAX_COMPRESSION:
        return False
    return len(text.split()) <= max(2.0, _MAX_WORDS_A_S * spoken_s)


def timed_words(
    marks: Iterable[tuple[str, float, float]], start_s: float, length_s: float, *, spaced: bool
) -> tuple[SpokenWords, ...]:
    """Words with their times in the recording.

    Args:
        marks: (text, start_s, end_s) of pieces in order, in seconds of the window; a blank in front begins a word.
        start_s: Where the window begins.
        length_s: How long it is; no word ends after it.
        spaced: The language writes blanks between words; else each piece is a word.

    Returns:
        Words without blanks around them; none begins before the one before it.

    Example:
        >>> timed_words([(" well", 0.0, 0.4), ("-known", 0.4, 0.8)], 10.0, 5.0, spaced=True)
        (SpokenWords(start_s=10.0, end_s=10.8, text='well-known'),)
    """
    words: list[tuple[str, float, float]] = []
    for text, begin_s, end_s in marks:
        if words and (not text.startswith(" ") if spaced else not _has_letters(text)):
            before, first_s, _ = words[-1]
            words[-1] = (before + text, first_s, end_s)
        else:
            words.append((text, begin_s, end_s))
    return tuple(
        SpokenWords(
            round(start_s + min(max(begin_s, 0.0), length_s), 2),
            round(start_s + min(max(begin_s, end_s, 0.0), length_s), 2),
            " ".join(text.split()),
        )
        for text, begin_s, end_s in words
        if text.strip()
    )


def alike(keys: Iterable[Any]) -> Iterator[tuple[Any, list[int]]]:
    """Indices of equal keys, at most a batch of them at a time, by first appearance."""
    rows: dict[Any, list[int]] = {}
    for index, key in enumerate(keys):
        rows.setdefault(key, []).append(index)
    for key, indices in rows.items():
        rest = iter(indices)
        while batch := list(islice(rest, BATCH)):
            yield key, batch


def compression(text: str) -> float:
    """How well a text packs: that of a decoder in a loop packs best."""
    from faster_whisper.transcribe import get_compression_ratio

    return float(get_compression_ratio(text))


def _has_letters(text: str) -> bool:
    return any(letter.isalnum() for letter in text)
