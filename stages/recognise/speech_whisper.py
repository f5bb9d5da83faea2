"""Any Whisper by transformers: OpenAI's sizes, distil-whisper, fine-tuned ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import ContractError
from stages.recognise._alignment import pieces, row_starts
from stages.recognise._windows import LONGEST_S
from stages.recognise.speech_configured import load
from stages.recognise.transcript import alike
from stages.recognise.whisper import (
    LEAD_S,
    MULTILINGUAL_TOKENS,
    Text,
    WhisperReader,
    padded,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

    from stages.recognise._windows import Window
    from stages.recognise.speech_configured import SpeechContract

_START: Final = "<|startoftranscript|>"
_END: Final = "<|endoftext|>"
_TASK: Final = "<|transcribe|>"
_UNMARKED: Final = "<|notimestamps|>"
_LANGUAGE: Final = re.compile(r"<\|([a-z]{2,3})\|>")
_SMOOTHED: Final = 7  # places of the median over attention, as in OpenAI's timing.py


class TransformersWhisper(WhisperReader):
    """Transcribes speech by a Whisper model of transformers; on a GPU if this process has one.

    Args:
        contract: Of the model.
        threads: Threads of the model.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ContractError: It is not the model of the contract, or no Whisper.
    """

    def __init__(self, contract: SpeechContract, threads: int = 1) -> None:
        loaded = load(contract, "AutoModelForSpeechSeq2Seq")
        self._loaded, self._threads = loaded, threads
        self._window_s = loaded.extractor.n_samples // SAMPLE_RATE_HZ
        vocabulary = loaded.tokenizer.get_vocab()
        marks = (_START, _END, _TASK, _UNMARKED)
        lacking = [mark for mark in marks if mark not in vocabulary]
        if lacking or self._window_s < LONGEST_S + 2 * LEAD_S:
            raise ContractError(
                f"speech.{contract.name}: {contract.model} is no Whisper: its window is {self._window_s} s, and it"
                f" lacks {', '.join(lacking) or 'no token'}"
            )
        self._ids = {mark: vocabulary[mark] for mark in marks}
        # Tokens beyond the embedding are of a vocabulary that grew after the model was trained.
        size = loaded.model.config.vocab_size
        self._tokens_of = {
            found.group(1): token
            for mark, token in sorted(vocabulary.items(), key=lambda item: item[1])
            if (found := _LANGUAGE.fullmatch(mark)) and token < size
        }
        settings = loaded.model.generation_config
        tells = getattr(settings, "is_multilingual", None)
        super().__init__(
            multilingual=size >= MULTILINGUAL_TOKENS if tells is None else bool(tells),
            language=contract.language,
        )
        self._heads = _alignment_heads(loaded.model)

    def _encode(self, found: list[Window]) -> list[torch.Tensor]:
        import torch

        torch.set_num_threads(self._threads)
        states: list[torch.Tensor] = []
        for _, rows in alike([self._window_s] * len(found)):
            sounds = [padded(found[i], self._window_s) for i in rows]
            features = self._loaded.extractor(
                sounds, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
            )
            with torch.inference_mode():
                encoder = self._loaded.model.get_encoder()
                out = encoder(self._loaded.placed(features["input_features"]))
            states.extend(out.last_hidden_state)
        return states

    def _hear(self, state: torch.Tensor) -> Mapping[str, float]:
        logits = self._decode([state], [[self._ids[_START]]]).logits[0, -1].float()
        tokens = list(self._tokens_of.values())
        return dict(zip(self._tokens_of, logits[tokens].softmax(-1).tolist(), strict=True))

    def _write(
        self, states: list[torch.Tensor], language: str, *, most_tokens: int, no_repeat: int
    ) -> list[Text]:
        import torch

        prompt = self._prompt(language)
        places = self._loaded.model.config.max_target_positions - len(prompt) - 1  # and the end
        with torch.inference_mode():
            rows, logprobs = self._greedy(states, prompt, min(most_tokens, places), no_repeat)
        return [self._text(row, logprob) for row, logprob in zip(rows, logprobs, strict=True)]

    def _greedy(
        self, states: list[torch.Tensor], prompt: list[int], most: int, no_repeat: int
    ) -> tuple[list[list[int]], list[float]]:
        """The ids after the prompt, and the mean log-probability of those up to the end of each text."""
        import torch
        from transformers import NoRepeatNGramLogitsProcessor

        end, device = self._ids[_END], self._loaded.model.device
        ids = torch.tensor([prompt] * len(states), device=device)
        writing = torch.ones(len(states), dtype=torch.bool, device=device)
        logprobs = torch.zeros((2, len(states)), device=device)  # their sums and numbers
        fed, past = ids, None
        for step in range(most):
            out = self._decode(states, fed, past=past)
            past = out.past_key_values
            scores = self._barred(out.logits[:, -1].float(), first=step == 0)
            if no_repeat:
                scores = NoRepeatNGramLogitsProcessor(no_repeat)(ids, scores)
            best, chosen = scores.log_softmax(-1).max(-1)
            logprobs += torch.stack([best.where(writing, 0.0), writing.float()])
            fed = chosen.where(writing, end)[:, None]
            ids = torch.cat([ids, fed], dim=-1)
            writing = writing & (chosen != end)
            if not writing.any():
                break
        return ids[:, len(prompt) :].tolist(), (logprobs[0] / logprobs[1]).tolist()

    def _align(
        self,
        states: list[torch.Tensor],
        tokens: list[list[int]],
        language: str,
        frames: list[int],
    ) -> Iterator[list[tuple[str, float, float]]]:
        import torch

        prompt, end = self._prompt(language), self._ids[_END]
        rows = [[*prompt, *text, end] for text in tokens]
        longest = max(map(len, rows))
        ids = [row + [end] * (longest - len(row)) for row in rows]
        out = self._decode(states, ids, attentions=True)
        attention = torch.stack(
            [out.cross_attentions[layer][:, head] for layer, head in self._heads], dim=1
        )
        place_s = self._window_s / attention.shape[-1]
        for text, row, heads, count in zip(tokens, rows, attention, frames, strict=True):
            # A place for two frames; the row of a token looks to where the next one is said.
            costs = _costs(heads[:, : len(row), : count // 2])[len(prompt) - 1 : -1]
            starts = row_starts(costs) * place_s
            yield [
                (piece, float(starts[first]), float(starts[last + 1]))
                for piece, first, last in pieces(self._loaded.tokenizer, text)
            ]

    def _prompt(self, language: str) -> list[int]:
        """Without language and task for an English model, as those were trained."""
        if not self._multilingual:
            return [self._ids[_START], self._ids[_UNMARKED]]
        spoken = self._tokens_of[language]
        return [self._ids[_START], spoken, self._ids[_TASK], self._ids[_UNMARKED]]

    def _decode(
        self, states: list[torch.Tensor], ids: Any, *, past: Any = None, attentions: bool = False
    ) -> Any:
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        torch.set_num_threads(self._threads)
        model = self._loaded.model
        kernel = model.config._attn_implementation
        if attentions:  # faster kernels do not say what they look at
            model.set_attn_implementation("eager")
        try:
            with torch.inference_mode():
                return model(
                    encoder_outputs=BaseModelOutput(last_hidden_state=torch.stack(states)),
                    decoder_input_ids=torch.as_tensor(ids, device=model.device),
                    past_key_values=past,
                    use_cache=not attentions,
                    output_attentions=attentions,
                )
        finally:
            if attentions:
                model.set_attn_implementation(kernel)

    def _barred(self, scores: torch.Tensor, *, first: bool) -> torch.Tensor:
        """Without what is no text: times, tasks, and what the model's files leave out."""
        settings = self._loaded.model.generation_config
        left_out = list(getattr(settings, "suppress_tokens", None) or [])
        if first:
            left_out += getattr(settings, "begin_suppress_tokens", None) or []
        scores[:, self._ids[_END] + 1 :] = -np.inf
        scores[:, [token for token in left_out if 0 <= token < scores.shape[-1]]] = -np.inf
        return scores

    def _text(self, row: list[int], logprob: float) -> Text:
        tokens = [token for token in row if token < self._ids[_END]]
        letters = self._loaded.tokenizer.backend_tokenizer.decode(tokens)
        return Text(tokens, " ".join(letters.split()), logprob)


def _alignment_heads(model: Any) -> list[tuple[int, int]]:
    """(layer, head) of those that look to what is said; where the files name none, all of the upper half of layers.

    OpenAI's own default (whisper/model.py). Files of distilled models name heads of layers that were left out.
    """
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    named = getattr(model.generation_config, "alignment_heads", None) or []
    found = [(int(a), int(b)) for a, b in named if a < layers and b < heads]
    return found or [(a, b) for a in range(layers // 2, layers) for b in range(heads)]


def _costs(attention: torch.Tensor) -> np.ndarray:
    """What it costs to have a token at a place, float64 [n_tokens, n_places].

    Args:
        attention: [n_heads, n_tokens, n_places]. As in OpenAI's timing.py, that of each place is normalised over the
            tokens, smoothed, and averaged over the heads.
    """
    weights = attention.float()
    weights = weights / weights.sum(-1, keepdim=True)
    deviation = weights.std(dim=-2, keepdim=True, unbiased=False)
    centred = weights - weights.mean(dim=-2, keepdim=True)
    normal = centred / deviation.where(deviation > 0, 1.0)
    costs: np.ndarray = -_median(normal).mean(dim=0).double().cpu().numpy()
    return costs


def _median(values: torch.Tensor) -> torch.Tensor:
    """The median of seven neighbours along the last dim; fewer than four values stay."""
    import torch

    around = _SMOOTHED // 2
    if values.shape[-1] <= around:
        return values
    wide = torch.nn.functional.pad(values, (around, around), mode="reflect")
    return wide.unfold(-1, _SMOOTHED, 1).sort(-1).values[..., around]
