"""What is said in a recording, word by word: Whisper through faster-whisper."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.errors import MissingExtraError
from stages.recognise.speech_models import speech_model
from stages.recognise.transcript import alike
from stages.recognise.whisper import FRAMES_A_S, LEAD_S, Text, WhisperReader, padded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from stages.recognise._windows import Window

# A window is padded to the shortest of these lengths that holds it, with real silence in front: the encoder's work
# grows with the length, and on 47 recordings of one to four words 10 s gave 60 % last words right, Whisper's 30 s 53 %.
_PADDED_S: Final = (10, 20, 30)


class SpeechReader(WhisperReader):
    """Transcribes speech by a Whisper model for CTranslate2, in 8-bit integers on the CPU.

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
        super().__init__(multilingual=row.multilingual)
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
        self._tokenizers: dict[str, Any] = {}

    def _encode(self, found: list[Window]) -> list[NDArray[np.float32]]:
        features = [_features(self.model, window) for window in found]
        encoded: dict[int, NDArray[np.float32]] = {}
        for _, rows in alike(part.shape[1] for part in features):
            states = np.array(self.model.encode(np.stack([features[i] for i in rows])))
            encoded.update(zip(rows, states, strict=True))
        return [encoded[i] for i in range(len(features))]

    def _hear(self, state: NDArray[np.float32]) -> Mapping[str, float]:
        (scores,) = self.model.model.detect_language(_view([state]))
        return {token[2:-2]: probability for token, probability in scores}

    def _write(
        self,
        states: list[NDArray[np.float32]],
        language: str,
        *,
        most_tokens: int,
        no_repeat: int,
    ) -> list[Text]:
        from faster_whisper.transcribe import get_suppressed_tokens

        tokenizer = self._tokenizer(language)
        prompt = self.model.get_prompt(tokenizer, [], without_timestamps=True)
        results = self.model.model.generate(
            _view(states),
            [prompt] * len(states),
            beam_size=1,
            max_length=len(prompt) + most_tokens,
            no_repeat_ngram_size=no_repeat,
            return_scores=True,
            suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
        )
        return [_text(result, tokenizer) for result in results]

    def _align(
        self,
        states: list[NDArray[np.float32]],
        tokens: list[list[int]],
        language: str,
        frames: list[int],
    ) -> Iterator[Iterator[tuple[str, float, float]]]:
        tokenizer = self._tokenizer(language)
        for alignment in self.model.find_alignment(tokenizer, tokens, _view(states), frames):
            yield (
                (piece["word"], float(piece["start"]), float(piece["end"])) for piece in alignment
            )

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            from faster_whisper.tokenizer import Tokenizer

            self._tokenizers[language] = Tokenizer(
                self.model.hf_tokenizer, self._multilingual, "transcribe", language
            )
        return self._tokenizers[language]


def _features(model: Any, window: Window) -> NDArray[np.float32]:
    """Whisper's log mel features of a padded window, float32 [80, n_frames]."""
    needed_s = 2 * LEAD_S + window.length_s
    padded_s = next(length_s for length_s in _PADDED_S if length_s >= needed_s)
    features = model.feature_extractor(padded(window, padded_s))[:, : padded_s * FRAMES_A_S]
    return np.ascontiguousarray(features, np.float32)


def _text(result: Any, tokenizer: Any) -> Text:
    tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
    # The score is a mean over the tokens; the end of the text counts as one more.
    count = len(result.sequences_ids[0])
    logprob = result.scores[0] * count / (count + 1)
    return Text(tokens, " ".join(tokenizer.decode(tokens).split()), logprob)


def _view(states: list[NDArray[np.float32]]) -> Any:
    from faster_whisper.transcribe import get_ctranslate2_storage

    return get_ctranslate2_storage(np.stack(states))
