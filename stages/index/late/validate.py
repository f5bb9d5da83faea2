"""Tuning and gate of an index of late interaction: from files that get published to the numbers of the manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.index.families.registry import family
from stages.index.gate import STORED_COSINE, Candidate, check_index, imbalance
from stages.index.late.asked import LateMeter, depths, stages_of
from stages.index.late.codecs import Codebook
from stages.index.late.search import LateIndex, unpacked
from stages.index.late.store import Tokens
from stages.index.segments import RESCORE, OpenSegment
from stages.index.truth import K
from stages.index.tune import PAGE_BYTES, SegmentsMeasure, tune
from stages.index.validate import SegmentToCheck, Validation, broken_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.config import Indexing
    from stages.index.build import IndexKind
    from stages.index.late.store import TokenStore
    from stages.index.segments import Neighbours
    from stages.index.truth import Truth
    from stages.index.tune import Tuned

STORED_UNITS: Final = (
    64  # first and last of a segment, whose stored vectors are compared with the encoder's
)


@dataclass(frozen=True, slots=True)
class LateValidateRequest:
    """Validate one index.

    Beside it travel the codebook, uint8, and for each new segment the `Tokens` of its `stored_units` as encoded.

    Attributes:
        kind: What its segments have in common.
        segments: In order.
        truth: Queries with their exact answers.
        table_rows: Live rows of the partition that have vectors in this space.
        config: Targets and thresholds.
        threads: To measure recall on.
    """

    kind: IndexKind
    segments: tuple[SegmentToCheck, ...]
    truth: Truth
    table_rows: int
    config: Indexing
    threads: int = 1


def stored_units(rows: int) -> np.ndarray:
    """The first and the last units of a segment, int64, each once."""
    return np.unique(np.r_[0 : min(rows, STORED_UNITS), max(0, rows - STORED_UNITS) : rows])


def validate_late(request: LateValidateRequest, arrays: Sequence[np.ndarray]) -> Validation:
    """Open the files, tune the number of candidates to the target, and take every number of the gate.

    Raises:
        IntegrityError: A file does not open.
    """
    kind = request.kind
    codebook = Codebook.from_bytes(arrays[0].tobytes())
    paths = [part.paths for part in request.segments]
    opened = [OpenSegment.open(path, kind.family, kind.parameters) for path in paths]
    index = LateIndex.of(opened, paths, kind.parameters, codebook)
    refs = [part.ref for part in request.segments]
    new = [i for i, part in enumerate(request.segments) if part.is_new]
    for number, i in enumerate(new):
        originals = Tokens(*arrays[1 + 3 * number : 4 + 3 * number]).reduced(kind.parameters)
        found = {STORED_COSINE: _stored_cosine(index.stores[i], originals)}
        refs[i] = replace(refs[i], health=refs[i].health | found)
    broken = sum(broken_bytes(request.segments[i]) for i in new)
    tuned = tune_late(kind, index, request.truth, request.config, request.threads)
    candidate = Candidate(kind, index.segments, refs, request.table_rows, broken)
    checks = check_index(candidate, tuned.point, tuned.recalls, request.config)
    return Validation(tuned, checks, tuple(refs), imbalance(index.segments))


def tune_late(
    kind: IndexKind, index: LateIndex, truth: Truth, config: Indexing, threads: int
) -> Tuned:
    """The search parameters of an opened index, see :func:`stages.index.tune.tune`."""
    live = sum(segment.live_rows for segment in index.segments)
    return next(
        tuned
        for choices in stages_of(depths(live))
        for tuned in [_tuned(kind, index, truth, config, (choices, threads))]
        if choices == depths(live) or min(tuned.recalls.values(), default=1) >= config.recall_at_10
    )


def _tuned(
    kind: IndexKind,
    index: LateIndex,
    truth: Truth,
    config: Indexing,
    how: tuple[tuple[int, ...], int],
) -> Tuned:
    """With these values of ``rescore`` to choose from, and so many threads."""
    choices, threads = how
    rows = sum(len(segment.rows) for segment in index.segments)
    meter = LateMeter(truth, index, choices[-1])
    return tune(
        SegmentsMeasure(meter.recalls, partial(_search_one, index), meter.queries, threads),
        family(kind.family).knobs(rows, kind.parameters),
        late_cost(kind, index.stores, rows),
        config.recall_at_10,
        config.latency_ms,
        choices,
    )


def late_cost(
    kind: IndexKind, stores: Sequence[TokenStore], rows: int
) -> Callable[[Mapping[str, int]], float]:
    """Bytes that one query looks at: encodings, and the pages of tokens.npy that the candidates' vectors lie on."""
    chosen = family(kind.family)
    unit_bytes = sum(store.codes.nbytes for store in stores) / max(1, rows)

    def cost_of(search: Mapping[str, int]) -> float:
        candidates = min(rows, K * search.get(RESCORE, 1))
        scanned = chosen.scanned_bytes(rows, kind.dim, kind.parameters, search)
        return scanned + candidates * (unit_bytes + PAGE_BYTES - 1)

    return cost_of


def _search_one(index: LateIndex, query: np.ndarray, search: Mapping[str, int]) -> Neighbours:
    return index.search(unpacked(query, len(index.fde.centre)), K, search)


def _stored_cosine(store: TokenStore, originals: Tokens) -> float:
    """Whether row i really has the vectors of unit i in the bytes: 1 if each is as coding it again gives it.

    Else the lowest cosine to that, or -1 where a unit has not as many vectors. What coding itself loses is seen by the
    recall.
    """
    lowest = 1.0
    units = len(store.offsets) - 1
    for number, row in enumerate(stored_units(units).tolist()):
        wanted = store.codebook.decode(store.codebook.encode(originals.unit(number).vectors))
        stored = store.unit(row).vectors
        if len(stored) != len(wanted):
            return -1.0
        lowest = min(lowest, float(np.vecdot(stored, wanted).min()))
    return lowest
