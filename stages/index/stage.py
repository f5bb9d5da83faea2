"""Indexing as an executor sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.index.build import BuildRequest, build_segment
from stages.index.routing import RoutingRequest, routing_parts
from stages.index.train import TrainRequest, train
from stages.index.validate import validate

if TYPE_CHECKING:
    from collections.abc import Sequence


class IndexStage:
    """Everything an index needs computed, in one pool: training, building segments, validating, what routers need."""

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer by the type of the request: size of the sample, `SegmentStats`, `RoutingParts`, or `Validation`."""
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Answer | Failure:
        try:
            if isinstance(task.value, TrainRequest):
                trained = train(task.value, task.arrays[0])
                return Answer(len(task.arrays[0]), (trained,))
            if isinstance(task.value, BuildRequest):
                return build_segment(task.value, *task.arrays)
            if isinstance(task.value, RoutingRequest):
                return routing_parts(*task.arrays)
            return Answer(validate(task.value, task.arrays))
        except GristmillError as error:
            return Failure.of(error)

    def teardown(self) -> None:
        """Nothing to give back."""
