"""Contracts of spaces by configuration: what the user chose, and what the model's files fix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from schemas.errors import ConfigError
from schemas.sound import SOUND_PARTITIONS
from schemas.space import SpaceContract
from stages.embed.fixed_shapes import buckets
from stages.embed.licences import licence_of
from stages.embed.models import find_model, named
from stages.embed.onnx_text import PREFIX, onnx_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schemas.space import Input, Representation
    from schemas.space_config import SpaceConfig
    from stages.embed.adapters import Facts


class Adapter(NamedTuple):
    """What the contract of a space needs to know of its adapter.

    Attributes:
        name: Registry name.
        input: What its documents are.
        representation: What they become.
        facts: Reads a model's folder, without its weights; second argument: whether its own code may run.
    """

    name: str
    input: Input
    representation: Representation
    facts: Callable[[Path, bool], Facts]


def contract_of(name: str, wish: SpaceConfig, adapter: Adapter, threads: int) -> SpaceContract:
    """The contract of a configured space with the model that is on this machine; loads no weights.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ConfigError: The configuration asks for what the model cannot give; names the key.
    """
    model, location = named(wish.model)
    found = find_model(model, wish.revision, location, wish.onnx)
    facts = adapter.facts(found.folder, wish.trust_remote_code)
    _check(name, wish, facts)
    if adapter.input == "sound" and not set(wish.partitions) <= set(SOUND_PARTITIONS):
        raise ConfigError(
            f"spaces.{name}.partitions: only {', '.join(SOUND_PARTITIONS)} has sound to embed; leave it out"
        )
    text, pixels = adapter.input == "text", adapter.input == "pixels"
    longest = min(wish.max_tokens, facts.max_tokens or wish.max_tokens)
    return SpaceContract(
        name=name,
        encoder=adapter.name,
        model=model,
        revision=found.revision,
        weights_digest=found.weights_digest,
        dim=wish.truncate_dim or facts.dim,
        dtype=wish.dtype,
        input=adapter.input,
        pooling=facts.pooling or wish.pooling or "mean",
        normalised=adapter.representation != "sparse",
        query_prompt=facts.query_prompt if wish.query_prompt is None else wish.query_prompt,
        document_prompt=facts.document_prompt
        if wish.document_prompt is None
        else wish.document_prompt,
        max_tokens=longest,
        buckets=buckets(longest) if text else (),
        batch_tokens=_batch_tokens(wish) if text else 0,
        batch_frames=0 if text else wish.batch_frames,
        frame_size=wish.frame_size if pixels else 0,
        threads=threads,
        backend=f"{PREFIX}{wish.onnx}" if wish.onnx else "torch",
        matryoshka=wish.matryoshka,
        representation=adapter.representation,
        partitions=wish.partitions,
        truncate_dim=wish.truncate_dim,
        remote_code=wish.trust_remote_code,
        location=location,
        licence=wish.licence or licence_of(found.folder),
    )


def as_installed(contract: SpaceContract, adapter: Adapter) -> SpaceContract:
    """The contract that the model on this machine would give, had everything else been chosen alike.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
    """
    file = onnx_file(contract.backend)
    found = find_model(contract.model, contract.revision, contract.location, file)
    facts = adapter.facts(found.folder, contract.remote_code)
    return replace(
        contract,
        revision=found.revision,
        weights_digest=found.weights_digest,
        dim=contract.truncate_dim or facts.dim,
        input=adapter.input,
        pooling=facts.pooling or contract.pooling,
        representation=adapter.representation,
        location=str(found.folder),
    )


def _batch_tokens(wish: SpaceConfig) -> int:
    """Of one row, where a quantised model takes its scales from a whole pass."""
    return 1 if wish.onnx else wish.batch_tokens


def _check(name: str, wish: SpaceConfig, facts: Facts) -> None:
    at = f"spaces.{name}"
    if wish.onnx and (wish.adapter != "text" or wish.dtype != "float32"):
        raise ConfigError(
            f'{at}.onnx: onnxruntime computes texts alone (adapter = "text"), in the types of the file: leave dtype'
            " out"
        )
    if wish.truncate_dim >= facts.dim > 0:
        raise ConfigError(
            f"{at}.truncate_dim = {wish.truncate_dim}: the vectors of {wish.model} have {facts.dim} dims"
        )
    if facts.pooling and wish.pooling not in ("", facts.pooling):
        raise ConfigError(
            f"{at}.pooling = {wish.pooling!r}: the files of {wish.model} say {facts.pooling!r}; leave it out"
        )
    kept = wish.truncate_dim or facts.dim
    if any(not 0 < length < kept for length in wish.matryoshka):
        raise ConfigError(f"{at}.matryoshka has a length that is not below {kept}")
