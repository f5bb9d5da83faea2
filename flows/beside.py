"""Spaces beside those that were asked for: what was published in them stays published while it is still right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.manifests import published_manifest
from infra.lake.spaces import lacking
from schemas.errors import ConfigError, ContractError
from stages.embed.registry import make_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from infra.lake import Lake, LakeView
    from schemas.space import SpaceContract


def is_installed(space: SpaceContract) -> bool:
    """Whether there is an encoder that gives the vectors of this very contract; loads no weights."""
    try:
        make_encoder(space)
    except (ConfigError, ContractError):
        return False
    return True


def published_beside(lake: Lake, asked: Iterable[SpaceContract]) -> tuple[SpaceContract, ...]:
    """Spaces of the published snapshot that were not asked for and can be carried on, by key.

    Not those of the name of one that was asked for, which replaces them, nor dropped ones, nor those that no encoder
    here can ask, nor those between which a map carries questions: flows/transition.py says what becomes of them.
    """
    published = published_manifest(lake.blobs)
    if published is None:
        return ()
    wanted = {space.key: space.name for space in asked}
    mapped = {m.source for m in published.maps}
    mapped |= {m.target for m in published.maps if m.source in wanted}
    others = [s for s in published.spaces if s.name not in wanted.values() and s.key not in mapped]
    dropped = lake.spaces.dropped() if others else set()
    return tuple(s for s in others if s.key not in dropped and is_installed(s))


def complete(
    view: LakeView, spaces: Sequence[SpaceContract], note: Callable[[str], None]
) -> list[SpaceContract]:
    """Those of them in which every live source is complete; notes each of the others."""
    found = []
    for space in spaces:
        missing = len(lacking(view, space.key))
        if missing:
            note(
                f"{space.name} is left out of the snapshot: {missing} sources have no vectors in it yet. Name it in"
                f" profile.spaces, or gristmill reindex --space {space.name}"
            )
        else:
            found.append(space)
    return found
