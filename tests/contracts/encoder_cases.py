"""A case for every encoder: spaces that come with gristmill, and a tiny model for each adapter and kind of model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from schemas.space_config import SpaceConfig
from stages.embed.registry import SPACES, contract
from tests import tiny_models

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.space import SpaceContract


class Case(NamedTuple):
    """A tiny model, and the keys of its space."""

    adapter: str
    model: str
    keys: dict[str, object]


# Adding an adapter or a kind of model: a maker in tests/tiny_models.py and a row here.
CASES: dict[str, Case] = {
    "bert": Case("text", "bert", {"pooling": "mean", "batch_tokens": 128}),
    "bert_cls_truncated": Case("text", "bert", {"pooling": "cls", "truncate_dim": 12}),
    "bert_bfloat16": Case("text", "bert", {"dtype": "bfloat16"}),
    "dense_with_prompts": Case("text", "dense", {"max_tokens": 64}),
    "onnx": Case("text", "onnx", {"onnx": "onnx/model.onnx"}),
    "clip": Case("image", "clip", {"frame_size": 48}),
    "metaclip2": Case("image", "metaclip2", {"frame_size": 48}),
    "omni_pictures": Case("image", "modernvbert", {"frame_size": 32, "batch_frames": 2}),
    "omni_texts": Case("text", "modernvbert", {"batch_tokens": 128}),
    "siglip2": Case("image", "siglip2", {"frame_size": 64, "batch_frames": 2}),
    "xclip": Case("clip", "xclip", {"frame_size": 48, "batch_frames": 8}),
    "videoprism": Case("clip", "videoprism", {"frame_size": 48, "batch_frames": 8}),
    "clap": Case("sound", "clap", {"batch_frames": 3}),
    "colbert": Case("late_text", "colbert", {"batch_tokens": 128}),
    "colqwen2": Case("late_page", "colqwen2", {"frame_size": 32, "batch_frames": 2}),
    "colpali": Case("late_page", "colpali", {"frame_size": 32, "batch_frames": 2}),
    "colmodernvbert": Case("late_page", "colmodernvbert", {"frame_size": 32, "batch_frames": 2}),
    "splade_tiny": Case("sparse", "splade", {"batch_tokens": 128}),
}
NAMES = [*sorted(name for name in SPACES if contract(name).representation != "sparse"), *CASES]

WORDS = [
    "mill", "grain", "water", "stone", "wheel", "flour", "sack", "river", "cart", "horse", "road", "town", "bread",
    "oven",
]  # fmt: skip


def case_contract(name: str, folder: Path) -> SpaceContract:
    """The contract of a case; its tiny model is made in the folder."""
    if name in SPACES:
        return contract(name)
    case = CASES[name]
    model = tiny_models.make(case.model, folder)
    wish = SpaceConfig(adapter=case.adapter, model=str(model), **case.keys)
    return contract(name, configured={name: wish})


def texts(count: int) -> list[str]:
    """Texts of many lengths, in an order unlike that of their lengths."""
    return [
        " ".join(WORDS[(i + j) % len(WORDS)] for j in range(1 + (i * 37) % 90))
        for i in range(count)
    ]


def stacks(count: int, side: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [
        random.integers(0, 256, size=(1 + i % 3, side, side, 3), dtype=np.uint8)
        for i in range(count)
    ]


def sounds(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    lengths = (500 + (i * 7919) % 30_000 for i in range(count))
    return [(0.1 * random.standard_normal(n)).astype(np.float32) for n in lengths]


def inputs(space: SpaceContract, count: int) -> list:
    """Documents as a space takes them."""
    if space.input == "text":
        return texts(count)
    return sounds(count) if space.input == "sound" else stacks(count, space.frame_size)


def flat(encoded: object) -> list[np.ndarray]:
    """What an encoder gave, as one array an item, whatever its representation."""
    rows = list(encoded)
    return [
        np.concatenate([np.ravel(part) for part in row]) if isinstance(row, tuple) else row
        for row in rows
    ]
