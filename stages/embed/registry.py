"""Encoders by name: spaces that come with gristmill, and adapters that a configuration makes spaces of.

To add a space: a module with an encoder, a row in SPACES. To add a kind of model: a module with a class and a function
`facts`, a row in ADAPTERS. Both need a case in tests/contracts/test_encoders.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, cast

from schemas.errors import ConfigError, ContractError
from stages.embed import conse, minilm, minilm_tokens, splade
from stages.embed.configured import Adapter, as_installed, contract_of
from stages.embed.probe import Proven

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from schemas.space import Encoder, Input, Probe, Representation, SpaceContract
    from schemas.space_config import SpaceConfig

TRUST_VARIABLE: Final = "GRISTMILL_TRUST_REMOTE_CODE"


class ContractFactory(Protocol):
    """Makes a contract without loading a model; `dtype` None means what suits this machine."""

    def __call__(self, *, threads: int = 1, dtype: str | None = None) -> SpaceContract:
        """The contract for encoder processes of so many threads."""


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """A space that comes with gristmill.

    Attributes:
        contract: Makes its contract.
        encoder: ``module:Class`` of its encoder, imported on first use.
    """

    contract: ContractFactory
    encoder: str


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """A kind of model.

    Attributes:
        encoder: ``module:Class``, imported on first use. The module's function `facts` reads a model's folder.
        input: What its documents are.
        representation: What they become.
    """

    encoder: str
    input: Input
    representation: Representation = "dense"


SPACES: Final[dict[str, SpaceRow]] = {
    "minilm": SpaceRow(minilm.contract, "stages.embed.minilm:MiniLM"),
    "minilm-tokens": SpaceRow(minilm_tokens.contract, "stages.embed.minilm_tokens:MiniLMTokens"),
    "conse": SpaceRow(conse.contract, "stages.embed.conse:ConSE"),
    "splade": SpaceRow(splade.contract, "stages.embed.splade:Splade"),
}

ADAPTERS: Final[dict[str, AdapterRow]] = {
    "text": AdapterRow("stages.embed.dense_text:DenseText", "text"),
    "image": AdapterRow("stages.embed.dual:DualEncoder", "pixels"),
    "clip": AdapterRow("stages.embed.clip_video:ClipEncoder", "pixels"),
    "sound": AdapterRow("stages.embed.sound:SoundEncoder", "sound"),
    "late_text": AdapterRow("stages.embed.late:LateText", "text", "tokens"),
    "late_page": AdapterRow("stages.embed.late:LatePage", "pixels", "tokens"),
    "sparse": AdapterRow("stages.embed.sparse_text:SparseText", "text", "sparse"),
}

_NONE: Final[Mapping[str, SpaceConfig]] = MappingProxyType({})


def contract(
    name: str, *, threads: int = 1, configured: Mapping[str, SpaceConfig] = _NONE
) -> SpaceContract:
    """The contract of a space on this machine; loads no weights.

    Args:
        name: Of a space that comes with gristmill, or of one in `configured`.
        threads: Compute threads of an encoder process.
        configured: ``[spaces.NAME]`` of the configuration.

    Raises:
        ConfigError: No such space; names those there are. Or what is configured cannot be.
        MissingExtraError: Its model is not on this machine; says how to fetch it.
    """
    if name in SPACES:
        if name in configured:
            raise ConfigError(
                f"spaces.{name}: a space of that name comes with gristmill; rename it"
            )
        return SPACES[name].contract(threads=threads)
    if name not in configured:
        raise ConfigError(
            f"there is no space {name!r}; there are {', '.join([*SPACES, *configured])}."
            f" Another is configured as [spaces.{name}]"
        )
    wish = configured[name]
    if wish.adapter not in ADAPTERS:
        raise ConfigError(
            f"spaces.{name}.adapter = {wish.adapter!r}: there are {', '.join(ADAPTERS)}"
        )
    return contract_of(name, wish, _adapter(wish.adapter), threads)


def make_encoder(
    contract: SpaceContract, *, trusted: bool = False, recorded: Probe | None = None
) -> Encoder:
    """The encoder that fulfils a contract, e.g. one from a manifest. Its weights load on first use.

    Args:
        contract: Of a space.
        trusted: The contract is of this machine's own configuration, so code of the model's repository may run if it
            asks for that. For a contract from elsewhere, the environment variable GRISTMILL_TRUST_REMOTE_CODE must
            name the model (several are separated by commas).
        recorded: What the encoder that wrote the vectors made of its self-check; it is held against before the first
            answer, which raises ContractError if it deviates. None to check nothing.

    Raises:
        ConfigError: No encoder of that name is registered.
        MissingExtraError: The model is not on this machine; says how to fetch it.
        ContractError: The encoder here would not give the contract's vectors, and how it differs; or it needs code
            that nobody here asked for.
    """
    if contract.remote_code and not trusted and contract.model not in _trusted_models():
        raise ContractError(
            f"the space {contract.key} runs code from the repository of {contract.model}: read it, then set"
            f" {TRUST_VARIABLE}={contract.model} if you trust it"
        )
    encoder = _made(contract)
    return encoder if recorded is None else cast("Encoder", Proven(encoder, recorded))


def _made(contract: SpaceContract) -> Encoder:
    if contract.encoder in SPACES:
        row = SPACES[contract.encoder]
        here = row.contract(threads=contract.threads, dtype=contract.dtype)
        _refuse_other(here, contract)
        return _class(row.encoder)(contract)
    if contract.encoder in ADAPTERS:
        here = as_installed(contract, _adapter(contract.encoder))
        _refuse_other(here, contract)
        return _class(ADAPTERS[contract.encoder].encoder)(here)
    raise ConfigError(
        f"there is no encoder {contract.encoder!r}; there are {', '.join([*SPACES, *ADAPTERS])}"
    )


def _refuse_other(here: SpaceContract, wanted: SpaceContract) -> None:
    differences = here.differences(wanted)
    if differences:
        raise ContractError(
            f"the installed encoder {wanted.encoder!r} differs from the space {wanted.key}:"
            f" {'; '.join(differences)} (installed != wanted). Use the gristmill version and the model that wrote it,"
            " or embed again with what is here"
        )


def _trusted_models() -> list[str]:
    return os.environ.get(TRUST_VARIABLE, "").split(",")


def _adapter(name: str) -> Adapter:
    row = ADAPTERS[name]
    module = import_module(row.encoder.partition(":")[0])
    return Adapter(name, row.input, row.representation, module.facts)


def _class(encoder: str) -> Callable[[SpaceContract], Encoder]:
    module, _, name = encoder.partition(":")
    return cast("Callable[[SpaceContract], Encoder]", getattr(import_module(module), name))
