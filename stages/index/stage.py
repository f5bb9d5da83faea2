"""Indexing as an executor sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.engine import Answer, Failure, Task
from schemas.errors import GristmillError
from stages.index.build import BuildRequest, build_segment
from stages.index.exact import ExactRequest, answer_exact
from stages.index.inverted_gate import InvertedCheck, answer_check
from stages.index.late.build import LateBuildRequest, LateTrainRequest, build_late, train_late
from stages.index.late.validate import LateValidateRequest, validate_late
from stages.index.lexical import LexicalRequest, build_lexical
from stages.index.routing import RoutingRequest, routing_parts
from stages.index.sparse import SparseRequest, build_sparse
from stages.index.train import TrainRequest, train
from stages.index.truth import NearestRequest, nearest_of
from stages.index.validate import validate
from stages.upgrade.request import MapRequest, answer_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np


class IndexStage:
    """All that a snapshot needs computed, in one pool: training, segments, exact answers, checks, words, maps."""

    def setup(self) -> None:
        """Nothing to load."""

    def process(self, tasks: Sequence[Task]) -> list[Answer | Failure]:
        """Answer by the type of the request; see each for what it gives."""
        return [self._one(task) for task in tasks]

    def _one(self, task: Task) -> Answer | Failure:
        request, arrays = task.value, task.arrays
        try:
            if isinstance(request, TrainRequest):
                return Answer(len(arrays[0]), (train(request, arrays[0]),))
            if isinstance(request, BuildRequest):
                return build_segment(request, *arrays)
            if isinstance(request, NearestRequest):
                return Answer(nearest_of(request.queries, request.rows, arrays[0], request.metric))
            if isinstance(request, ExactRequest):
                return answer_exact(request, arrays)
            if isinstance(request, RoutingRequest):
                return routing_parts(arrays[0])
            if isinstance(request, MapRequest):
                return answer_map(request, arrays)
            found = _terms(request, arrays) or _late(request, arrays)
            return found or Answer(validate(request, arrays))
        except GristmillError as error:
            return Failure.of(error)

    def teardown(self) -> None:
        """Nothing to give back."""


def _terms(request: object, arrays: Sequence[np.ndarray]) -> Answer | None:
    """Requests of inverted indices; None for others."""
    if isinstance(request, LexicalRequest):
        return build_lexical(request)
    if isinstance(request, SparseRequest):
        return build_sparse(request, *arrays)
    if isinstance(request, InvertedCheck):
        return answer_check(request)
    return None


def _late(request: object, arrays: Sequence[np.ndarray]) -> Answer | None:
    """Requests of late interaction; None for others."""
    if isinstance(request, LateTrainRequest):
        return train_late(request, arrays)
    if isinstance(request, LateBuildRequest):
        return build_late(request, arrays)
    if isinstance(request, LateValidateRequest):
        return Answer(validate_late(request, arrays))
    return None
