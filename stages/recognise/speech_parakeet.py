"""NVIDIA's Parakeet by transformers: a Fast Conformer (Rekesh et al. 2023) that writes with CTC or a transducer.

It writes at most some tokens a frame of sound, so it cannot run on in a loop, and a frame is where its word was said:
times come with the text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schemas.content import SAMPLE_RATE_HZ
from stages.recognise._alignment import pieces
from stages.recognise._windows import LONGEST_S
from stages.recognise.speech_configured import load
from stages.recognise.transcript import Reading, Speech, alike, is_said, timed_words, transcribe

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from stages.recognise._windows import Window
    from stages.recognise.speech_configured import SpeechContract

_AUTO_CLASSES: Final = {
    "parakeet_ctc": "AutoModelForCTC",
    "parakeet_rnnt": "AutoModelForRNNT",
    "parakeet_tdt": "AutoModelForTDT",
}
# Windows go through at a few lengths, so that those of like length share a pass.
_PADDED_S: Final = (5, 10, 20, LONGEST_S)


class Token(NamedTuple):
    """A token where it was heard: its frames, and the log-probability it was chosen with."""

    id: int
    first: int
    end: int
    logprob: float


class ParakeetReader(ABC):
    """Transcribes speech by a Parakeet model of transformers; on a GPU if this process has one.

    Windows as for Whisper: Silero's voice detector decides what is listened to. What the model is not sure of, what
    packs too well and what has too many words a second is not believed. It does not tell the language.

    Args:
        contract: Of the model.
        threads: Threads of the model.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ContractError: It is not the model of the contract, or none of its family.
    """

    def __init__(self, contract: SpeechContract, threads: int = 1) -> None:
        loaded = load(contract, _AUTO_CLASSES[contract.family])
        self._loaded, self._threads, self._language = loaded, threads, contract.language
        step = loaded.extractor.hop_length * loaded.model.config.encoder_config.subsampling_factor
        self._frame_s = step / loaded.extractor.sampling_rate

    @property
    def reads(self) -> str:
        """What it can read, for people."""
        return "the languages of its training only"

    def transcribe(self, samples: NDArray[np.int16]) -> Speech:
        """Write down what is said.

        Args:
            samples: int16 [n], mono at 16 kHz, of any length: five minutes at a time are looked at.
        """
        return transcribe(samples, self._read)

    @abstractmethod
    def _decode(self, features: Any, mask: Any) -> list[list[Token]]:
        """The tokens of each row of features [n_rows, n_frames, n_mels], in order; mask says which frames are sound."""

    def _read(self, found: list[Window]) -> list[Reading]:
        import torch

        torch.set_num_threads(self._threads)
        lengths = (next(s for s in _PADDED_S if s >= window.length_s) for window in found)
        readings: dict[int, Reading] = {}
        for length_s, rows in alike(lengths):
            features = self._loaded.extractor(
                [found[i].audio for i in rows],
                sampling_rate=SAMPLE_RATE_HZ,
                padding="max_length",
                max_length=int(length_s * SAMPLE_RATE_HZ),
                return_tensors="pt",
            )
            with torch.inference_mode():
                written = self._decode(
                    self._loaded.placed(features["input_features"]),
                    self._loaded.placed(features["attention_mask"]),
                )
            for i, tokens in zip(rows, written, strict=True):
                readings[i] = Reading(found[i], self._language, self._words(found[i], tokens))
        return [readings[i] for i in range(len(found))]

    def _words(self, window: Window, tokens: list[Token]) -> tuple[Any, ...]:
        ids = [token.id for token in tokens]
        text = self._loaded.tokenizer.backend_tokenizer.decode(ids)
        logprob = sum(token.logprob for token in tokens) / max(1, len(tokens))
        if not is_said(text, logprob, window.spoken_s):
            return ()
        marks = self._marks(tokens)
        return timed_words(marks, window.start_s, window.length_s, spaced=True)

    def _marks(self, tokens: list[Token]) -> Iterator[tuple[str, float, float]]:
        ids = [token.id for token in tokens]
        for text, first, last in pieces(self._loaded.tokenizer, ids):
            yield text, tokens[first].first * self._frame_s, tokens[last].end * self._frame_s


class ParakeetCtc(ParakeetReader):
    """Parakeet with connectionist temporal classification (Graves et al. 2006): the best token of each frame."""

    def _decode(self, features: Any, mask: Any) -> list[list[Token]]:
        model = self._loaded.model
        heard = model.encoder(features, mask, output_attention_mask=True)
        logits = model.ctc_head(heard.last_hidden_state).float()
        best, ids = (part.tolist() for part in logits.log_softmax(-1).max(-1))
        blank, ends = model.config.pad_token_id, heard.attention_mask.sum(-1).tolist()
        return [
            ctc_tokens(row[:end], logprobs[:end], blank)
            for row, logprobs, end in zip(ids, best, ends, strict=True)
        ]


class ParakeetTransducer(ParakeetReader):
    """Parakeet with a transducer, the best token at each step: RNN-T (Graves 2012), or TDT (Xu et al. 2023).

    A step looks at one frame and at what was written; a blank goes on to the next frame. TDT says with each step how
    many frames to go on. The model's class has the same loop, which keeps no probabilities.
    """

    def _decode(self, features: Any, mask: Any) -> list[list[Token]]:
        import torch
        from transformers.models.parakeet.modeling_parakeet import ParakeetEncoderModelOutput

        model, config = self._loaded.model, self._loaded.model.config
        heard = model.get_audio_features(features, mask, output_attention_mask=True)
        ends = heard.attention_mask.sum(-1)
        each = torch.arange(len(features), device=model.device)
        frames, stays = torch.zeros_like(ends), torch.zeros_like(ends)
        cache, fed = None, torch.full_like(ends, config.blank_token_id)
        tokens: list[list[Token]] = [[] for _ in each]
        while (frames < ends).any():
            here = heard.pooler_output[each, frames.clamp(max=heard.pooler_output.shape[1] - 1)]
            out = model(
                decoder_input_ids=fed[:, None],
                decoder_cache=cache,
                use_decoder_cache=True,
                encoder_outputs=ParakeetEncoderModelOutput(pooler_output=here[:, None]),
            )
            cache = out.decoder_cache
            logprobs, fed, steps = self._step(out.logits[:, -1].float())
            stays = torch.where(steps > 0, 0, stays + 1)
            # So many tokens in one frame are a loop.
            steps = torch.where(stays >= model.max_symbols_per_step, 1, steps)
            stays = torch.where(steps > 0, 0, stays)
            _collect(tokens, frames, ends, (fed, steps, logprobs), config.blank_token_id)
            frames = frames + steps
        return tokens

    def _step(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each row: the log-probability of the best token, the token, and how many frames to go on."""
        import torch

        config = self._loaded.model.config
        best, ids = logits[:, : config.vocab_size].log_softmax(-1).max(-1)
        blank = ids == config.blank_token_id
        durations = getattr(config, "durations", None)
        if durations is None:
            return best, ids, blank.long()
        reach = torch.tensor(durations, device=ids.device)
        steps = reach[logits[:, config.vocab_size :].argmax(-1)]
        return best, ids, torch.where(blank & (steps == 0), 1, steps)


def _collect(
    tokens: list[list[Token]],
    frames: torch.Tensor,
    ends: torch.Tensor,
    step: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    blank: int,
) -> None:
    """Add what a step of a transducer wrote, to each row that is not at its end."""
    values = zip(*(part.tolist() for part in (frames, ends, *step)), strict=True)
    for row, (frame, end, token, steps, logprob) in zip(tokens, values, strict=True):
        if frame < end and token != blank:
            row.append(Token(token, frame, min(frame + max(1, steps), end), logprob))


def ctc_tokens(ids: list[int], logprobs: list[float], blank: int) -> list[Token]:
    """What frames say together: equal neighbours are one token, blanks none.

    Args:
        ids: The best token of each frame.
        logprobs: Its log-probability.
        blank: The token that means none.

    Example:
        >>> [tuple(token) for token in ctc_tokens([0, 7, 7, 0, 7], [-0.1, -0.5, -0.2, -0.1, -0.3], 0)]
        [(7, 1, 3, -0.2), (7, 4, 5, -0.3)]
    """
    tokens: list[Token] = []
    before = blank
    for frame, (token, logprob) in enumerate(zip(ids, logprobs, strict=True)):
        if token == before and token != blank:
            last = tokens[-1]
            tokens[-1] = last._replace(end=frame + 1, logprob=max(last.logprob, logprob))
        elif token != blank:
            tokens.append(Token(token, frame, frame + 1, logprob))
        before = token
    return tokens
