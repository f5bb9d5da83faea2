"""Derived text of one file, without a lake: the generators of the configuration asked in this process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schemas.engine import Answer, Task
from schemas.errors import GristmillError
from stages.messages import Derived, DeriveRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.config import Config
    from schemas.unit import Unit
    from stages.derive.stage import DeriveStage


def derive_here(
    units: Sequence[Unit], arrays: Sequence[np.ndarray], config: Config
) -> tuple[dict[str, tuple[Unit, int]], list[str]]:
    """What a run would derive from the units of a file.

    Args:
        units: As they were cut.
        arrays: What their `pixels_array` counts in.
        config: As of a run.

    Returns:
        Units with their lengths in tokens, by unit_id; and what could not be said, for people.

    Raises:
        ConfigError: A model cannot be loaded.
    """
    from flows.wiring import contracts, generators
    from stages.derive.stage import DeriveStage

    chosen = generators(config)
    stage = DeriveStage(chosen, contracts(config)[0])
    stage.setup()
    found: dict[str, tuple[Unit, int]] = {}
    notes = []
    for contract in chosen:
        for unit in filter(contract.takes, units):
            at = unit.pixels_array if contract.frame_size else None
            shown = () if at is None else (arrays[at],)
            try:
                derived = _asked(stage, contract.key, unit, shown)
            except GristmillError as error:
                notes.append(f"{contract.key} says nothing of {unit.unit_id}: {error.message}")
                continue
            for said, tokens in zip(derived.units, derived.tokens, strict=True):
                found.setdefault(said.unit_id, (said, tokens))
    return found, notes


def _asked(stage: DeriveStage, key: str, unit: Unit, pixels: tuple[np.ndarray, ...]) -> Derived:
    request = DeriveRequest(key, (replace(unit, pixels_array=None),))
    (answer,) = stage.process([Task(request, pixels)])
    if not isinstance(answer, Answer):
        raise GristmillError(answer.reason)
    derived: Derived = answer.value
    return derived
