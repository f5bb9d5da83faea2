"""Choosing search parameters: the cheapest choice that reaches the wanted recall, measured on published bytes.

Choices are ordered by a cost in bytes that is a formula, never by the clock: equal segments then get equal search
parameters, and with them equal snapshot ids, on any machine (docs/decisions/0020-costs-not-clocks.md). Latency is
measured, reported, and compared with its limit.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from schemas.manifest import CurvePoint
from stages.index.explain import size
from stages.index.families import one_thread, threads
from stages.index.truth import K

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stages.index.families.protocol import IndexFamily, Knob

RESCORE: Final = "rescore"
RESCORE_CHOICES: Final = (1, 2, 4, 8, 16, 32, 64)
# full.npy is mapped from disk in pages: a row of b bytes at any offset touches b + 4095 bytes of pages on average.
PAGE_BYTES: Final = 4096
_LATENCY_QUERIES: Final = (
    200  # that the choice is timed with, for a 99th percentile that means something;
)
_CURVE_QUERIES: Final = 40  # and the rest of the curve, which is drawn
_WARM_UP_QUERIES: Final = 10  # the first ones pay for pages that are not in memory yet
_STEPS_BITS: Final = (
    3  # values of a knob are 8 to 15 times a power of two: at most an eighth beyond the least one
)
_SLOW_GAIN: Final = (
    0.002  # a doubling that gains less: the codes may be what limits it, so the end is looked at
)
_SLOW_FROM: Final = 16  # lists or candidates; below, recall may well stand still and rise again
_CURVE_FROM: Final = 0.5
_CURVE_TO: Final = 0.99
_CURVE_COST: Final = 2.0  # times the chosen cost


class Measure(Protocol):
    """What tuning asks an index."""

    def recalls(self, search: Mapping[str, int]) -> dict[str, float]:
        """recall@10 by kind of query, each 0..1; none where there is nothing to find."""

    def latency_ms(self, search: Mapping[str, int], most_queries: int) -> tuple[float, float]:
        """Median and 99th percentile of one query, over at most so many."""


@dataclass(frozen=True, slots=True)
class SegmentsMeasure:
    """`Measure` made of the functions that search and judge.

    Attributes:
        recalls_of: ``partial(measure_recalls, truth, segments, metric=metric)``, see stages/index/recall.py.
        search_one: Searches for one query, float32 [1, dim], with the given search parameters.
        queries: float32 [n, dim], what latency is measured with, on one thread.
        threads: That recall may be measured on; it does not depend on them.
    """

    recalls_of: Callable[[Mapping[str, int]], dict[str, float]]
    search_one: Callable[[np.ndarray, Mapping[str, int]], object]
    queries: np.ndarray
    threads: int = 1

    def recalls(self, search: Mapping[str, int]) -> dict[str, float]:
        """See :class:`Measure`."""
        with threads(self.threads):
            return self.recalls_of(search)

    def latency_ms(self, search: Mapping[str, int], most_queries: int) -> tuple[float, float]:
        """See :func:`measure_latency`."""
        queries = self.queries[:: -(-len(self.queries) // most_queries) or 1]
        with one_thread():
            return measure_latency(lambda query: self.search_one(query, search), queries)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome of tuning.

    Attributes:
        point: The choice; if the target was not met, the cheapest one measured that comes as near to it as any.
        recalls: recall@10 of it by kind of query.
        curve: What was measured, by cost, from a recall of about 0.5 on.
        met: Whether recall and latency hold.
        why: In words.
    """

    point: CurvePoint
    recalls: dict[str, float]
    curve: tuple[CurvePoint, ...]
    met: bool
    why: str


def tune(
    measure: Measure,
    knobs: Sequence[Knob],
    cost_of: Callable[[Mapping[str, int]], float],
    target: float,
    latency_limit_ms: float = 0.0,
    rescore_choices: Sequence[int] = (),
) -> Tuned:
    """Find the cheapest choice whose recall@10 is at least `target`.

    Recall is taken to rise with the knob and with the rescoring, and so is the cost; then the choice is the cheapest
    of all, with a small part of them measured. The knob takes 1 to 16 and from there on steps of an eighth.

    Args:
        measure: Asks the opened segments.
        knobs: Of the family, at most one; none if its search is exhaustive.
        cost_of: Bytes that one query looks at, see :func:`cost_function`.
        target: Wanted recall@10, 0..1, of every kind of query.
        latency_limit_ms: Limit of the 99th percentile; 0 for none. It decides whether the choice holds, not
            which it is.
        rescore_choices: Values of ``rescore`` to try, ascending; none where there is nothing to rescore with.

    Raises:
        ValueError: More than one knob.
    """
    if len(knobs) > 1:
        raise ValueError(f"one knob can be tuned, not {', '.join(knob.name for knob in knobs)}")
    grid = _Grid(measure, knobs[0] if knobs else None, cost_of, tuple(rescore_choices) or (0,))
    chosen = _cheapest(grid, target)
    reached = chosen is not None
    at = chosen or _nearest_miss(grid)
    _complete_curve(grid, at)
    limit = _CURVE_COST * max(grid.cost(at), 1e-9)
    places = sorted(
        (p for p in grid.measured if grid.cost(p) <= limit), key=lambda p: (grid.cost(p), p)
    )
    curve = tuple(
        grid.point(place, _LATENCY_QUERIES if place == at else _CURVE_QUERIES) for place in places
    )
    point = next(p for p in curve if p.search == grid.search(at))
    met = reached and not 0 < latency_limit_ms < point.latency_ms_p99
    why = _why(point, target, latency_limit_ms)
    return Tuned(point, grid.measured[at], curve, met, why)


def cost_function(
    family: IndexFamily, rows: int, dim: int, parameters: Mapping[str, int]
) -> Callable[[Mapping[str, int]], float]:
    """What :func:`tune` orders choices by: bytes of codes scanned, and of pages of full.npy touched by rescoring.

    Args:
        family: Of the index.
        rows: Vectors in all segments.
        dim: Of the space; the indexed dims may be fewer.
        parameters: Build parameters.
    """
    indexed = parameters.get("dims", dim)
    row_bytes = dim * parameters.get("rescore_bits", 16) / 8

    def cost_of(search: Mapping[str, int]) -> float:
        candidates = min(rows, K * search.get(RESCORE, 0))
        scanned = family.scanned_bytes(rows, indexed, parameters, search)
        return scanned + candidates * (row_bytes + PAGE_BYTES - 1)

    return cost_of


def measure_latency(
    search_one: Callable[[np.ndarray], object], queries: np.ndarray
) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds of single queries, one after the other; zeros without queries.

    Args:
        search_one: Searches for float32 [1, dim].
        queries: float32 [n, dim]; the first ones are asked once before, and that is not counted.
    """
    for query in queries[:_WARM_UP_QUERIES]:
        search_one(query[None])
    times_ms = []
    for query in queries:
        start = time.perf_counter()
        search_one(query[None])
        times_ms.append((time.perf_counter() - start) * 1000)
    if not times_ms:
        return 0.0, 0.0
    return float(np.percentile(times_ms, 50)), float(np.percentile(times_ms, 99))


def nearest(
    outcomes: Sequence[tuple[str, Tuned]], target: float, latency_limit_ms: float = 0.0
) -> str:
    """The two that came nearest to recall and latency, in words, for an error.

    Args:
        outcomes: (name of the plan, how it tuned) of those that did not hold.
        target: Wanted recall@10.
        latency_limit_ms: Limit of the 99th percentile, 0 for none.
    """

    def miss(outcome: tuple[str, Tuned]) -> tuple[float, str]:
        point = outcome[1].point
        recall_miss = max(0.0, target - point.recall_at_10) / max(target, 1e-9)
        over_ms = max(0.0, point.latency_ms_p99 - latency_limit_ms) if latency_limit_ms else 0.0
        return recall_miss + over_ms / max(latency_limit_ms, 1e-9), outcome[0]

    return "; ".join(f"{name} {tuned.why}" for name, tuned in sorted(outcomes, key=miss)[:2])


def knob_values(largest: int) -> tuple[int, ...]:
    """What is tried of a knob: 1 to 16, then 8 to 15 times powers of two, and the largest itself."""
    values = {largest}
    value = 1
    while value < largest:
        values.add(value)
        value += 1 << max(0, value.bit_length() - 1 - _STEPS_BITS)
    return tuple(sorted(values))


_Place = tuple[int, int]  # position in the values of the knob, position in the choices of rescoring


@dataclass(slots=True)
class _Grid:
    """Every choice, and the recalls of those that were measured."""

    measure: Measure
    knob: Knob | None
    cost_of: Callable[[Mapping[str, int]], float]
    rescores: tuple[int, ...]
    values: tuple[int, ...] = field(init=False)
    measured: dict[_Place, dict[str, float]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.values = knob_values(max(1, self.knob.largest)) if self.knob else (0,)

    def search(self, place: _Place) -> dict[str, int]:
        """Search parameters; what is not there to be chosen is left out."""
        rescore = self.rescores[place[1]]
        chosen = {self.knob.name: self.values[place[0]]} if self.knob else {}
        return chosen | ({RESCORE: rescore} if rescore else {})

    def cost(self, place: _Place) -> float:
        return self.cost_of(self.search(place))

    def recall(self, place: _Place) -> float:
        """Of the kind of query that does worst; 1 where there is nothing to find."""
        if place not in self.measured:
            self.measured[place] = self.measure.recalls(self.search(place))
        return min(self.measured[place].values(), default=1.0)

    def point(self, place: _Place, queries: int) -> CurvePoint:
        search = self.search(place)
        p50, p99 = self.measure.latency_ms(search, queries)
        return CurvePoint(search, self.recall(place), p50, p99, self.cost(place))

    def position(self, value: int) -> int:
        """Of the largest value of the knob that is not above `value`."""
        return bisect_right(self.values, value) - 1


def _cheapest(grid: _Grid, target: float) -> _Place | None:
    """The cheapest place that reaches the target; None if none does.

    From most rescoring to least the knob can only have to go up. So each step starts where the last one ended, and ends
    where the knob alone would cost more than the best place so far.
    """
    low, best = 0, None
    for column in reversed(range(len(grid.rescores))):
        high = len(grid.values) - 1
        if best is not None:
            costs = _Costs(grid, column)
            high = bisect_left(costs, grid.cost(best)) - 1
        if high < low:
            continue
        found = _first(grid, column, (low, high), target)
        if found is not None:
            low, best = found, (found, column)
        elif best is None:
            return None
        else:
            low = high + 1
    return best


class _Costs:
    """Costs along the knob as a sorted sequence."""

    def __init__(self, grid: _Grid, column: int) -> None:
        self._grid, self._column = grid, column

    def __len__(self) -> int:
        return len(self._grid.values)

    def __getitem__(self, row: int) -> float:
        return self._grid.cost((row, self._column))


def _first(grid: _Grid, column: int, span: tuple[int, int], target: float) -> int | None:
    """The first position of the knob in `span`, ends included, that reaches the target: doubling, then halving."""
    low, high = span
    at, below, before = low, low - 1, -math.inf
    while (recall := grid.recall((at, column))) < target:
        if at == high:
            return None
        slow = recall - before < _SLOW_GAIN and grid.values[at] >= _SLOW_FROM
        # Behind the first column most spans hold nothing, and their end is no dearer than what is known already.
        if (slow or low) and grid.recall((high, column)) < target:
            return None
        below, before = at, recall
        at = min(high, max(at + 1, grid.position(2 * grid.values[at])))
    while at - below > 1:
        middle = (at + below) // 2
        reached = grid.recall((middle, column)) >= target
        at, below = (middle, below) if reached else (at, middle)
    return at


def _nearest_miss(grid: _Grid) -> _Place:
    """The cheapest measured place that is as good as any, but for what one more doubling would not show."""
    best = max(grid.recall(place) for place in grid.measured)
    near = [place for place in grid.measured if grid.recall(place) >= best - _SLOW_GAIN]
    return min(near, key=lambda place: (grid.cost(place), place))


def _complete_curve(grid: _Grid, at: _Place) -> None:
    """Measure what a drawing needs around the choice: by doubling, from a recall of 0.5 to 0.99 or where it stays."""
    limit = _CURVE_COST * grid.cost(at)
    place: _Place | None = at
    while place is not None and grid.recall(place) > _CURVE_FROM:
        place = _less(grid, place)
    below, place = grid.recall(at), _more(grid, at)
    while place is not None and grid.cost(place) <= limit and below < _CURVE_TO:
        if grid.recall(place) < below + _SLOW_GAIN:
            break
        below, place = grid.recall(place), _more(grid, place)


def _less(grid: _Grid, place: _Place) -> _Place | None:
    """The power of two below, which is measured already where doubling passed it; or less rescoring without a knob."""
    row, column = place
    if grid.knob is None:
        return (row, column - 1) if column else None
    return (grid.position(1 << (grid.values[row] - 1).bit_length() - 1), column) if row else None


def _more(grid: _Grid, place: _Place) -> _Place | None:
    """The power of two above, or the largest value."""
    row, column = place
    if grid.knob is None:
        return (row, column + 1) if column + 1 < len(grid.rescores) else None
    last = len(grid.values) - 1
    return (grid.position(1 << grid.values[row].bit_length()), column) if row < last else None


def _why(point: CurvePoint, target: float, latency_limit_ms: float) -> str:
    chosen = " and ".join(f"{name} {value}" for name, value in point.search.items())
    at = f" at {chosen}" if chosen else ""
    reached = point.recall_at_10 >= target
    limit = f", more than the {latency_limit_ms:g} ms of latency_ms"
    over = limit if 0 < latency_limit_ms < point.latency_ms_p99 else ""
    return (
        f"reached {point.recall_at_10:.3f}{'' if reached else f' of {target:g}'}{at},"
        f" looking at {size(point.cost_bytes)} in {point.latency_ms_p50:.2f} ms"
        f" (99 of 100 queries within {point.latency_ms_p99:.2f} ms{over})"
    )
