"""Second spaces for tests: encoders that are there, under other names, so that their vectors are known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stages.embed import conse, minilm, registry

if TYPE_CHECKING:
    import pytest

    from schemas.space import SpaceContract

PIXELS, TEXT, ROWS = "conse-other", "minilm-other", "minilm-rows"


def add(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second space of pixels, a second one of texts, and one that takes only rows of tables."""
    _add(monkeypatch, "conse", conse.contract, PIXELS)
    _add(monkeypatch, "minilm", minilm.contract, TEXT)
    _add(monkeypatch, "minilm", minilm.contract, ROWS, partitions=("table/row",))


def _add(
    monkeypatch: pytest.MonkeyPatch, of: str, made: registry.ContractFactory, name: str, **more: Any
) -> None:
    def contract(**options: Any) -> SpaceContract:
        return replace(made(**options), name=name, encoder=name, **more)

    monkeypatch.setitem(
        registry.SPACES, name, registry.SpaceRow(contract, registry.SPACES[of].encoder)
    )
