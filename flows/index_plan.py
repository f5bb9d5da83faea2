"""What `gristmill index` would build, from the numbers of rows alone: no vector is read, nothing is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flows import wiring
from schemas.errors import ConfigError
from stages.index.plan import need_of, plans, shared_budget

if TYPE_CHECKING:
    from schemas.config import Config
    from schemas.space import SpaceContract
    from stages.index.plan import IndexPlan


@dataclass(frozen=True, slots=True)
class PlannedIndex:
    """The plans for one partition in one space.

    Attributes:
        partition: ``text/paragraph``.
        space: Name of the space.
        rows: Live vectors.
        dim: Of a vector.
        plans: Best first; the first is built, the others where it does not reach recall or latency.
        error: Why there is no plan; empty if there is one.
    """

    partition: str
    space: str
    rows: int
    dim: int
    plans: tuple[IndexPlan, ...]
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlannedLake:
    """The plans for all of a lake, and the memory to serve all of it (0: no limit)."""

    lake: str
    serve_memory_bytes: int
    indexes: tuple[PlannedIndex, ...]

    @property
    def holds(self) -> bool:
        """Whether there is a plan for every index."""
        return not any(index.error for index in self.indexes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan_lake(lake_url: str, config: Config) -> PlannedLake:
    """Plan every partition in every space of the profile.

    Raises:
        LakeError: There is no lake.
    """
    lake = wiring.open_lake(lake_url)
    spaces = {space.key: space for space in wiring.contracts(config)}
    counted = sorted(lake.counts()["vectors"].items())
    rows_of = {label: rows for label, rows in counted if rows and _key_of(label) in spaces}
    sizes = {label: 4 * spaces[_key_of(label)].dim * rows for label, rows in rows_of.items()}
    small_bytes = 4 * config.indexing.flat_rows * max(space.dim for space in spaces.values())
    budgets = shared_budget(config.indexing.serve_memory_bytes, sizes, small_bytes)
    planned = tuple(
        _planned(label, spaces[_key_of(label)], rows, budgets[label], config)
        for label, rows in rows_of.items()
    )
    return PlannedLake(lake.url, config.indexing.serve_memory_bytes, planned)


def _planned(
    label: str, space: SpaceContract, rows: int, budget_bytes: int, config: Config
) -> PlannedIndex:
    need = need_of(space, rows, config.indexing, wiring.workers(config), budget_bytes)
    found: tuple[IndexPlan, ...] = ()
    error = ""
    try:
        found = plans(need, config.indexing)
    except ConfigError as failed:
        error = str(failed)
    return PlannedIndex(label.partition(" @ ")[0], space.name, rows, space.dim, found, error)


def _key_of(label: str) -> str:
    """The space's in ``partition @ key``, as the lake counts."""
    return label.partition(" @ ")[2]
