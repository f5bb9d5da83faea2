"""What is said in a recording, word by word: Whisper through faster-whisper."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ, SpokenWords
from schemas.errors import MissingExtraError
from stages.recognise._windows import blocks, windows
from stages.recognise.speech_models import speech_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from stages.recognise._windows import Window

# A window is padded to the shortest of these lengths that holds it, with real silence in front: the encoder's work
# grows with the length, and on 47 recordings of one to four words 10 s gave 60 % last words right, Whisper's 30 s 53 %.
_PADDED_S: Final = (10, 20, 30)
_LEAD_S: Final = 0.3
_FRAMES_A_S: Final = 100
_BATCH: Final = 8  # windows that go through together

# Guards against invented text. The first three are where Whisper's own decoder counts a window as failed or as
# silence (Radford et al. 2022, 4.5).
_MAX_COMPRESSION: Final = 2.4
_MIN_LOGPROB: Final = -1.0
_MAX_NO_SPEECH: Final = 0.6
_MAX_WORDS_A_S: Final = 8.0  # fast English is 5
_NO_REPEAT: Final = 3  # tokens: a decoder in a loop comes out of it
_TOKENS_A_S: Final = 12  # English; a letter of a rare script is up to three tokens
_TOKENS_A_S_ANY: Final = 30
_MAX_TOKENS: Final = 440  # Whisper has 448 places, some for the prompt

_SURE: Final = 0.8  # probability from which a window is of another language than most of its block
_ENGLISH: Final = "en"
_UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
_ISO: Final = {"jw": "jv"}  # Whisper's own code for Javanese


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said.

    Attributes:
        words: Each word with its times, ascending.
        language: ISO 639-1 code of most of it, empty if nothing was said.
        unread_s: Seconds that sound like speech, but of which no transcript could be believed.
    """

    words: tuple[SpokenWords, ...] = ()
    language: str = ""
    unread_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A window with what was read in it; no words if it is not to be believed."""

    window: Window
    language: str
    words: tuple[SpokenWords, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    tokens: list[int]
    text: str
    logprob: float
    no_speech: float


class SpeechReader:
    """Transcribes speech.

    Silero's voice detector (in faster-whisper) decides what is listened to at all, and cuts at pauses into windows of
    at most 28 s. Each window is read on its own, greedily at temperature 0, without time marks among the words (with
    them Whisper invents and skips more), so equal samples give equal text and a mistake does not spread. Times of words
    come from the attention of the model to the sound (dynamic time warping, as faster-whisper's `word_timestamps`).

    A multilingual model tells the language of each window; one that it is not sure of counts as what most of the
    block is. English alone is read by an English model, which cannot tell: what it makes of other languages is mostly
    not believed by itself (see docs/quality.md for how much).

    Attributes:
        model: The loaded faster-whisper model.

    Args:
        threads: Threads of the model.
        model: Name of a row in stages/recognise/speech_models.py.

    Raises:
        ConfigError: There is no such model.
        MissingExtraError: A package with the model is not installed.
        ContractError: The model is not the one this code was made for.
    """

    def __init__(self, threads: int = 1, model: str = "tiny.en") -> None:
        row = speech_model(model)
        files = row.load()
        if importlib.util.find_spec("faster_whisper") is None:
            raise MissingExtraError(
                "speech needs the package faster-whisper: `pip install faster-whisper`,"
                " or set recognition.speech = false"
            )
        from faster_whisper import WhisperModel

        self.model = WhisperModel(
            f"/{Path(model).name}",  # only a name, as the files are in memory
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            num_workers=1,
            files=files,
        )
        self._multilingual = row.multilingual
        self._tokenizers: dict[str, Any] = {}

    def transcribe(self, samples: NDArray[np.int16]) -> Speech:
        """Write down what is said.

        Args:
            samples: int16 [n], mono at 16 kHz, of any length: five minutes at a time are looked at.
        """
        words: list[SpokenWords] = []
        seconds: defaultdict[str, float] = defaultdict(float)
        unread_s = 0.0
        for first, block in blocks(samples):
            for reading in self._read(windows(block, first)):
                words.extend(reading.words)
                if reading.words:
                    seconds[reading.language] += reading.window.spoken_s
                else:
                    unread_s += reading.window.spoken_s
        language = max(seconds, key=lambda name: (seconds[name], name), default="")
        return Speech(tuple(words), _ISO.get(language, language), round(unread_s, 2))

    def _read(self, found: list[Window]) -> list[_Reading]:
        """Read the windows of a block: those of one length and one language go through together."""
        encoded = self._encode([_features(self.model, window) for window in found])
        languages = self._languages(found, encoded)
        readings: dict[int, _Reading] = {}
        alike = _alike(
            (len(state), language) for state, language in zip(encoded, languages, strict=True)
        )
        for (_, language), rows in alike:
            states = np.stack([encoded[i] for i in rows])
            some = [found[i] for i in rows]
            readings.update(zip(rows, self._read_alike(some, states, language), strict=True))
        return [readings[i] for i in range(len(found))]

    def _encode(self, features: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The encoder's output for each, float32 [n_frames / 2, dim]."""
        encoded: dict[int, NDArray[np.float32]] = {}
        for _, rows in _alike(part.shape[1] for part in features):
            states = np.array(self.model.encode(np.stack([features[i] for i in rows])))
            encoded.update(zip(rows, states, strict=True))
        return [encoded[i] for i in range(len(features))]

    def _languages(self, found: list[Window], encoded: list[NDArray[np.float32]]) -> list[str]:
        if not self._multilingual:
            return [_ENGLISH] * len(found)
        heard = [
            {token[2:-2]: probability for token, probability in scores}
            for state in encoded
            for scores in self.model.model.detect_language(_view(state[None]))
        ]
        return choose_languages(heard, [window.spoken_s for window in found])

    def _read_alike(
        self, found: list[Window], states: NDArray[np.float32], language: str
    ) -> list[_Reading]:
        tokenizer = self._tokenizer(language)
        texts = self._generate(found, states, tokenizer, no_repeat=0)
        looping = [i for i, text in enumerate(texts) if _compression(text.text) > _MAX_COMPRESSION]
        if looping:
            again = self._generate(
                [found[i] for i in looping], states[looping], tokenizer, no_repeat=_NO_REPEAT
            )
            for i, text in zip(looping, again, strict=True):
                texts[i] = text
        said = [
            i for i, text in enumerate(texts) if is_said(text.text, text.logprob, found[i].spoken_s)
        ]
        timed = self._times(
            [found[i] for i in said], [texts[i].tokens for i in said], states[said], tokenizer
        )
        words = dict(zip(said, timed, strict=True))
        return [_Reading(window, language, words.get(i, ())) for i, window in enumerate(found)]

    def _generate(
        self, found: list[Window], states: NDArray[np.float32], tokenizer: Any, *, no_repeat: int
    ) -> list[_Text]:
        from faster_whisper.transcribe import get_suppressed_tokens

        prompt = self.model.get_prompt(tokenizer, [], without_timestamps=True)
        rate = _TOKENS_A_S_ANY if self._multilingual else _TOKENS_A_S
        spoken_s = max(window.spoken_s for window in found)
        results = self.model.model.generate(
            _view(states),
            [prompt] * len(found),
            beam_size=1,
            max_length=len(prompt) + min(_MAX_TOKENS, 8 + int(rate * spoken_s)),
            no_repeat_ngram_size=no_repeat,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
        )
        return [_text(result, tokenizer) for result in results]

    def _times(
        self,
        found: list[Window],
        tokens: list[list[int]],
        states: NDArray[np.float32],
        tokenizer: Any,
    ) -> list[tuple[SpokenWords, ...]]:
        if not found:
            return []
        frames = [int((_LEAD_S + window.length_s) * _FRAMES_A_S) for window in found]
        aligned = self.model.find_alignment(tokenizer, tokens, _view(states), frames)
        spaced = tokenizer.language_code not in _UNSPACED
        return [
            timed_words(_marks(alignment), window.start_s, window.length_s, spaced=spaced)
            for alignment, window in zip(aligned, found, strict=True)
        ]

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer

            self._tokenizers[language] = Tokenizer(
                self.model.hf_tokenizer, self._multilingual, "transcribe", language
            )
        return self._tokenizers[language]


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


def is_said(text: str, logprob: float, spoken_s: float) -> bool:
    """Whether a text is to be believed.

    Args:
        text: What was read.
        logprob: Mean log-probability of its tokens.
        spoken_s: Seconds of speech that it was read in.
    """
    if not _has_letters(text):
        return False
    if logprob < _MIN_LOGPROB or _compression(text) > _MAX_COMPRESSION:
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


def _marks(alignment: list[dict[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """Pieces with their times in the window, without the silence in front of it."""
    for piece in alignment:
        yield piece["word"], float(piece["start"]) - _LEAD_S, float(piece["end"]) - _LEAD_S


def _features(model: Any, window: Window) -> NDArray[np.float32]:
    """Whisper's log mel features of a padded window, float32 [80, n_frames]."""
    lead = int(_LEAD_S * SAMPLE_RATE_HZ)
    needed_s = 2 * _LEAD_S + window.length_s
    padded_s = next(length_s for length_s in _PADDED_S if length_s >= needed_s)
    padded = np.zeros(padded_s * SAMPLE_RATE_HZ, np.float32)
    padded[lead : lead + len(window.audio)] = window.audio
    features = model.feature_extractor(padded)[:, : padded_s * _FRAMES_A_S]
    return np.ascontiguousarray(features, np.float32)


def _text(result: Any, tokenizer: Any) -> _Text:
    tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
    # The score is a mean over the tokens; the end of the text counts as one more.
    count = len(result.sequences_ids[0])
    logprob = result.scores[0] * count / (count + 1)
    text = " ".join(tokenizer.decode(tokens).split())
    return _Text(tokens, text, logprob, result.no_speech_prob)


def _alike(keys: Iterable[Any]) -> Iterator[tuple[Any, list[int]]]:
    """Indices of equal keys, at most a batch of them at a time, by first appearance."""
    rows: dict[Any, list[int]] = {}
    for index, key in enumerate(keys):
        rows.setdefault(key, []).append(index)
    for key, indices in rows.items():
        rest = iter(indices)
        while batch := list(islice(rest, _BATCH)):
            yield key, batch


def _view(states: NDArray[np.float32]) -> Any:
    from faster_whisper.transcribe import get_ctranslate2_storage

    return get_ctranslate2_storage(states)


def _has_letters(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _compression(text: str) -> float:
    from faster_whisper.transcribe import get_compression_ratio

    return float(get_compression_ratio(text))
