"""One partition in one space: what changed since the published index; built, validated, described."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from flows.assembly import build_segments
from flows.changes import Foreseen, compare
from flows.segment_store import file_ref
from infra.spill import Wanted, live_keys, spilled
from schemas.errors import GateError
from schemas.ids import digest_buffer
from schemas.manifest import Training
from stages.index.build import IndexKind
from stages.index.families.protocol import NO_QUANTISER
from stages.index.gate import require
from stages.index.increment import plan_increment
from stages.index.manifests import Described, index_manifest
from stages.index.plan import need_of, plans
from stages.index.routing import RoutingRequest
from stages.index.sizes import shards, sized
from stages.index.tombstones import tombstone_bytes
from stages.index.train import TrainRequest, training_digest
from stages.index.truth import (
    GENERAL,
    ROWS,
    TEXT,
    Truth,
    join_queries,
    merge_nearest,
    read_truth,
    row_queries,
    still_exact,
    text_queries,
    truth_bytes,
    with_rows,
    without_rows,
)
from stages.index.tune import nearest
from stages.index.validate import SegmentToCheck, ValidateRequest
from stages.route.calibrate import calibrate
from stages.route.prototypes import TRAIN_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.assembly import NewSegment
    from flows.changes import Change
    from flows.pools import Pool
    from flows.questions import Questions
    from flows.segment_store import SegmentStore
    from infra.lake.live_keys import LiveKeys
    from infra.lake.read import LakeView
    from infra.spill import Spill
    from schemas.config import Indexing
    from schemas.manifest import FileRef, GateCheck, IndexManifest, SegmentRef
    from schemas.partition import Partition
    from schemas.space import SpaceContract
    from stages.index.increment import Increment
    from stages.index.plan import IndexPlan, Need
    from stages.index.truth import Queries
    from stages.index.tune import Tuned
    from stages.index.validate import Validation

_PLAN_CHECKS: Final = ("recall_at_10", "latency_ms")  # that another plan may pass
# Queries whose rows or answers were deleted are dropped; with fewer than this share left all are chosen anew.
_QUERIES_LEFT: Final = 0.8


@dataclass(frozen=True, slots=True)
class Workshop:
    """What every index is built with.

    Attributes:
        store: Where segments go.
        pool: For all that needs computing.
        config: Targets and thresholds.
        workers: Actors of the pool.
        built_with: Digest of what an index depends on besides rows, vectors and its space.
        expunge: Leave no row behind a tombstone.
    """

    store: SegmentStore
    pool: Pool
    config: Indexing
    workers: int
    built_with: str
    expunge: bool = False

    def why_anew(self, base: IndexManifest) -> str:
        """Empty if the published index is whole and was built as it would be now."""
        if not all(self.store.is_whole(segment) for segment in base.segments):
            return "a file of the published one is missing"
        if base.built_with != self.built_with:
            return "the published one was built by another configuration or version"
        return ""


class IndexBuilder:
    """Builds one index.

    Args:
        shop: What every index is built with.
        view: Of the lake.
        place: Which partition, in which space.
        questions: Those in words.
        base: The published index; None where there is none to go on from.
        serve_budget_bytes: What it may take while it is served; 0 for no limit.
    """

    def __init__(
        self,
        shop: Workshop,
        view: LakeView,
        place: tuple[Partition, SpaceContract],
        *,
        questions: Questions,
        base: IndexManifest | None,
        serve_budget_bytes: int,
    ) -> None:
        self._shop = shop
        self._config = shop.config
        self._view = view
        self._partition, self._space = place
        self._wanted = Wanted(self._partition, self._space.key, self._space.input_column)
        self._questions = questions
        self._why_anew = shop.why_anew(base) if base is not None else ""
        self._base = None if self._why_anew else base
        self._budget_bytes = serve_budget_bytes

    def build(self) -> IndexManifest | None:
        """The entry of the index; the published one where nothing changed; None where there are no vectors.

        Raises:
            GateError: A number of the gate does not hold, whatever was tried; nothing is published.
        """
        if self._base is None:
            return self._built(live_keys(self._view, self._wanted))
        change = compare(self._view, self._shop.store, self._wanted, self._base)
        if change.is_nothing:
            return self._base
        if not self._why_not_grow(self._base, len(change.matched.live)):
            grown = self._grown(self._base, change)
            if grown is not None:
                return grown
        return self._built(change.matched.live)

    def foresee(self) -> Foreseen:
        """What `build` will start from; reads rows and no vector."""
        if self._base is None:
            return Foreseen("anew" if self._why_anew else "new", self._why_anew)
        change = compare(self._view, self._shop.store, self._wanted, self._base)
        if change.is_nothing:
            return Foreseen("stays", kept_segments=len(self._base.segments))
        new, gone = len(change.matched.fresh), len(change.gone())
        why = self._why_not_grow(self._base, len(change.matched.live))
        if why:
            return Foreseen("anew", why, new, gone)
        increment = self._increment(change)
        return Foreseen("grows", "", new, gone, len(increment.kept), len(increment.moved))

    def _why_not_grow(self, base: IndexManifest, rows: int) -> str:
        """Empty where new rows are added to what there is: it is not all small, and near what it was trained on."""
        if rows < self._config.merge_floor_rows:
            return f"{rows} rows are one small segment (indexing.merge_floor_rows)"
        trained_on = base.training.rows if base.training else None
        if trained_on is None:  # exact search: the plan depends on nothing but the number of rows
            wanted = plans(self._need(rows), self._config)[0].family
            return "" if wanted == base.family else f"{base.family} does not suit {rows} rows"
        growth = self._config.retrain_growth
        if trained_on / growth <= rows <= trained_on * growth:
            return ""
        return f"it was trained for {trained_on} rows (indexing.retrain_growth)"

    def _increment(self, change: Change) -> Increment:
        new_rows = len(change.matched.fresh)
        return plan_increment(change.standing, new_rows, self._config, expunge=self._shop.expunge)

    # --- built anew ---

    def _built(self, keys: LiveKeys) -> IndexManifest | None:
        """Every plan in turn, until one holds; None where not one of the units has a vector."""
        if not len(keys):
            return None
        misses: list[tuple[str, Tuned]] = []
        candidates = plans(self._need(len(keys)), self._config)
        self._questions.start(self._space)
        with spilled(self._view, self._wanted, keys, candidates[0].shards) as spill:
            always = self._questions.of(self._space)
            if not spill.rows:
                return None
            queries = self._queries(spill, always)
            prototypes = self._prototypes(spill)
            for plan in candidates:
                kind = self._kind(plan.family, plan.parameters)
                training, trained = self._train(kind, plan, spill)
                new = self._segments(plan, kind, spill, trained, queries)
                truth = Truth(queries, merge_nearest(queries, [part.nearest for part in new]))
                validation = self._validate(kind, [], new, truth, spill.rows)
                if training is not None:
                    training = replace(training, imbalance=validation.imbalance)
                if _holds(kind, validation):
                    return self._entry(kind, validation, truth, (plan.reason, training, prototypes))
                misses.append((plan.family, validation.tuned))
        raise GateError(
            f"{self._place} was not published: no way to index it meets recall_at_10"
            f" = {self._config.recall_at_10:g}{self._latency_wanted}. Nearest:"
            f" {nearest(misses, self._config.recall_at_10, self._config.latency_ms)}."
            " The snapshot in use stays. Lower the target, or allow more memory"
        )

    def _need(self, rows: int) -> Need:
        need = need_of(self._space, rows, self._config, self._shop.workers)
        return replace(need, serve_budget_bytes=self._budget_bytes)

    def _queries(self, spill: Spill, always: Queries) -> Queries:
        """Held-out rows turned a little, questions about them, and the questions that are always asked."""
        keys = spill.keys
        picked = keys.last_by_tail(self._config.recall_queries)
        unit_ids = keys.take(picked).strings().to_pylist()
        rows = spill.vectors_at(picked)
        general = always.pick(np.flatnonzero(always.of_kind(GENERAL)))
        normalised = self._space.normalised
        if self._space.input == "text":
            text = text_queries(rows, general.vectors, normalised=normalised)
        else:
            text = replace(general, kinds=(TEXT,) * len(general))
        return join_queries([row_queries(rows, unit_ids, normalised=normalised), text, always])

    def _prototypes(self, spill: Spill) -> FileRef:
        sample = _sample(spill, TRAIN_ROWS)
        request = RoutingRequest(str(self._partition), self._space.key)
        _, ref, (data,) = self._shop.pool.ask(f"prototypes {self._place}", request, [sample])
        self._shop.store.put(ref, data.tobytes())
        found: FileRef = ref
        return found

    def _train(
        self, kind: IndexKind, plan: IndexPlan, spill: Spill
    ) -> tuple[Training | None, np.ndarray]:
        if not plan.train_rows:
            return None, NO_QUANTISER
        store = self._shop.store
        sample = _sample(spill, plan.train_rows)
        trained_from = training_digest(kind, digest_buffer(sample.data))
        known = store.find_training(trained_from)
        if known is not None:
            data = store.get(known.file)
            return replace(known, rows=spill.rows), np.frombuffer(data, dtype=np.uint8)
        _, _, (trained,) = self._shop.pool.ask(f"train {kind.place}", TrainRequest(kind), [sample])
        data = trained.tobytes()
        training = Training(file_ref(data, "faiss"), spill.rows, len(sample), 1.0)
        store.keep_training(trained_from, training, data)
        return training, trained

    # --- grown ---

    def _grown(self, base: IndexManifest, change: Change) -> IndexManifest | None:
        """The published index with what is new in segments of their own; None where it must be built anew."""
        truth = self._truth_left(base, change)
        if truth is None:
            return None
        kind = self._kind(base.family, base.parameters)
        increment = self._increment(change)
        kept = [self._with_tombstones(base.segments[i], change.live[i]) for i in increment.kept]
        keys = change.to_build(increment.moved)
        need = self._need(len(keys))
        cut = shards(need, base.family, base.parameters, self._config.segment_rows)
        plan = sized(need, base.family, base.parameters, cut)
        with spilled(self._view, self._wanted, keys, plan.shards) as spill:
            rows = spill.rows + sum(segment.live_rows for segment in kept)
            if not spill.rows and sorted(kept, key=_digest) == sorted(base.segments, key=_digest):
                return base  # what is new has no vector: it stands in the rejects
            new = self._segments(plan, kind, spill, self._trained(base), truth.queries)
        truth = with_rows(truth, change.kept_rows, [part.nearest for part in new])
        validation = self._validate(kind, kept, new, truth, rows)
        if not self._still_fits(base, validation) or not _holds(kind, validation):
            return None
        parts_as_before = (base.reason, base.training, base.prototypes)
        return self._entry(kind, validation, truth, parts_as_before)

    def _truth_left(self, base: IndexManifest, change: Change) -> Truth | None:
        """Queries of the published index that can still be answered exactly; None if too few."""
        before = read_truth(self._shop.store.path_of(base.truth))
        left = without_rows(before, change.gone())
        exact = left.pick(np.flatnonzero(still_exact(left, change.kept_rows)))
        wanted = min(self._config.recall_queries, base.rows)
        enough = exact.queries.kinds.count(ROWS) >= _QUERIES_LEFT * wanted
        return exact if enough and GENERAL in exact.queries.kinds else None

    def _with_tombstones(self, segment: SegmentRef, live: np.ndarray) -> SegmentRef:
        gone = ~live
        if not gone.any():
            return replace(segment, deleted=None, deleted_rows=0)
        ref = self._shop.store.put_file(tombstone_bytes(gone).tobytes(), "roaring")
        return replace(segment, deleted=ref, deleted_rows=int(gone.sum()))

    def _trained(self, base: IndexManifest) -> np.ndarray:
        if base.training is None:
            return NO_QUANTISER
        return np.frombuffer(self._shop.store.get(base.training.file), dtype=np.uint8)

    def _still_fits(self, base: IndexManifest, validation: Validation) -> bool:
        if base.training is None:
            return True
        return validation.imbalance <= self._config.retrain_imbalance * base.training.imbalance

    # --- both ---

    @property
    def _place(self) -> str:
        return f"{self._partition} in {self._space.key}"

    @property
    def _latency_wanted(self) -> str:
        limit = self._config.latency_ms
        return f" within latency_ms = {limit:g}" if limit else ""

    def _kind(self, family: str, parameters: dict[str, int]) -> IndexKind:
        space = self._space
        return IndexKind(
            str(self._partition),
            space.key,
            family,
            dict(parameters),
            space.dim,
            space.metric,
            space.normalised,
        )

    def _segments(
        self,
        plan: IndexPlan,
        kind: IndexKind,
        spill: Spill,
        trained: np.ndarray,
        queries: Queries,
    ) -> list[NewSegment]:
        shop = self._shop
        return build_segments(
            shop.pool, shop.store, kind, spill, trained, queries, at_once=plan.workers
        )

    def _validate(
        self,
        kind: IndexKind,
        kept: Sequence[SegmentRef],
        new: Sequence[NewSegment],
        truth: Truth,
        rows: int,
    ) -> Validation:
        paths = self._shop.store.paths
        parts = [SegmentToCheck(ref, paths(ref), is_new=False) for ref in kept]
        parts += [SegmentToCheck(part.ref, paths(part.ref), is_new=True) for part in new]
        request = ValidateRequest(kind, tuple(parts), truth, rows, self._config, self._shop.workers)
        arrays = [part.originals for part in new]
        _, validation, _ = self._shop.pool.ask(f"validate {kind.place}", request, arrays)
        found: Validation = validation
        return found

    def _entry(
        self,
        kind: IndexKind,
        validation: Validation,
        truth: Truth,
        described: tuple[str, Training | None, FileRef],
    ) -> IndexManifest:
        reason, training, prototypes = described
        ref = self._shop.store.put_file(truth_bytes(truth), "arrow")
        calibration = calibrate(truth.best_of(GENERAL))
        return index_manifest(
            kind,
            validation,
            Described(reason, self._shop.built_with, training, ref, calibration, prototypes),
        )


def _sample(spill: Spill, count: int) -> np.ndarray:
    return spill.vectors_at(spill.keys.first_by_tail(count))


def _digest(segment: SegmentRef) -> str:
    return segment.digest


def _holds(kind: IndexKind, validation: Validation) -> bool:
    """Whether recall and latency hold.

    Raises:
        GateError: Something else does not, which no other plan would mend.
    """
    hopeless: list[GateCheck] = [
        check for check in validation.checks if not check.name.startswith(_PLAN_CHECKS)
    ]
    require(kind.place, hopeless)
    return all(check.passed for check in validation.checks)
