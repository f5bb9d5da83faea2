"""Spaces by name. To add one: a module with an encoder, a row here, a case in tests/contracts/test_encoders.py."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from schemas.errors import ConfigError, ContractError
from stages.embed import conse, minilm, splade

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.space import Encoder, SpaceContract


class ContractFactory(Protocol):
    """Makes a contract without loading a model; `dtype` None means what suits this machine."""

    def __call__(self, *, threads: int = 1, dtype: str | None = None) -> SpaceContract:
        """The contract for encoder processes of so many threads."""


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """A registered space.

    Attributes:
        contract: Makes its contract.
        encoder: ``module:Class`` of its encoder, imported on first use.
    """

    contract: ContractFactory
    encoder: str


SPACES: Final[dict[str, SpaceRow]] = {
    "minilm": SpaceRow(minilm.contract, "stages.embed.minilm:MiniLM"),
    "conse": SpaceRow(conse.contract, "stages.embed.conse:ConSE"),
    "splade": SpaceRow(splade.contract, "stages.embed.splade:Splade"),
}


def contract(name: str, *, threads: int = 1) -> SpaceContract:
    """The contract of a registered space on this machine; loads no model.

    Raises:
        ConfigError: No such space; names those there are.
    """
    return _row(name).contract(threads=threads)


def make_encoder(contract: SpaceContract) -> Encoder:
    """The encoder that fulfils a contract, e.g. one from a manifest. Its weights load on first use.

    Raises:
        ConfigError: No encoder of that name is registered.
        ContractError: The registered encoder would not give the contract's vectors; names the differences.
    """
    row = _row(contract.encoder)
    differences = row.contract(threads=contract.threads, dtype=contract.dtype).differences(contract)
    if differences:
        raise ContractError(
            f"the installed encoder {contract.encoder!r} differs from the space {contract.key}:"
            f" {'; '.join(differences)} (installed != wanted). Use the gristmill version that wrote it,"
            " or embed again with this one"
        )
    module, _, name = row.encoder.partition(":")
    factory = cast("Callable[[SpaceContract], Encoder]", getattr(import_module(module), name))
    return factory(contract)


def _row(name: str) -> SpaceRow:
    if name not in SPACES:
        raise ConfigError(f"there is no space {name!r}; there are {', '.join(SPACES)}")
    return SPACES[name]
