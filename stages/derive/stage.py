"""Deriving text as an executor sees it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from schemas.derived import Subject, derived_unit
from schemas.engine import Answer, Failure, Task
from stages.derive.registry import make_generator
from stages.embed.registry import make_encoder
from stages.messages import Derived
from stages.segment._language import language_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.derived import GeneratorContract
    from schemas.space import SpaceContract, TextEncoder
    from schemas.unit import Unit
    from stages.messages import DeriveRequest


class DeriveStage:
    """Units, with pixels beside those whose generator takes them, to the units derived from them.

    Args:
        contracts: Of the generators. A call asks one of them (the executor groups so).
        text_space: Whose tokens are counted.
    """

    def __init__(self, contracts: Sequence[GeneratorContract], text_space: SpaceContract) -> None:
        self._generators = {contract.key: make_generator(contract) for contract in contracts}
        self._text_space = text_space

    def setup(self) -> None:
        """Load all of them: one that cannot be had ends the run, not each of its units."""
        for generator in self._generators.values():
            generator.load()

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer with `Derived`, by task."""
        requests: list[DeriveRequest] = [task.value for task in tasks]
        generator = self._generators[requests[0].generator]
        texts = generator.derive(
            [
                Subject(request.parents[0], task.arrays[0] if task.arrays else None)
                for request, task in zip(requests, tasks, strict=True)
            ]
        )
        return [
            Answer(self._derived(request.parents, written, generator.contract))
            for request, written in zip(requests, texts, strict=True)
        ]

    def _derived(
        self, parents: Sequence[Unit], texts: Sequence[str], contract: GeneratorContract
    ) -> Derived:
        """Units of the texts that say something else than their parent does, for each of equal parents."""
        units = [
            derived_unit(parent, text, contract, language_of(text, parent.language))
            for parent in parents
            for text in dict.fromkeys(texts)
            if text and text.casefold() != parent.text.casefold()
        ]
        tokens = self._encoder.count_tokens([unit.embedded_text for unit in units])
        return Derived(tuple(units), tuple(tokens))

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder: TextEncoder = make_encoder(self._text_space)  # type: ignore[assignment]  # a text space
        return encoder

    def teardown(self) -> None:
        """Let the weights go."""
        self._generators.clear()
