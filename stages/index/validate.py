"""Tuning and gate of one index in one worker: from files that get published to the numbers of the manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import VectorError
from stages.index.dims import keeps_full
from stages.index.families.registry import family
from stages.index.gate import (
    STORED_COSINE,
    Candidate,
    broken_files,
    check_index,
    imbalance,
    stored_cosine,
)
from stages.index.recall import RecallMeter
from stages.index.segments import OpenSegment, search_segments
from stages.index.truth import K
from stages.index.tune import RESCORE_CHOICES, SegmentsMeasure, cost_function, tune

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from schemas.config import Indexing
    from schemas.manifest import GateCheck, SegmentRef
    from stages.index.build import IndexKind
    from stages.index.segments import Neighbours, SegmentPaths
    from stages.index.truth import Truth
    from stages.index.tune import Tuned


@dataclass(frozen=True, slots=True)
class SegmentToCheck:
    """One segment of a candidate.

    Attributes:
        ref: What the manifest will say.
        paths: Its files, as published.
        is_new: Whether it was written for this index: then its bytes are compared with their checksums, and its vectors
            with the encoder's, which travel beside the request (see `stages.index.gate.stored_ranges`).
    """

    ref: SegmentRef
    paths: SegmentPaths
    is_new: bool


@dataclass(frozen=True, slots=True)
class ValidateRequest:
    """Validate one index. For each new segment an array float32 [n, dim] of its encoder's vectors travels beside it.

    Attributes:
        kind: What its segments have in common.
        segments: In order.
        truth: Queries with their exact answers.
        table_rows: Live rows of the partition that have a vector in this space.
        config: Targets and thresholds.
        threads: To measure recall on.
    """

    kind: IndexKind
    segments: tuple[SegmentToCheck, ...]
    truth: Truth
    table_rows: int
    config: Indexing
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Validation:
    """What was measured. The gate is not applied here: see :func:`stages.index.gate.require`.

    Attributes:
        tuned: The search parameters and their curve.
        checks: Every number of the gate.
        refs: The segments, new ones with their stored cosine among the numbers of their health.
        imbalance: Of the inverted lists; 1 without any.
    """

    tuned: Tuned
    checks: tuple[GateCheck, ...]
    refs: tuple[SegmentRef, ...]
    imbalance: float


def validate(request: ValidateRequest, originals: Sequence[np.ndarray]) -> Validation:
    """Open the files, tune the search to the target, and take every number of the gate.

    Raises:
        IntegrityError: A file does not open.
        VectorError: There are not as many arrays as new segments.
    """
    kind = request.kind
    opened = [
        OpenSegment.open(part.paths, kind.family, kind.parameters) for part in request.segments
    ]
    new = [i for i, part in enumerate(request.segments) if part.is_new]
    if len(new) != len(originals):
        raise VectorError(
            f"{kind.place}: {len(originals)} arrays for {len(new)} new segments; pass one for each"
        )
    refs = [part.ref for part in request.segments]
    for i, vectors in zip(new, originals, strict=True):
        found = {STORED_COSINE: stored_cosine(opened[i], vectors)}
        refs[i] = replace(refs[i], health=refs[i].health | found)
    broken = sum(broken_bytes(request.segments[i]) for i in new)
    tuned = tune_segments(kind, opened, request.truth, request.config, request.threads)
    candidate = Candidate(kind, opened, refs, request.table_rows, broken)
    checks = check_index(candidate, tuned.point, tuned.recalls, request.config)
    return Validation(tuned, checks, tuple(refs), imbalance(opened))


def tune_segments(
    kind: IndexKind,
    segments: Sequence[OpenSegment],
    truth: Truth,
    config: Indexing,
    threads: int,
) -> Tuned:
    """The search parameters of opened segments, see :func:`stages.index.tune.tune`."""
    chosen = family(kind.family)
    rows = sum(len(segment.rows) for segment in segments)
    meter = RecallMeter(truth, segments, kind.metric)
    full = keeps_full(kind.family, kind.dim, kind.parameters)
    return tune(
        SegmentsMeasure(
            meter.recalls, partial(_search_one, segments, kind), meter.queries, threads
        ),
        chosen.knobs(rows, kind.parameters),
        cost_function(chosen, rows, kind.dim, kind.parameters),
        config.recall_at_10,
        config.latency_ms,
        RESCORE_CHOICES if full else (),
    )


def _search_one(
    segments: Sequence[OpenSegment], kind: IndexKind, query: np.ndarray, search: Mapping[str, int]
) -> Neighbours:
    return search_segments(segments, query, K, search, metric=kind.metric)


def broken_bytes(part: SegmentToCheck) -> int:
    """Files of a segment whose bytes are not what the manifest will say."""
    folder = Path(part.paths.index).parent
    return broken_files(part.ref, {f.key: folder / Path(f.key).name for f in part.ref.files})
