"""One partition in a space whose units have many vectors: what changed, built, validated, described.

It is built anew whenever a row came or went; of its segments those stay whose units are the same, as long as what was
learned from a sample is kept, which is as long as there are about as many rows (`indexing.retrain_growth`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from flows.changes import Foreseen, compare
from flows.segment_store import file_ref
from infra.scratch_folder import scratch_folder
from infra.spill import ROWS as ROW_COLUMNS
from infra.spill import Spill, Wanted, live_keys
from infra.token_spill import TokenSpill
from schemas.manifest import LateManifest, Training
from stages.index.build import IndexKind
from stages.index.gate import require
from stages.index.late.asked import SPAN, shared_share, span_queries, widened, word_queries
from stages.index.late.build import (
    VECTORS,
    LateBuildRequest,
    LateTrainRequest,
    late_input_digest,
    with_unit_digests,
)
from stages.index.late.plan import encoded_dims, late_plan, late_queries, late_shards
from stages.index.late.search import unpacked
from stages.index.late.store import Tokens
from stages.index.late.validate import LateValidateRequest, stored_units
from stages.index.manifests import Described, index_manifest
from stages.index.routing import RoutingRequest
from stages.index.segments import ROWS_FILE
from stages.index.truth import GENERAL, Truth, join_queries, merge_nearest, truth_bytes
from stages.index.validate import SegmentToCheck
from stages.route.calibrate import calibrate
from stages.route.prototypes import TRAIN_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.index_builder import Workshop
    from flows.questions import Questions
    from infra.lake.live_keys import LiveKeys
    from infra.lake.read import LakeView
    from schemas.config import Indexing
    from schemas.manifest import FileRef, IndexManifest
    from schemas.partition import Partition
    from schemas.space import SpaceContract
    from stages.index.late.build import BuiltLate
    from stages.index.sizes import IndexPlan
    from stages.index.truth import Queries
    from stages.index.validate import Validation

_STAT_FILES: Final = (ROWS_FILE, "stats.json")  # of a segment, that hold no vectors


@dataclass(frozen=True, slots=True)
class _Learned:
    """What all segments share, and where it lies."""

    codebook: np.ndarray
    trained: np.ndarray
    codebook_ref: FileRef
    training: Training


@dataclass(frozen=True, slots=True)
class _New:
    """A segment that is in the lake now, with the units of it that are compared with the encoder's."""

    built: BuiltLate
    originals: Tokens


class LateBuilder:
    """Builds one index of late interaction; see `flows.index_builder.IndexBuilder`.

    Args:
        shop: What every index is built with.
        view: Of the lake.
        place: Which partition, in which space.
        questions: Those in words.
        base: The published index; None where there is none.
    """

    def __init__(
        self,
        shop: Workshop,
        view: LakeView,
        place: tuple[Partition, SpaceContract],
        *,
        questions: Questions,
        base: IndexManifest | None,
    ) -> None:
        self._shop, self._view, self._base = shop, view, base
        self._partition, self._space = place
        self._wanted = Wanted(self._partition, self._space.key, self._space.input_column)
        self._questions = questions

    def build(self) -> IndexManifest | None:
        """The entry of the index; the published one where nothing changed; None where there are no vectors.

        Raises:
            GateError: A number of the gate does not hold; nothing is published.
            ConfigError: What is asked of the vectors is not what the space is.
        """
        if self._base is not None and not self._shop.why_anew(self._base):
            change = compare(self._view, self._shop.store, self._wanted, self._base)
            if change.is_nothing:
                return self._base
        keys = live_keys(self._view, self._wanted)
        if not len(keys):
            return None
        self._questions.start(self._space)
        with scratch_folder() as folder:
            bench = _Bench.filled(folder, self._view, self._wanted, keys, self._shop.config)
            general = self._questions.of(self._space)
            return self._built(bench, general) if bench.rows else None

    def foresee(self) -> Foreseen:
        """What `build` will start from; reads rows and no vector."""
        if self._base is None:
            return Foreseen("new")
        why = self._shop.why_anew(self._base)
        if why:
            return Foreseen("anew", why)
        change = compare(self._view, self._shop.store, self._wanted, self._base)
        if change.is_nothing:
            return Foreseen("stays", kept_segments=len(self._base.segments))
        why = "rows changed; segments whose units did not change are taken again"
        return Foreseen("anew", why, len(change.matched.fresh), len(change.gone()))

    def _built(self, bench: _Bench, general: Queries) -> IndexManifest:
        plan = late_plan(self._space, bench.rows, self._shop.config)
        kind = self._kind(plan)
        learned = self._learned(kind, plan, bench)
        queries = self._queries(bench, general)
        new = self._segments(kind, bench, learned, queries)
        nearest = merge_nearest(queries, [part.built.nearest for part in new])
        whole = merge_nearest(queries, [part.built.nearest_whole for part in new])
        truth = Truth(queries, nearest)
        validation = self._validated(kind, new, truth, bench.rows, learned)
        require(kind.place, validation.checks)
        training = replace(learned.training, imbalance=validation.imbalance)
        described = Described(
            plan.reason,
            self._shop.built_with,
            training,
            self._shop.store.put_file(truth_bytes(truth), "arrow"),
            calibrate(truth.best_of(GENERAL)),
            self._prototypes(bench),
        )
        entry = index_manifest(kind, validation, described)
        return replace(entry, late=_late(entry, learned.codebook_ref, shared_share(nearest, whole)))

    def _kind(self, plan: IndexPlan) -> IndexKind:
        place = str(self._partition), self._space.key
        dims = encoded_dims(plan.parameters)
        return IndexKind(*place, plan.family, plan.parameters, dims, normalised=False)

    def _learned(self, kind: IndexKind, plan: IndexPlan, bench: _Bench) -> _Learned:
        """As the published index has it, if that was for about as many rows and the same parameters."""
        store, base = self._shop.store, self._base
        if base is not None and base.late is not None and base.training is not None:
            growth = self._shop.config.retrain_growth
            near = base.training.rows / growth <= bench.rows <= base.training.rows * growth
            if near and (base.family, base.parameters) == (kind.family, kind.parameters):
                codebook, trained = (
                    np.frombuffer(store.get(ref), np.uint8)
                    for ref in (base.late.codebook, base.training.file)
                )
                return _Learned(codebook, trained, base.late.codebook, base.training)
        sample = bench.tokens(bench.spill.keys.first_by_tail(plan.train_rows))
        request = LateTrainRequest(kind)
        _, learned_from, (codebook, trained) = self._shop.pool.ask(
            f"train {kind.place}", request, sample
        )
        codebook_ref = store.put_file(codebook.tobytes(), "npz")
        training_ref = file_ref(trained.tobytes(), "faiss")
        store.put(training_ref, trained.tobytes())
        training = Training(training_ref, bench.rows, learned_from, 1.0)
        return _Learned(codebook, trained, codebook_ref, training)

    def _queries(self, bench: _Bench, general: Queries) -> Queries:
        """Made from held-out units, questions about them, and those that are always asked."""
        count = late_queries(bench.vectors, self._space.dim, SPAN, self._shop.config)
        picked = bench.spill.keys.last_by_tail(count)
        units = list(bench.tokens(picked).each())
        ids = bench.spill.keys.take(picked).strings().to_pylist()
        words = unpacked(general.vectors[np.flatnonzero(general.of_kind(GENERAL))], self._space.dim)
        parts = [span_queries(units, ids), word_queries(units, words), general]
        width = max(part.vectors.shape[1] for part in parts)
        return join_queries([widened(part, width) for part in parts])

    def _prototypes(self, bench: _Bench) -> FileRef:
        """Of single vectors: what a question is about is how near its words come to some of them."""
        sample = bench.tokens(bench.spill.keys.first_by_tail(TRAIN_ROWS // SPAN)).vectors
        sample = np.ascontiguousarray(sample[:: -(-len(sample) // TRAIN_ROWS)])
        request = RoutingRequest(str(self._partition), self._space.key)
        name = f"prototypes {request.partition} in {request.space}"
        _, ref, (data,) = self._shop.pool.ask(name, request, [sample])
        self._shop.store.put(ref, data.tobytes())
        found: FileRef = ref
        return found

    def _segments(
        self, kind: IndexKind, bench: _Bench, learned: _Learned, queries: Queries
    ) -> list[_New]:
        """One for each shard that has units, in order; what was built before is taken as it is."""
        pool, store = self._shop.pool, self._shop.store
        originals: dict[str, Tokens] = {}
        built: dict[str, BuiltLate] = {}
        for shard, units in bench.shards():
            tokens = bench.tokens(units)
            rows = with_unit_digests(bench.spill.rows_of(shard[0]), tokens)
            built_from = late_input_digest(kind, rows, learned.codebook, learned.trained)
            known = store.find(built_from)
            if known is not None:
                known = replace(known, shard=shard, deleted=None, deleted_rows=0)
            request = LateBuildRequest(kind, rows, queries, shard, built_from, known)
            key = f"{kind.place} {built_from}"
            originals[key] = tokens.take(stored_units(tokens.units))
            pool.submit(key, request, [*tokens, learned.codebook, learned.trained])
            built |= {k: self._kept(v, files) for k, v, files in pool.ready(self._shop.workers)}
        built |= {k: self._kept(value, files) for k, value, files in pool.replies()}
        return [_New(built[key], units) for key, units in originals.items()]

    def _kept(self, built: BuiltLate, files: tuple[np.ndarray, ...]) -> BuiltLate:
        if files:
            self._shop.store.keep(built.ref, files)
        return built

    def _validated(
        self, kind: IndexKind, new: list[_New], truth: Truth, rows: int, learned: _Learned
    ) -> Validation:
        refs = [part.built.ref for part in new]
        parts = [SegmentToCheck(ref, self._shop.store.paths(ref), is_new=True) for ref in refs]
        request = LateValidateRequest(
            kind, tuple(parts), truth, rows, self._shop.config, self._shop.workers
        )
        arrays = [learned.codebook, *(array for part in new for array in part.originals)]
        _, validation, _ = self._shop.pool.ask(f"validate {kind.place}", request, arrays)
        found: Validation = validation
        return found


@dataclass(frozen=True)
class _Bench:
    """The units of a partition that have vectors, numbered in the order of unit_id, on scratch disk."""

    spill: Spill
    store: TokenSpill
    numbers: np.ndarray  # in `store`, of each unit

    @classmethod
    def filled(
        cls, folder: Path, view: LakeView, wanted: Wanted, keys: LiveKeys, config: Indexing
    ) -> _Bench:
        """Read units and vectors from the lake.

        Raises:
            IntegrityError: Units have neither vectors nor reject; says how many.
            LakeError: There is no space for them, or a file of the lake is missing or broken.
        """
        found = view.find_vectors(wanted.space_key, wanted.partition, keys.inputs)
        missing = keys.units.take(~found.found).strings()
        view.require_rejected(missing, wanted.space_key, wanted.partition)
        store = TokenSpill(folder, len(keys))
        store.pour(found.marked_blocks())
        numbers = np.flatnonzero(found.found)
        vectors = int(store.counts.sum())
        shards = late_shards(len(numbers), vectors, store.dim, config)
        spill = Spill(folder, keys, found.found, shards, 0)
        spill.pour_rows(view.stream_units(wanted.partition, ROW_COLUMNS.names, wanted.input_column))
        return cls(spill, store, numbers)

    @property
    def rows(self) -> int:
        """How many units."""
        return len(self.numbers)

    @property
    def vectors(self) -> int:
        """How many vectors they have."""
        return int(self.store.counts.sum())

    def tokens(self, units: np.ndarray) -> Tokens:
        """Vectors of some units, int64 [n]."""
        return Tokens(*self.store.read(self.numbers[units]))

    def shards(self) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """((number, of how many), units) of every shard that has some."""
        ends = np.cumsum(self.spill.shard_rows).tolist()
        for number, (end, rows) in enumerate(zip(ends, self.spill.shard_rows, strict=True)):
            if rows:
                yield (number, len(ends)), np.arange(end - rows, end)


def _late(entry: IndexManifest, codebook: FileRef, kept_recall: float) -> LateManifest:
    sizes = [
        file.size_bytes
        for segment in entry.segments
        for file in segment.files
        if file.key.rpartition("/")[2] not in _STAT_FILES
    ]
    rows = sum(segment.rows for segment in entry.segments)
    vectors = int(sum(segment.health[VECTORS] for segment in entry.segments))
    return LateManifest(codebook, vectors, round(sum(sizes) / max(1, rows), 1), kept_recall)
