"""Tiny speech models of the real classes, saved as their libraries save them, to be loaded back.

Their weights are random, but their heads are sharpened: a model that is sure of nothing is not believed.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    ParakeetCTCConfig,
    ParakeetEncoderConfig,
    ParakeetFeatureExtractor,
    ParakeetForCTC,
    ParakeetForRNNT,
    ParakeetForTDT,
    ParakeetProcessor,
    ParakeetRNNTConfig,
    ParakeetTDTConfig,
    ParakeetTokenizer,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CARD = "---\nlicense: {}\n---\n# A tiny model\n"
_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "subsampling_conv_channels": 8,
    "num_mel_bins": 32,
    "layerdrop": 0.0,
    "initializer_range": 0.4,
}


def whisper(folder: Path) -> Path:
    """Of two languages; its alphabet is that of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>"]
    marks += ["<|transcribe|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    marks += [f"<|{i / 50:.2f}|>" for i in range(1501)]
    vocabulary = {letter: i for i, letter in enumerate([*alphabet, *marks])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[], language="en", task="transcribe")
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    end = vocabulary["<|endoftext|>"]
    config = WhisperConfig(
        vocab_size=len(vocabulary),
        num_mel_bins=16,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        decoder_start_token_id=end + 1,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        max_target_positions=64,
        init_std=0.7,
    )
    model = WhisperForConditionalGeneration(config)
    # All printable letters, and no end before the places are full: the words are random, but there are some.
    printable = set(string.ascii_letters) | {"Ġ"}
    left_out = [i for letter, i in vocabulary.items() if letter not in printable]
    model.generation_config = GenerationConfig(
        is_multilingual=True, suppress_tokens=left_out, alignment_heads=[[1, 0], [1, 1], [9, 9]]
    )
    return _save(model, folder, WhisperFeatureExtractor(feature_size=16), tokenizer)


def _parakeet(folder: Path, model: Any, marks: list[str], kind: str) -> Path:
    tokenizer = _sentence_pieces(marks)
    extractor = ParakeetFeatureExtractor(feature_size=32)
    processor = ParakeetProcessor(extractor, tokenizer, decoder_type=kind)
    return _save(model, folder, processor)


def parakeet_ctc(folder: Path) -> Path:
    size = len(_pieces([])) + 1
    config = ParakeetCTCConfig(
        vocab_size=size, pad_token_id=size - 1, encoder_config=ParakeetEncoderConfig(**_ENCODER)
    )
    model = ParakeetForCTC(config)
    _sharpen(model.ctc_head, size - 1, 20.0)
    return _parakeet(folder, model, ["<pad>"], "ctc")


def _transducer(size: int) -> dict[str, Any]:
    return {
        "vocab_size": size,
        "blank_token_id": size - 1,
        "pad_token_id": size - 2,
        "decoder_hidden_size": 32,
        "num_decoder_layers": 1,
        "max_symbols_per_step": 1,
        "encoder_config": ParakeetEncoderConfig(**_ENCODER),
    }


def parakeet_tdt(folder: Path) -> Path:
    size = len(_pieces([])) + 2
    model = ParakeetForTDT(ParakeetTDTConfig(**_transducer(size), durations=[0, 1, 2, 3, 4]))
    model.generation_config.decoder_start_token_id = size - 1
    model.generation_config.suppress_tokens = list(range(size, size + 5))
    model.encoder_projector.weight.data *= 4
    model.joint.head.bias.data[size] -= (
        400  # rarely two tokens in a frame: the library has no end for those
    )
    _sharpen(model.joint.head, size - 1, 90.0)
    return _parakeet(folder, model, ["<pad>", "<blank>"], "tdt")


def parakeet_rnnt(folder: Path) -> Path:
    size = len(_pieces([])) + 2
    model = ParakeetForRNNT(ParakeetRNNTConfig(**_transducer(size)))
    model.generation_config.decoder_start_token_id = size - 1
    model.encoder_projector.weight.data *= 4
    _sharpen(model.joint.head, size - 1, 340.0)
    return _parakeet(folder, model, ["<pad>", "<blank>"], "rnnt")


def _sharpen(head: Any, blank: int, silent: float) -> None:
    """Have it sure of its choice, and mostly silent."""
    head.weight.data *= 4
    head.bias.data[blank] += silent


def _pieces(marks: list[str]) -> list[str]:
    words = [f"▁{a}{b}" for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    return ["<unk>", *words, *string.ascii_lowercase, *marks]


def _sentence_pieces(marks: list[str]) -> ParakeetTokenizer:
    table = {piece: i for i, piece in enumerate(_pieces(marks))}
    backend = Tokenizer(models.BPE(table, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>"}
    tokenizer = ParakeetTokenizer(tokenizer_object=backend, **special)
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    return tokenizer


def _save(model: Any, folder: Path, *processors: Any, licence: str = "cc-by-4.0") -> Path:
    model.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    (folder / "README.md").write_text(_CARD.format(licence))
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "whisper": whisper,
    "parakeet_ctc": parakeet_ctc,
    "parakeet_tdt": parakeet_tdt,
    "parakeet_rnnt": parakeet_rnnt,
}


def make(name: str, folder: Path) -> Path:
    """A tiny model with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        return MAKERS[name](folder)
