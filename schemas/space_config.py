"""A space by configuration: a model in a few lines. What the keys mean is in docs/encoders.md."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.partition import Partition

Pooling = Literal["", "mean", "cls", "lasttoken", "max"]
FRAME_SIZE: Final = 224  # what most encoders of pictures were trained on
# A part of the names of tables and folders.
SpaceName = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_]*$")]


class SpaceConfig(BaseModel):
    """``[spaces.NAME]``: which encoder, which model, and what the model leaves open.

    Attributes:
        adapter: Registry name of the encoder (stages/embed/registry.py).
        model: Its name at Hugging Face, ``org/name``, or a folder: an absolute path, or one that begins with ``.``.
        revision: Commit, tag or branch; whatever it is, the contract has the commit.
        dtype: The weights are computed with it.
        onnx: A file in the model's folder that onnxruntime computes in place of the weights, for texts on a CPU.
        truncate_dim: The leading dims that are kept; 0 for all. Only for models trained so (Kusupati et al. 2022).
        matryoshka: Shorter lengths, ascending, that the model was trained for; an index may use them.
        pooling: How the tokens become one vector, where the model's files leave it open; empty for ``mean`` there.
        query_prompt: Put before a question; unset: what the model's files say.
        document_prompt: Put before a document; unset: what the model's files say.
        max_tokens: Longest text; longer ones are cut.
        batch_tokens: Tokens in one pass over documents.
        batch_frames: Frames in one pass.
        frame_size: Side in pixels of the pictures that the encoder is given. One for all pixel spaces of a profile.
        partitions: The only ones that are embedded, such as ``page/page``; empty for all that have the encoder's input.
        licence: Of the weights; empty for what the model's card says.
        trust_remote_code: Run the code that the model's repository brings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: str
    model: str = Field(min_length=1)
    revision: str = ""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    onnx: str = ""
    truncate_dim: int = Field(default=0, ge=0)
    matryoshka: tuple[int, ...] = ()
    pooling: Pooling = ""
    query_prompt: str | None = None
    document_prompt: str | None = None
    max_tokens: int = Field(default=512, ge=8)
    batch_tokens: int = Field(default=512, ge=8)
    batch_frames: int = Field(default=4, ge=1)
    frame_size: int = Field(default=FRAME_SIZE, ge=16, le=4096)
    partitions: tuple[str, ...] = ()
    licence: str = ""
    trust_remote_code: bool = False

    @field_validator("partitions")
    @classmethod
    def _partitions(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({str(Partition.parse(name)) for name in names}))

    @field_validator("matryoshka")
    @classmethod
    def _ascending(cls, lengths: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(lengths)))
