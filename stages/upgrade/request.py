"""Fitting and measuring as a worker does it: vectors in, the bytes of a map and its numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from schemas.engine import Answer
from stages.upgrade.fit import fit_map
from stages.upgrade.measure import recall_at_10

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import Metric
    from stages.upgrade.fit import Fitted

ROWS = "rows"  # queries made of units that were held out of the fit


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Fit a map that carries queries of a new space into an old one, and measure it in each partition.

    Beside it travel the arrays of `Sample`.

    Attributes:
        partitions: Of each sampled unit.
        kinds: Of each question.
        metrics: What is near in the new space and in the old one.
        normalised: Whether vectors of the old space have length 1.
    """

    partitions: tuple[str, ...]
    kinds: tuple[str, ...]
    metrics: tuple[Metric, Metric]
    normalised: bool


class Sample(NamedTuple):
    """Vectors of units and questions in both spaces.

    Attributes:
        new, old: float32 [n, dim of each], of the same units.
        held: Units that are left out of the fit, to ask with, bool [n].
        asked_new: float32 [q, dim], questions.
        asked_old: The same in the old space; [0, dim] where its encoder is not here.
    """

    new: np.ndarray
    old: np.ndarray
    held: np.ndarray
    asked_new: np.ndarray
    asked_old: np.ndarray


@dataclass(frozen=True, slots=True)
class Recalls:
    """Of one partition; see :class:`~schemas.space_map.MappedPartition`."""

    rows: int
    mapped: dict[str, float]
    before: dict[str, float]


@dataclass(frozen=True, slots=True)
class MapAnswer:
    """How a map was fitted, and by partition what it gives. Its bytes travel beside this, uint8."""

    fitted: Fitted
    partitions: dict[str, Recalls]


def answer_map(request: MapRequest, arrays: Sequence[np.ndarray]) -> Answer:
    """What a worker answers: a `MapAnswer`, and the file of the map.

    Raises:
        ConfigError: The sample is too small.
        VectorError: A vector is not finite.
    """
    sample = Sample(*arrays)
    fit = ~sample.held
    fitted = fit_map(
        sample.new[fit],
        sample.old[fit],
        normalised=request.normalised,
        metrics=request.metrics,
    )
    measuring = _Measuring(request, sample, fitted)
    found = {name: measuring.partition(name) for name in sorted(set(request.partitions))}
    data = np.frombuffer(fitted.map.to_bytes(), dtype=np.uint8)
    return Answer(MapAnswer(fitted, found), (data,))


class _Measuring:
    def __init__(self, request: MapRequest, sample: Sample, fitted: Fitted) -> None:
        self._metrics = request.metrics
        self._sample = sample
        self._of = np.array(request.partitions)
        self._kinds = np.array(request.kinds)
        self._rows = fitted.map.apply(sample.new)
        self._questions = fitted.map.apply(sample.asked_new)

    def partition(self, name: str) -> Recalls:
        """Against the sampled units of this partition alone, as each index holds one."""
        inside = np.flatnonzero(self._of == name)
        asking = np.flatnonzero(self._sample.held[inside])
        held = inside[asking]
        new, old = self._sample.new, self._sample.old
        found = self._recall(inside, new[held], self._rows[held], asking)
        before = self._recall(inside, new[held], old[held], asking)
        recalls = Recalls(len(inside), {ROWS: found}, {ROWS: before})
        for kind in sorted(set(self._kinds.tolist())):
            chosen = np.flatnonzero(self._kinds == kind)
            none = np.full(len(chosen), -1)
            wanted = self._sample.asked_new[chosen]
            recalls.mapped[kind] = self._recall(inside, wanted, self._questions[chosen], none)
            if len(self._sample.asked_old):
                asked = self._sample.asked_old[chosen]
                recalls.before[kind] = self._recall(inside, wanted, asked, none)
        return Recalls(len(inside), _known(recalls.mapped), _known(recalls.before))

    def _recall(
        self, inside: np.ndarray, wanted: np.ndarray, asked: np.ndarray, own: np.ndarray
    ) -> float:
        new, old = self._sample.new[inside], self._sample.old[inside]
        return recall_at_10((wanted, new), (asked, old), own, self._metrics)


def _known(recalls: dict[str, float]) -> dict[str, float]:
    return {kind: round(value, 4) for kind, value in recalls.items() if not np.isnan(value)}
