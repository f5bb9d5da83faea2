"""Tuning and gate of one index in one worker: from files that get published to the numbers of the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import VectorError
from stages.index.gate import Candidate, check_index
from stages.index.recall import make_truth
from stages.index.segments import OpenSegment
from stages.index.tune import tune

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from schemas.config import Indexing
    from schemas.manifest import GateCheck
    from stages.index.tune import Tuned


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """Validate one index. Its vectors travel beside it, float32 [rows of segment i, dim] at i.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family.
        parameters: Its build parameters.
        files: (index.faiss, rows.arrow) of each segment, local paths of what was (or gets) published.
        table_rows: Live rows of the partition that have a vector in this space.
        config: Targets and thresholds.
    """

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    files: tuple[tuple[str, str], ...]
    table_rows: int
    config: Indexing


@dataclass(frozen=True, slots=True)
class Validation:
    """What was measured. The gate is not applied here: see :func:`stages.index.gate.require`."""

    tuned: Tuned
    checks: tuple[GateCheck, ...]


def validate(request: ValidateRequest, vectors: Sequence[np.ndarray]) -> Validation:
    """Open the files, tune the search to the target, and take every number of the gate.

    Raises:
        IntegrityError: A file does not open.
        VectorError: The vectors do not belong to these segments.
    """
    segments = [OpenSegment.open(Path(index), Path(rows)) for index, rows in request.files]
    if [len(part) for part in vectors] != [len(segment.rows) for segment in segments]:
        raise VectorError(
            f"{request.partition} in {request.space}: {[len(part) for part in vectors]} vectors for segments"
            f" of {[len(segment.rows) for segment in segments]} rows; pass them in the order of the files"
        )
    config = request.config
    truth = make_truth(segments, vectors, config.recall_queries)
    plan = (request.family, request.parameters)
    tuned = tune(segments, vectors, truth, plan, config.recall_at_10)
    candidate = Candidate(request.partition, request.space, segments, vectors, request.table_rows)
    return Validation(tuned, check_index(candidate, tuned, config))
