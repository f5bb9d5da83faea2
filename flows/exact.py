"""Exact neighbours over a live table: chunks of vectors go to the workers, the best of each come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from infra.lake.hexkeys import expand
from infra.lake.vectors import gather
from infra.spill import Wanted, live_keys
from schemas.errors import ConfigError, LakeError
from stages.index.exact import ExactRequest, Ranked, merge_top_k

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from infra.lake.read import LakeView
    from schemas.engine import Session
    from schemas.partition import Partition
    from schemas.space import SpaceContract

INDEX: Final = "index"
NEIGHBOURS: Final = pa.schema(
    [
        ("query", pa.string()),  # the question, or the unit_id of the row that asks
        ("rank", pa.int32()),  # 1-based; of equally near ones the lower unit_id comes first
        ("unit_id", pa.string()),
        ("similarity", pa.float32()),  # inner product, or minus the squared distance
    ]
)
_POLL_S: Final = 0.2


class LiveVectors:
    """Live units of a partition with their vectors in a space. Each input is looked at once, however many units it has.

    Raises:
        IntegrityError: Units have neither vector nor reject.
        LakeError: A file of the lake is missing or broken.
    """

    def __init__(self, view: LakeView, partition: Partition, space: SpaceContract) -> None:
        self._view = view
        self._wanted = Wanted(partition, space.key, space.input_column)
        self._units = live_keys(view, self._wanted)
        # Units by input; those of one input stay in the order of unit_id.
        self._order = self._units.inputs.order()
        inputs = self._units.inputs.take(self._order)
        first = inputs.firsts()
        self._starts = np.flatnonzero(first)
        self._found = view.find_vectors(space.key, partition, inputs.take(first))
        self._has_vector = np.empty(len(self._units), dtype=bool)
        self._has_vector[self._order] = self._found.found[np.cumsum(first) - 1]

    @property
    def rows(self) -> int:
        """Units that have a vector."""
        return int(np.count_nonzero(self._has_vector))

    def require_all(self) -> None:
        """Check that units without a vector stand in `rejects`."""
        missing = self._units.units.take(~self._has_vector).strings()
        self._view.require_rejected(missing, self._wanted.space_key, self._wanted.partition)

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Vectors, float32 [n, dim], and for each the number of its first unit, int64 [n]."""
        for rows, vectors in self._found.blocks():
            yield vectors, self._order[self._starts[rows]]

    def sample(self, count: int) -> tuple[list[str], np.ndarray]:
        """unit_id and vector, float32 [n, dim], of rows to ask with; always the same ones."""
        asking = self._units.take(self._has_vector)
        places = asking.units.last_by_tail(count)
        wanted = self._wanted
        found = self._view.find_vectors(
            wanted.space_key, wanted.partition, asking.inputs.take(places)
        )
        return asking.units.take(places).strings().to_pylist(), gather(found)

    def neighbours(self, names: Sequence[str], best: Ranked, k: int) -> pa.Table:
        """The nearest units, from the first units of the nearest inputs; see `NEIGHBOURS`."""
        input_of = np.empty(len(self._units), np.int64)  # of a unit, in order of input
        sizes = np.diff(self._starts, append=len(self._units))
        input_of[self._order] = np.repeat(np.arange(len(self._starts)), sizes)
        queries = np.repeat(np.arange(len(names)), best.positions.shape[1])
        starts = self._starts[input_of[best.positions.ravel()]]
        stops = starts + sizes[input_of[best.positions.ravel()]]
        hits, places = expand(starts, stops)
        queries, scores, units = queries[hits], best.scores.ravel()[hits], self._order[places]
        order = np.lexsort((units, -scores, queries))
        queries, scores, units = queries[order], scores[order], units[order]
        ranks = np.arange(len(queries)) - np.searchsorted(queries, queries)
        kept = ranks < k
        columns = [
            pa.array(names, pa.string()).take(pa.array(queries[kept])),
            pa.array(ranks[kept] + 1, pa.int32()),
            self._units.units.take(units[kept]).strings(),
            pa.array(scores[kept]),
        ]
        return pa.table(columns, schema=NEIGHBOURS)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: names for the answer, and vectors, float32 [n, dim]."""

    names: Sequence[str]
    vectors: np.ndarray


def exact_neighbours(
    live: LiveVectors,
    asked: Question,
    request: ExactRequest,
    session: Session,
    *,
    in_flight_bytes: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> pa.Table:
    """The exact neighbours of each question over every live row; see `NEIGHBOURS`.

    Args:
        live: Where to look.
        asked: The questions.
        request: How many neighbours, and what is near.
        session: Running pool named index.
        in_flight_bytes: Vectors that may be on their way to workers.
        progress: Hears how many different inputs were looked at, and how many units there are.

    Raises:
        LakeError: A worker could not do its part.
    """
    gathering = _Gathering(session, request.k, len(asked.names), live.rows, progress)
    for number, (vectors, positions) in enumerate(live.chunks()):
        arrays = session.put([asked.vectors, vectors, positions])
        session.submit(INDEX, f"rows of chunk {number}", request, arrays=arrays)
        del arrays  # the session holds it while it is needed
        gathering.until_below(in_flight_bytes)
    gathering.until_below(0)
    return live.neighbours(asked.names, gathering.best, request.k)


class _Gathering:
    """The nearest so far, from whichever chunk is answered first: the order makes no difference."""

    def __init__(
        self,
        session: Session,
        k: int,
        queries: int,
        rows: int,
        progress: Callable[[int, int], None],
    ) -> None:
        self.best = Ranked(np.zeros((queries, 0), np.float32), np.zeros((queries, 0), np.int64))
        self._session = session
        self._k = k
        self._rows = rows
        self._done = 0
        self._progress = progress

    def until_below(self, in_flight_bytes: int) -> None:
        """Take in answers until no more than that is on its way; all of them for 0."""
        session = self._session
        while session.pending(INDEX) and session.bytes_in_flight() > in_flight_bytes:
            for outcome in session.poll(_POLL_S):
                if outcome.failure:
                    raise LakeError(
                        f"{outcome.key} could not be searched: {outcome.failure.code}: {outcome.failure.reason}"
                    )
                if outcome.arrays is None:
                    continue
                scores, positions = session.fetch(outcome.arrays)
                self.best = merge_top_k([self.best, Ranked(scores, positions)], self._k)
                self._done += outcome.value
                self._progress(self._done, self._rows)


def choose_vectors(
    view: LakeView, partition: Partition, contracts: Iterable[SpaceContract], wanted: str
) -> tuple[SpaceContract, LiveVectors]:
    """The space that is meant, with the live vectors of a partition in it.

    Args:
        view: Of the lake.
        partition: Which partition.
        contracts: Of the spaces that are known.
        wanted: Name or key of one; empty for the only one that the partition has vectors in.

    Raises:
        ConfigError: No such space, no vectors, or several spaces to choose from; names them.
    """
    known = {space.key: space for space in contracts if space.key in view.space_keys()}
    named = [s for s in known.values() if wanted in ("", s.key, s.name)]
    if not named:
        raise ConfigError(
            f"--space {wanted}: the lake has vectors in {', '.join(sorted(known)) or 'no space that is known here'}"
            " (spaces of the configuration and of the published snapshot are)"
        )
    opened = [(space, LiveVectors(view, partition, space)) for space in named]
    filled = [(space, live) for space, live in opened if live.rows]
    if not filled:
        raise ConfigError(
            f"{partition} has no vectors in {', '.join(s.key for s in named)}: gristmill status lists what there is"
        )
    if len(filled) > 1:
        raise ConfigError(
            f"{partition} has vectors in several spaces, choose one with --space:"
            f" {', '.join(space.name for space, _ in filled)}"
        )
    ((space, live),) = filled
    live.require_all()
    return space, live
