"""A speech model by configuration: a model in a few lines. What the keys mean is in docs/encoders.md."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SpeechConfig(BaseModel):
    """``[speech.NAME]``: a model of transformers that transcribes; its own files say of which family it is.

    Attributes:
        model: Its name at Hugging Face, ``org/name``, or a folder: an absolute path, or one that begins with ``.``.
        revision: Commit, tag or branch; whatever it is, the commit is what counts.
        dtype: The weights are computed with it.
        language: Code of the one that is spoken, such as ``de``; empty: Whisper tells it, Parakeet leaves it open.
        licence: Of the weights; empty for what the model's card says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1)
    revision: str = ""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    language: str = Field(default="", pattern="^([a-z]{2,3})?$")
    licence: str = ""
