"""Tiny models of pages: of the ColPali family, and one that embeds pictures and texts to one vector each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import (
    ColModernVBertConfig,
    ColModernVBertForRetrieval,
    ColModernVBertProcessor,
    ColPaliConfig,
    ColPaliForRetrieval,
    ColPaliProcessor,
    ColQwen2Config,
    ColQwen2ForRetrieval,
    ColQwen2Processor,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    ModernVBertConfig,
    ModernVBertModel,
    Qwen2VLImageProcessorPil,
    SiglipImageProcessorPil,
)

from tests.tiny_models import TOWER, save, word_level

if TYPE_CHECKING:
    from pathlib import Path

_MARKS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
_TEMPLATE = (
    "{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<image>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<end_of_utterance>{% endfor %}"
)


def colqwen2(folder: Path) -> Path:
    marks = ("<|image_pad|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
    tokeniser = word_level("<s>", "<|endoftext|>", 128, marks)
    tokeniser.add_special_tokens({"additional_special_tokens": list(marks)})
    ids = dict(zip(marks, tokeniser.convert_tokens_to_ids(list(marks)), strict=True))
    text = {**TOWER, "vocab_size": len(tokeniser), "num_key_value_heads": 2}
    text |= {"max_position_embeddings": 128}
    text |= {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]}}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 4}
    config = ColQwen2Config(
        vlm_config={
            "model_type": "qwen2_vl",
            "text_config": text,
            "vision_config": {**vision, "mlp_ratio": 2},
            "image_token_id": ids["<|image_pad|>"],
            "vision_start_token_id": ids["<|vision_start|>"],
            "vision_end_token_id": ids["<|vision_end|>"],
        },
        embedding_dim=16,
    )
    pictures = Qwen2VLImageProcessorPil(patch_size=4, min_pixels=64, max_pixels=32 * 32)
    return save(ColQwen2ForRetrieval(config), ColQwen2Processor(pictures, tokeniser), folder)


def colpali(folder: Path) -> Path:
    tokeniser = word_level("<s>", "</s>", 128)
    pictures = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    pictures.image_seq_length = 16
    processor = ColPaliProcessor(pictures, tokeniser)
    text = {**TOWER, "model_type": "gemma", "vocab_size": len(tokeniser)}
    text |= {"num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 256}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    vision = {**TOWER, "model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8}
    config = ColPaliConfig(
        vlm_config={
            "model_type": "paligemma",
            "text_config": text,
            "vision_config": {**vision, "projection_dim": 32},
            "image_token_id": processor.image_token_id,
            "projection_dim": 32,
            "hidden_size": 32,
        },
        embedding_dim=16,
    )
    return save(ColPaliForRetrieval(config), processor, folder)


def colmodernvbert(folder: Path) -> Path:
    tokeniser, pictures, text, vision = _vbert()
    processor = ColModernVBertProcessor(pictures, tokeniser, image_seq_len=4)
    config = ColModernVBertConfig(
        vlm_config={
            "model_type": "modernvbert",
            "text_config": text,
            "vision_config": vision,
            "image_token_id": processor.image_token_id,
            "pixel_shuffle_factor": 2,
        },
        embedding_dim=16,
    )
    return save(ColModernVBertForRetrieval(config), processor, folder, "mit")


def modernvbert(folder: Path) -> Path:
    """A model of pictures and texts, whose tokens are averaged."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    tokeniser, pictures, text, vision = _vbert()
    processor = Idefics3Processor(pictures, tokeniser, image_seq_len=4, chat_template=_TEMPLATE)
    config = ModernVBertConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=processor.image_token_id,
        pixel_shuffle_factor=2,
    )
    bare = save(ModernVBertModel(config), processor, folder / "bare", "mit")
    modules = [Transformer(str(bare)), Pooling(32, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "whole"))
    return folder / "whole"


def _vbert() -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """Tokeniser, preparation of pictures, and the two towers of ModernVBERT."""
    tokeniser = word_level("<s>", "</s>", 128, _MARKS)
    tokeniser.add_special_tokens({"additional_special_tokens": list(_MARKS)})
    longest = {"longest_edge": 32}
    pictures = Idefics3ImageProcessorPil(
        size=longest, max_image_size=longest, do_image_splitting=False
    )
    text = {**TOWER, "model_type": "modernbert", "vocab_size": len(tokeniser)}
    text |= {"max_position_embeddings": 128, "global_attn_every_n_layers": 1}
    text |= {"bos_token_id": 0, "eos_token_id": 1, "cls_token_id": 0, "sep_token_id": 1}
    text |= {"pad_token_id": 2}
    vision = {**TOWER, "model_type": "siglip_vision_model", "image_size": 32, "patch_size": 8}
    return tokeniser, pictures, text, vision
