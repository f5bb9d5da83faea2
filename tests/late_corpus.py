"""Made units with many vectors, and an index of late interaction over them, through the stages that build real ones."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.config import Indexing
from schemas.manifest import FileRef, IndexManifest, LateManifest, SegmentRef, Training
from schemas.space import SpaceContract, TokenVectors
from stages.index.build import IndexKind
from stages.index.late.asked import nearest_units, span_queries
from stages.index.late.build import (
    VECTORS,
    BuiltLate,
    LateBuildRequest,
    LateTrainRequest,
    build_late,
    late_input_digest,
    train_late,
    with_unit_digests,
)
from stages.index.late.plan import encoded_dims, late_plan
from stages.index.late.store import Tokens
from stages.index.late.validate import LateValidateRequest, stored_units, validate_late
from stages.index.manifests import Described, index_manifest
from stages.index.tombstones import tombstone_bytes
from stages.index.truth import Queries, Truth, merge_nearest, truth_bytes
from stages.index.validate import SegmentToCheck, Validation
from tests.indexes import paths_of, put, rows_table, write

DIM = 32
SPACE = SpaceContract(
    name="made-tokens",
    encoder="made",
    model="made",
    revision="1",
    weights_digest="",
    dim=DIM,
    dtype="float32",
    input="text",
    pooling="none",
    representation="tokens",
    nested=(2, 4),
)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def made_units(count: int, *, seed: int = 1, dim: int = DIM) -> list[TokenVectors]:
    """Words drawn from a vocabulary, each a little different in every unit; 1 to 30 of them, of three kinds."""
    rng = np.random.default_rng(seed)
    words = unit_length(rng.standard_normal((400, dim)))
    units = []
    for _ in range(count):
        topic = rng.integers(0, 400, 12)
        chosen = rng.choice(topic, rng.integers(1, 31))
        vectors = unit_length(words[chosen] + 0.08 * rng.standard_normal((len(chosen), dim)))
        kinds = np.sort(rng.integers(0, 3, len(chosen))).astype(np.int32)
        units.append(TokenVectors(vectors, kinds))
    return units


def naive_maxsim(query: np.ndarray, unit: np.ndarray) -> float:
    """By loops, float64."""
    best = [max(float(q.astype(float) @ v.astype(float)) for v in unit) for q in query]
    return sum(best) / len(best)


@dataclass(frozen=True)
class BuiltIndex:
    """An index on disk, and what it was made of; `units` are in the order of unit_id, as `rows` are."""

    kind: IndexKind
    units: list[TokenVectors]
    rows: pa.Table
    live: np.ndarray
    parts: tuple[SegmentToCheck, ...]
    answers: tuple[BuiltLate, ...]
    originals: tuple[Tokens, ...]
    truth: Truth
    codebook: np.ndarray
    codebook_ref: FileRef
    training: Training

    def validation(self, config: Indexing, table_rows: int | None = None) -> Validation:
        rows = int(self.live.sum()) if table_rows is None else table_rows
        request = LateValidateRequest(self.kind, self.parts, self.truth, rows, config)
        return validate_late(
            request, [self.codebook, *(a for tokens in self.originals for a in tokens)]
        )

    def entry(self, folder: Path, config: Indexing) -> IndexManifest:
        validation = self.validation(config)
        prototypes = put(folder, _npy(np.zeros((0, DIM), np.float32)), "npy")
        truth = put(folder, truth_bytes(self.truth), "arrow")
        described = Described("a test", "test", self.training, truth, {}, prototypes)
        entry = index_manifest(self.kind, validation, described)
        vectors = int(sum(part.ref.health[VECTORS] for part in self.answers))
        return replace(entry, late=LateManifest(self.codebook_ref, vectors, 0.0, 1.0))


def build(
    folder: Path,
    config: Indexing,
    units: Sequence[TokenVectors],
    *,
    shards: int = 1,
    deleted: Sequence[int] = (),
    columns: dict[str, Sequence[object]] | None = None,
) -> BuiltIndex:
    """Write an index; rows numbered in `deleted` (in the order of unit_id) get a tombstone."""
    rows, order = rows_table(range(len(units)), **(columns or {}))
    units = [units[i] for i in order.tolist()]
    plan = late_plan(SPACE, len(units), config)
    dims = encoded_dims(plan.parameters)
    kind = IndexKind(
        "text/paragraph", SPACE.key, plan.family, plan.parameters, dims, normalised=False
    )
    codebook, trained = train_late(LateTrainRequest(kind), Tokens.of(units, DIM)).arrays
    live = np.ones(len(units), dtype=bool)
    live[list(deleted)] = False
    picked = np.flatnonzero(live)[:40]
    ids = rows["unit_id"].take(pa.array(picked)).to_pylist()
    queries: Queries = span_queries([units[i].vectors for i in picked.tolist()], ids)
    parts, answers, originals, nearest = [], [], [], []
    for number in range(shards):
        mine = np.arange(number, len(units), shards)
        tokens = Tokens.of([units[i] for i in mine.tolist()], DIM)
        some = with_unit_digests(rows.take(pa.array(mine)), tokens)
        digest = late_input_digest(kind, some, codebook, trained)
        request = LateBuildRequest(kind, some, queries, (number, shards), digest)
        answer = build_late(request, [*tokens, codebook, trained])
        ref: SegmentRef = answer.value.ref
        for file, data in zip(ref.files, answer.arrays, strict=True):
            write(folder, file.key, data.tobytes())
        gone = ~live[mine]
        if gone.any():
            data = tombstone_bytes(gone).tobytes()
            ref = replace(ref, deleted=put(folder, data, "roaring"), deleted_rows=int(gone.sum()))
        parts.append(SegmentToCheck(ref, paths_of(folder, ref), is_new=True))
        answers.append(answer.value)
        originals.append(tokens.take(stored_units(len(mine))))
        alive = np.flatnonzero(~gone)
        kept = some.take(pa.array(alive))
        nearest.append(nearest_units(queries, kept, tokens.take(alive).reduced(kind.parameters)))
    return BuiltIndex(
        kind,
        units,
        rows,
        live,
        tuple(parts),
        tuple(answers),
        tuple(originals),
        Truth(queries, merge_nearest(queries, nearest)),
        codebook,
        put(folder, codebook.tobytes(), "npz"),
        Training(put(folder, trained.tobytes(), "faiss"), len(units), len(units), 1.0),
    )


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
