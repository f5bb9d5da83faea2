"""Generators of derived text by name. To add one: a module, a row, a case in tests/contracts/test_generators.py."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from schemas.errors import ConfigError
from schemas.partition import ALL_PARTITIONS
from stages.derive import asking, image_text, telling, text_text
from stages.embed.conse import FRAME_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.config import Derivation
    from schemas.derived import Generator, GeneratorContract


@dataclass(frozen=True, slots=True)
class GeneratorRow:
    """A registered generator.

    Attributes:
        contract: Makes the contract of a configured one, by its name, its settings and the side in pixels of the
            pictures there are, without loading a model.
        generator: ``module:Class``, imported on first use.
        model: Whether it runs a model, which may have a GPU.
    """

    contract: Callable[[str, Derivation, int], GeneratorContract]
    generator: str
    model: bool = False


GENERATORS: Final[dict[str, GeneratorRow]] = {
    "tell": GeneratorRow(telling.contract, "stages.derive.telling:Teller"),
    "ask": GeneratorRow(asking.contract, "stages.derive.asking:Asker"),
    "image-text-to-text": GeneratorRow(
        image_text.contract, "stages.derive.image_text:Captioner", model=True
    ),
    "text-to-text": GeneratorRow(text_text.contract, "stages.derive.text_text:Writer", model=True),
}


def contract(name: str, settings: Derivation, *, frame_size: int = FRAME_SIZE) -> GeneratorContract:
    """The contract of a configured generator; loads no model.

    Args:
        name: As it is configured.
        settings: What is said of it.
        frame_size: Side in pixels of the pictures that it is shown.

    Raises:
        ConfigError: No such adapter or partition, or a model without what pins it; names the key.
    """
    known = {str(partition) for partition in ALL_PARTITIONS}
    for partition in settings.partitions:
        if partition not in known:
            raise ConfigError(
                f"derive.{name}.partitions: there is no partition {partition!r}; there are {', '.join(sorted(known))}"
            )
    return _row(settings.adapter, name).contract(name, settings, frame_size)


def runs_model(contract: GeneratorContract) -> bool:
    """Whether a generator runs a model, which may have a GPU."""
    return _row(contract.adapter, contract.name).model


def make_generator(contract: GeneratorContract) -> Generator:
    """The generator that fulfils a contract. Its weights load on first use.

    Raises:
        ConfigError: No such adapter.
    """
    module, _, name = _row(contract.adapter, contract.name).generator.partition(":")
    factory = cast("Callable[[GeneratorContract], Generator]", getattr(import_module(module), name))
    return factory(contract)


def _row(adapter: str, name: str) -> GeneratorRow:
    if adapter not in GENERATORS:
        raise ConfigError(
            f"derive.{name}.adapter: there is no {adapter!r}; there are {', '.join(GENERATORS)}"
        )
    return GENERATORS[adapter]
