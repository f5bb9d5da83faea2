"""From spilled shards to segments in the lake: digested, found again or built, their queries answered exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.index.build import BuildRequest, BuiltSegment, input_digest, with_digests
from stages.index.gate import stored_ranges
from stages.index.truth import NearestRequest

if TYPE_CHECKING:
    from flows.pools import Pool, Reply
    from flows.segment_store import SegmentStore
    from infra.spill import Spill
    from schemas.manifest import SegmentRef
    from stages.index.build import IndexKind
    from stages.index.truth import Nearest, Queries


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment that is in the lake now.

    Attributes:
        ref: For the manifest.
        nearest: Exact answers of its rows to the queries.
        originals: float32, the encoder's vectors of its `stages.index.gate.stored_ranges`.
    """

    ref: SegmentRef
    nearest: Nearest
    originals: np.ndarray


def build_segments(  # noqa: PLR0913 - the pool, the store, and what goes into a segment
    pool: Pool,
    store: SegmentStore,
    kind: IndexKind,
    spill: Spill,
    trained: np.ndarray,
    queries: Queries,
    *,
    at_once: int,
) -> list[NewSegment]:
    """One segment for each shard that has rows, in order; what was built before is taken as it is.

    Memory stays at `at_once` shards, and one that is read meanwhile.
    """
    bench = _Bench(store, {}, {}, {})
    shards = len(spill.shard_rows)
    for number in range(shards):
        rows, vectors = spill.shard(number)
        if not rows.num_rows:
            continue
        request = BuildRequest(kind, with_digests(rows, vectors), queries, (number, shards))
        built_from = input_digest(request, trained)
        key = f"{kind.place} {built_from}"
        bench.originals[key] = _originals(vectors)
        known = store.find(built_from)
        if known is None:
            request = replace(request, input_digest=built_from)
            pool.submit(key, request, [vectors, trained])
        else:
            bench.refs[key] = replace(known, shard=request.shard, deleted=None, deleted_rows=0)
            pool.submit(key, NearestRequest(queries, request.rows, kind.metric), [vectors])
        for reply in pool.ready(at_once):
            bench.take(reply)
    for reply in pool.replies():
        bench.take(reply)
    return bench.segments()


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is under way and what is done, by key of the request; `originals` is in the order of the shards."""

    store: SegmentStore
    refs: dict[str, SegmentRef]
    nearest: dict[str, Nearest]
    originals: dict[str, np.ndarray]

    def take(self, reply: Reply) -> None:
        key, value, arrays = reply
        if isinstance(value, BuiltSegment):
            self.refs[key] = self.store.keep(value.ref, arrays)
            self.nearest[key] = _answered(value.nearest)
        else:
            self.nearest[key] = value

    def segments(self) -> list[NewSegment]:
        return [
            NewSegment(self.refs[key], self.nearest[key], vectors)
            for key, vectors in self.originals.items()
        ]


def _originals(vectors: np.ndarray) -> np.ndarray:
    parts = [vectors[part.start : part.stop] for part in stored_ranges(len(vectors))]
    return np.concatenate(parts)


def _answered(nearest: Any) -> Nearest:
    """The request had queries, so the answer has their nearest."""
    found: Nearest = nearest
    return found
