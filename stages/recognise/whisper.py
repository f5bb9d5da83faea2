"""Whisper (Radford et al. 2022), whichever library runs it: how windows are prepared, read, doubted and timed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ
from stages.recognise.transcript import (
    MAX_COMPRESSION,
    Reading,
    Speech,
    alike,
    compression,
    is_said,
    timed_words,
    transcribe,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from schemas.content import SpokenWords
    from stages.recognise._windows import Window

# A window gets silence in front, as a recording mostly has.
LEAD_S: Final = 0.3
FRAMES_A_S: Final = 100
ENGLISH: Final = "en"
# By its size Whisper itself tells whether a vocabulary is of many languages: English models lack one token.
MULTILINGUAL_TOKENS: Final = 51_865
_NO_REPEAT: Final = 3  # tokens: a decoder in a loop comes out of it
_TOKENS_A_S: Final = 12  # English; a letter of a rare script is up to three tokens
_TOKENS_A_S_ANY: Final = 30
_MAX_TOKENS: Final = 440  # Whisper has 448 places, some for the prompt

_SURE: Final = 0.8  # probability from which a window is of another language than most of its block
_UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_ISO: Final = {"jw": "jv"}  # Whisper's own code for Javanese


@dataclass(frozen=True, slots=True)
class Text:
    """What a model wrote.

    Attributes:
        tokens: Their ids, without the prompt and the end.
        text: The same in letters.
        logprob: Mean log-probability of a token, the end of the text among them.
    """

    tokens: list[int]
    text: str
    logprob: float


class WhisperReader(ABC):
    """Transcribes speech.

    Silero's voice detector (in faster-whisper) decides what is listened to at all, and cuts at pauses into windows of
    at most 28 s. Each window is read on its own, greedily at temperature 0, without time marks among the words (with
    them Whisper invents and skips more), so equal samples give equal text and a mistake does not spread. Times of words
    come from the attention of the model to the sound (dynamic time warping).

    A multilingual model tells the language of each window; one that it is not sure of counts as what most of the
    block is. English alone is read by an English model, which cannot tell: what it makes of other languages is mostly
    not believed by itself (see docs/quality.md for how much).

    Args:
        multilingual: The model tells languages apart.
        language: The only one, in Whisper's code; empty to have the model tell it.
    """

    def __init__(self, *, multilingual: bool, language: str = "") -> None:
        self._multilingual = multilingual
        self._language = language if multilingual else language or ENGLISH

    @property
    def reads(self) -> str:
        """What it can read, for people."""
        only = "English" if self._language == ENGLISH else f"the language {self._language!r}"
        return f"{only} only" if self._language else "many languages"

    def transcribe(self, samples: NDArray[np.int16]) -> Speech:
        """Write down what is said.

        Args:
            samples: int16 [n], mono at 16 kHz, of any length: five minutes at a time are looked at.
        """
        speech = transcribe(samples, self._read)
        return Speech(speech.words, _ISO.get(speech.language, speech.language), speech.unread_s)

    @abstractmethod
    def _encode(self, found: list[Window]) -> list[Any]:
        """What the encoder makes of each window, [n_frames / 2, dim]."""

    @abstractmethod
    def _hear(self, state: Any) -> Mapping[str, float]:
        """Probability by language of a window; asked only of a multilingual model."""

    @abstractmethod
    def _write(
        self, states: list[Any], language: str, *, most_tokens: int, no_repeat: int
    ) -> list[Text]:
        """The most probable text of windows of one length, token by token; no run of `no_repeat` tokens twice."""

    @abstractmethod
    def _align(
        self, states: list[Any], tokens: list[list[int]], language: str, frames: list[int]
    ) -> Iterable[Iterable[tuple[str, float, float]]]:
        """(text, start_s, end_s) of the pieces of each text, in seconds of the padded window."""

    def _read(self, found: list[Window]) -> list[Reading]:
        """Read the windows of a block: those of one length and one language go through together."""
        encoded = self._encode(found)
        languages = self._languages(found, encoded)
        readings: dict[int, Reading] = {}
        for (_, language), rows in alike(zip(map(len, encoded), languages, strict=True)):
            some, states = [found[i] for i in rows], [encoded[i] for i in rows]
            readings.update(zip(rows, self._read_alike(some, states, language), strict=True))
        return [readings[i] for i in range(len(found))]

    def _languages(self, found: list[Window], encoded: list[Any]) -> list[str]:
        if self._language:
            return [self._language] * len(found)
        heard = [self._hear(state) for state in encoded]
        return choose_languages(heard, [window.spoken_s for window in found])

    def _read_alike(self, found: list[Window], states: list[Any], language: str) -> list[Reading]:
        most = self._most_tokens(found)
        texts = self._write(states, language, most_tokens=most, no_repeat=0)
        looping = [i for i, text in enumerate(texts) if compression(text.text) > MAX_COMPRESSION]
        if looping:
            most = self._most_tokens([found[i] for i in looping])
            again = self._write(
                [states[i] for i in looping], language, most_tokens=most, no_repeat=_NO_REPEAT
            )
            for i, text in zip(looping, again, strict=True):
                texts[i] = text
        said = [
            i for i, text in enumerate(texts) if is_said(text.text, text.logprob, found[i].spoken_s)
        ]
        timed = self._times(
            [found[i] for i in said],
            [states[i] for i in said],
            [texts[i].tokens for i in said],
            language,
        )
        words = dict(zip(said, timed, strict=True))
        return [Reading(window, language, words.get(i, ())) for i, window in enumerate(found)]

    def _most_tokens(self, found: list[Window]) -> int:
        rate = _TOKENS_A_S_ANY if self._multilingual else _TOKENS_A_S
        return min(_MAX_TOKENS, 8 + int(rate * max(window.spoken_s for window in found)))

    def _times(
        self, found: list[Window], states: list[Any], tokens: list[list[int]], language: str
    ) -> list[tuple[SpokenWords, ...]]:
        if not found:
            return []
        frames = [int((LEAD_S + window.length_s) * FRAMES_A_S) for window in found]
        aligned = self._align(states, tokens, language, frames)
        spaced = language not in _UNSPACED
        return [
            timed_words(_without_lead(marks), window.start_s, window.length_s, spaced=spaced)
            for marks, window in zip(aligned, found, strict=True)
        ]


def choose_languages(heard: Sequence[Mapping[str, float]], seconds: Sequence[float]) -> list[str]:
    """The language of each window.

    Args:
        heard: Probability by language, for each window.
        seconds: Weight of each.

    Returns:
        A window's own best if it is sure of it (0.8), else what is most probable over all windows together.

    Example:
        >>> choose_languages([{"en": 0.9, "de": 0.1}, {"en": 0.4, "de": 0.6}], [9.0, 2.0])
        ['en', 'en']
    """
    total: defaultdict[str, float] = defaultdict(float)
    for probabilities, weight in zip(heard, seconds, strict=True):
        for language, probability in probabilities.items():
            total[language] += probability * weight
    common = max(total, key=lambda name: (total[name], name), default="")
    best = (max(window, key=lambda name: (window[name], name)) for window in heard)
    return [
        own if window[own] >= _SURE else common for own, window in zip(best, heard, strict=True)
    ]


def padded(window: Window, length_s: int) -> NDArray[np.float32]:
    """A window with silence around it, float32 [length_s * 16000]."""
    lead = int(LEAD_S * SAMPLE_RATE_HZ)
    audio = np.zeros(length_s * SAMPLE_RATE_HZ, np.float32)
    audio[lead : lead + len(window.audio)] = window.audio
    return audio


def _without_lead(
    marks: Iterable[tuple[str, float, float]],
) -> Iterator[tuple[str, float, float]]:
    """Pieces with their times in the window, without the silence in front of it."""
    for text, start_s, end_s in marks:
        yield text, start_s - LEAD_S, end_s - LEAD_S
