"""What `gristmill index` would build, and what of published indices stays: no vector is read, nothing written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flows import wiring
from flows.beside import complete, published_beside
from flows.build import Before, SnapshotBuilder
from flows.changes import Foreseen
from schemas.errors import ConfigError
from schemas.partition import Partition
from stages.index.late.plan import late_plan
from stages.index.plan import need_of, plans

if TYPE_CHECKING:
    from flows.inverted import PlannedInverted
    from schemas.config import Config
    from schemas.engine import Session
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
        foreseen: What of the published index stays; the plans are for what is built anew.
        error: Why there is no plan; empty if there is one.
    """

    partition: str
    space: str
    rows: int
    dim: int
    plans: tuple[IndexPlan, ...]
    foreseen: Foreseen
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlannedLake:
    """The plans for all of a lake.

    Attributes:
        lake: Its URL.
        serve_memory_bytes: To serve all of it; 0: no limit.
        indexes: Of vectors.
        inverted: Of words and sparse vectors, which stand beside them.
        others: Keys of the spaces that the lake has vectors in and that are not planned here.
    """

    lake: str
    serve_memory_bytes: int
    indexes: tuple[PlannedIndex, ...]
    inverted: tuple[PlannedInverted, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there is a plan for every index."""
        return not any(index.error for index in self.indexes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan_lake(lake_url: str, config: Config) -> PlannedLake:
    """Plan every partition in every space of the profile, and in those that stay published beside it.

    Raises:
        LakeError: There is no lake.
    """
    lake = wiring.open_lake(lake_url)
    wanted = wiring.contracts(config)
    beside = complete(lake.view(), published_beside(lake, wanted), _unsaid)
    workers = wiring.workers(config)
    before = Before.of(lake.blobs)
    builder = SnapshotBuilder(
        lake, _no_session, (*wanted, *beside), config.indexing, workers, before
    )
    spaces = {space.key: space for space in builder.spaces}
    planned = []
    for label, rows in sorted(builder.vectors.items()):
        name, _, key = label.partition(" @ ")
        space = spaces[key]
        if space.representation == "sparse":
            continue  # among the inverted ones
        found, error = _plans(space, rows, builder.budgets.get(label, 0), config)
        place = (Partition.parse(name), space)
        foreseen = Foreseen("anew", error) if error else builder.foresee(*place)
        planned.append(PlannedIndex(name, space.name, rows, space.dim, found, foreseen, error))
    limit_bytes = config.indexing.serve_memory_bytes
    return PlannedLake(lake.url, limit_bytes, tuple(planned), builder.inverted, builder.others)


def _unsaid(note: str) -> None:
    """The run that builds says it."""


def _no_session() -> Session:
    raise AssertionError("looking ahead needs no workers")


def _plans(
    space: SpaceContract, rows: int, budget_bytes: int, config: Config
) -> tuple[tuple[IndexPlan, ...], str]:
    """Best first, and why there are none."""
    if space.representation == "tokens":
        return _late_plans(space, rows, config)
    need = need_of(space, rows, config.indexing, wiring.workers(config), budget_bytes)
    try:
        return plans(need, config.indexing), ""
    except ConfigError as failed:
        return (), str(failed)


def _late_plans(
    space: SpaceContract, rows: int, config: Config
) -> tuple[tuple[IndexPlan, ...], str]:
    try:
        return (late_plan(space, rows, config.indexing),), ""
    except ConfigError as failed:
        return (), str(failed)
