"""Tiny models of the real classes with random weights, saved as their libraries save them, to be loaded back."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    PreTrainedTokenizerFast,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORDS = [
    "mill", "grain", "water", "stone", "wheel", "flour", "sack", "river", "cart", "horse", "road", "town", "bread",
    "oven", "a", "query", "document", ":",
]  # fmt: skip
LETTERS = list(string.ascii_lowercase)
CARD = "---\nlicense: {}\n---\n# A tiny model\n"
_TOWER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def word_piece(folder: Path) -> tuple[BertTokenizer, int]:
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)]
    table = {word: i for i, word in enumerate(vocabulary)}
    return BertTokenizer(vocab=table, model_max_length=128), len(vocabulary)


def word_level(start: str, end: str, length: int, more: tuple[str, ...] = ()) -> Any:
    table = {word: i for i, word in enumerate([start, end, "[PAD]", "[UNK]", *more, *WORDS])}
    tokeniser = Tokenizer(models.WordLevel(table, "[UNK]"))
    tokeniser.pre_tokenizer = pre_tokenizers.Whitespace()
    tokeniser.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 1)]
    )
    named = {"bos": start, "eos": end, "pad": "[PAD]", "unk": "[UNK]"}
    tokens = {f"{name}_token": token for name, token in named.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokeniser, model_max_length=length, **tokens)


def bert_config(vocabulary: int, **rest: Any) -> BertConfig:
    return BertConfig(vocab_size=vocabulary, max_position_embeddings=128, **_TOWER, **rest)


def _save(model: Any, processor: Any, folder: Path, licence: str = "apache-2.0") -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(licence))
    return folder


def bert(folder: Path) -> Path:
    """A bare transformer: how it is pooled is open."""
    tokeniser, size = word_piece(folder)
    return _save(BertModel(bert_config(size)), tokeniser, folder)


def dense(folder: Path) -> Path:
    """A sentence-transformers model with prompts, CLS pooling, and a dense layer that makes 24 dims of 32."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    transformer = Transformer(str(bert(folder / "bare")))
    model = SentenceTransformer(
        modules=[transformer, Pooling(32, "cls"), Dense(32, 24), Normalize()],
        prompts={"query": "query : ", "document": "document : "},
        device="cpu",
    )
    model.save(str(folder / "whole"))
    return folder / "whole"


def splade(folder: Path) -> Path:
    tokeniser, size = word_piece(folder)
    return _save(BertForMaskedLM(bert_config(size)), tokeniser, folder)


def cross(folder: Path) -> Path:
    tokeniser, size = word_piece(folder)
    return _save(BertForSequenceClassification(bert_config(size, num_labels=1)), tokeniser, folder)


def colbert(folder: Path) -> Path:
    """Queries are expanded to 8 tokens, punctuation of documents is skipped."""
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    transformer = Transformer(
        str(bert(folder / "bare")), query_expansion={"strategy": "fixed", "length": 8}
    )
    heads = {"module_input_name": "token_embeddings"}
    model = MultiVectorEncoder(
        modules=[
            transformer,
            Dense(32, 16, bias=False, activation_function=None, **heads),
            MultiVectorMask(skiplist_words=[":"]),
            Normalize(**heads),
        ],
        prompts={"query": "query : ", "document": "document : "},
        device="cpu",
    )
    model.save(str(folder / "whole"))
    return folder / "whole"


def clip(folder: Path) -> Path:
    tokeniser = word_level("<s>", "</s>", 16)
    text = {**_TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = CLIPConfig(
        text_config=text,
        vision_config={**_TOWER, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    processor = CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        tokeniser,
    )
    return _save(CLIPModel(config), processor, folder, "cc-by-nc-4.0")


MAKERS: dict[str, Callable[[Path], Path]] = {
    "bert": bert,
    "dense": dense,
    "splade": splade,
    "cross": cross,
    "colbert": colbert,
    "clip": clip,
}


def make(name: str, folder: Path) -> Path:
    """A tiny model with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        return MAKERS[name](folder)
