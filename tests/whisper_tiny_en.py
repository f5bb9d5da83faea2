"""The bundled Whisper tiny.en as transformers would have it: the weights of its CTranslate2 file under other names."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from stages.recognise.speech_models import SPEECH_MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NORMS = {"beta": "bias", "gamma": "weight"}
_FFN = {"layer_norm": "final_layer_norm", "linear_0": "fc1", "linear_1": "fc2"}
_ATTENTION = {"self_attention": "self_attn", "attention": "encoder_attn"}


def save(folder: Path) -> Path:
    """Write the model, its tokenizer and its feature extractor."""
    files = SPEECH_MODELS["tiny.en"].load()
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(files["tokenizer.json"])
    tokenizer = WhisperTokenizer(tokenizer_file=str(folder / "tokenizer.json"))
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=51864,
            d_model=384,
            encoder_layers=4,
            decoder_layers=4,
            encoder_attention_heads=6,
            decoder_attention_heads=6,
            encoder_ffn_dim=1536,
            decoder_ffn_dim=1536,
        )
    )
    weights = {
        name: torch.from_numpy(value)
        for place, array in _variables(files["model.bin"])
        for name, value in _renamed(place, array)
    }
    lacking, unknown = model.load_state_dict(weights, strict=False)
    assert set(lacking) <= {"proj_out.weight"}  # the embedding, once more
    assert not unknown
    told = json.loads(files["config.json"])
    model.generation_config = GenerationConfig(
        is_multilingual=False,
        alignment_heads=told["alignment_heads"],
        suppress_tokens=told["suppress_ids"],
        begin_suppress_tokens=told["suppress_ids_begin"],
    )
    model.save_pretrained(folder)
    return folder


def _variables(data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays of CTranslate2's format, those of half floats only: the others say what the specification is."""
    place = 0

    def number(kind: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{kind}", data, place)
        place += struct.calcsize(kind)
        return int(value)

    def text() -> str:
        nonlocal place
        length = number("H")
        place += length
        return data[place - length : place].rstrip(b"\0").decode()

    assert (number("I"), text(), number("I")) == (6, "WhisperSpec", 3)
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, length = number("B"), number("I")
        if kind == 4:
            array = np.frombuffer(data, np.float16, length // 2, place)
            yield name, array.astype(np.float32).reshape(shape)
        place += length


def _renamed(place: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    tower, *parts = place.split("/")
    if parts[0].startswith("layer_") and parts[0] != "layer_norm":
        prefix = f"model.{tower}.layers.{parts[0].removeprefix('layer_')}"
        yield from _of_layer(prefix, parts[1:], array)
        return
    kind = _NORMS.get(parts[-1], parts[-1])
    names: dict[str, Any] = {
        "embeddings": "embed_tokens.weight",
        "position_encodings": "embed_positions.weight",
    }
    yield f"model.{tower}.{names.get(parts[0], f'{parts[0]}.{kind}')}", array


def _of_layer(prefix: str, parts: list[str], array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    block, part, kind = parts
    kind = _NORMS.get(kind, kind)
    if block == "ffn":
        yield f"{prefix}.{_FFN[part]}.{kind}", array
        return
    name = f"{prefix}.{_ATTENTION[block]}"
    if part == "layer_norm":
        yield f"{name}_layer_norm.{kind}", array
        return
    # Queries, keys and values are one matrix, or keys and values; keys have no bias in Whisper.
    joined = {("self_attention", "linear_0"): "qkv", ("attention", "linear_0"): "q"} | {
        ("attention", "linear_1"): "kv"
    }
    projections = joined.get((block, part), "")
    if not projections:
        yield f"{name}.out_proj.{kind}", array
        return
    for letter, one in zip(projections, np.split(array, len(projections)), strict=True):
        if (letter, kind) != ("k", "bias"):
            yield f"{name}.{letter}_proj.{kind}", np.ascontiguousarray(one)
