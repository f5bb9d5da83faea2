"""Tiny models that write, of the real classes, with random weights: saved here, loaded the real way."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

_WORDS = """a the of in mill wheel water stone grain flour river picture shows what how does is are old
 describe this one or two short sentences . name it ? with by and turns grinds"""
_MARKS = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
_IMAGE = "<image>"


def save_llava(folder: Path) -> Path:
    """A LLaVA: a CLIP tower of one layer, a Llama of one layer; pictures of 28 pixels in patches of 14."""
    torch.manual_seed(11)
    tokeniser = _tokeniser()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokeniser),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=1,
        ),
        image_token_index=tokeniser.convert_tokens_to_ids(_IMAGE),
        vision_feature_layer=-1,
        image_seq_length=4,
    )
    LlavaForConditionalGeneration(config).eval().save_pretrained(folder)
    LlavaProcessor(
        image_processor=LlavaImageProcessorPil(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=tokeniser,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


def save_t5(folder: Path) -> Path:
    """A T5 of one layer each way."""
    torch.manual_seed(11)
    tokeniser = _tokeniser()
    config = T5Config(
        vocab_size=len(tokeniser),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    T5ForConditionalGeneration(config).eval().save_pretrained(folder)
    tokeniser.save_pretrained(folder)
    return folder


def _tokeniser() -> PreTrainedTokenizerFast:
    vocabulary = {
        word: number for number, word in enumerate([*_MARKS.values(), _IMAGE, *_WORDS.split()])
    }
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=_MARKS["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        **_MARKS,
        extra_special_tokens={"image_token": _IMAGE},
    )
