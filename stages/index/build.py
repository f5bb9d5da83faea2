"""Building one immutable segment: rows and vectors in, the bytes of its files out. No file is touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.engine import Answer
from schemas.errors import IntegrityError, VectorError
from schemas.ids import canonical_json, digest, digest_buffer
from schemas.manifest import FileRef, SegmentRef
from schemas.tables import SEGMENT_ROWS
from stages.index.digests import vector_digests
from stages.index.dims import indexed, keeps_full
from stages.index.families.registry import family
from stages.index.full import full_bytes
from stages.index.health import health
from stages.index.segments import TOKEN_FILES
from stages.index.truth import nearest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.space import Metric
    from stages.index.truth import Nearest, Queries

SEGMENT_FORMAT: Final = "segment-2"  # a change of what is written below makes every segment new
INDEX_FILE: Final = "index.faiss"
ROWS_FILE: Final = "rows.arrow"
STATS_FILE: Final = "stats.json"
FULL_FILE: Final = "full.npy"
# Whose bytes name a segment, in this order.
NAMED_FILES: Final = (INDEX_FILE, ROWS_FILE, FULL_FILE, *TOKEN_FILES)
DIGEST_COLUMN: Final = "vector_digest"
RESCORE_BITS: Final = 16
_BATCH_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class IndexKind:
    """What all segments of one index have in common.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family.
        parameters: Its build parameters.
        dim: Length of a vector.
        metric: What is near.
        normalised: Whether vectors have length 1.
    """

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    dim: int
    metric: Metric = "inner_product"
    normalised: bool = True

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.partition} in {self.space}"

    @property
    def dims(self) -> int:
        """Leading dims of a vector that are in the index."""
        return self.parameters.get("dims", self.dim)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Build one segment. Vectors float32 [n, dim] and the trained index (uint8, may be empty) travel beside it.

    Attributes:
        kind: What it has in common with the others of its index.
        rows: In the SEGMENT_ROWS schema, from `with_digests`, unit_id strictly ascending; row i belongs to vector i.
        queries: To be answered exactly out of these vectors while they are at hand.
        shard: (i, n): the i-th of n ranges of unit ids.
        input_digest: What `input_digest` gave for this; empty to have it computed in the worker.
    """

    kind: IndexKind
    rows: pa.Table
    queries: Queries | None = None
    shard: tuple[int, int] = (0, 1)
    input_digest: str = ""


@dataclass(frozen=True, slots=True)
class BuiltSegment:
    """A segment as built.

    Attributes:
        ref: What goes into the manifest; its files are in the order of the answer's arrays.
        nearest: The exact answers to the request's queries, if there were any.
    """

    ref: SegmentRef
    nearest: Nearest | None = None


def build_segment(request: BuildRequest, vectors: np.ndarray, trained: np.ndarray) -> Answer:
    """Build the files of one segment; equal input gives equal bytes.

    Args:
        request: What to build.
        vectors: float32 [n, dim].
        trained: uint8, what the family's `train` gave; empty for a family that does not train.

    Returns:
        Answer(BuiltSegment, (index.faiss, rows.arrow, stats.json[, full.npy])), the arrays uint8.

    Raises:
        VectorError: The vectors are not finite float32 [number of rows, dim].
        IntegrityError: Rows are not sorted, repeated, or not of the schema.
    """
    kind = request.kind
    rows = canonical_rows(request.rows, kind.place)
    checked = checked_vectors(vectors, kind.dim, kind.place)
    data = searched_files(kind, rows, checked, trained)
    if keeps_full(kind.family, kind.dim, kind.parameters):
        data[FULL_FILE] = full_bytes(checked, kind.parameters.get("rescore_bits", RESCORE_BITS))
    built_from = request.input_digest or input_digest(request, trained)
    ref = sealed(replace(request, input_digest=built_from), data)
    ref = replace(ref, health=health(checked, normalised=kind.normalised))
    nearest = None
    if request.queries is not None:
        nearest = nearest_of(request.queries, rows, checked, kind.metric)
    return Answer(BuiltSegment(ref, nearest), tuple(data.values()))


def searched_files(
    kind: IndexKind, rows: pa.Table, vectors: np.ndarray, trained: np.ndarray
) -> dict[str, np.ndarray]:
    """The bytes of index.faiss and rows.arrow, uint8, by name.

    Args:
        kind: What all segments of the index have in common.
        rows: From `canonical_rows`.
        vectors: From `checked_vectors`, one for each row.
        trained: uint8, empty for a family that does not train.

    Raises:
        VectorError: There are not as many vectors as rows, or nothing was trained.
    """
    if len(rows) != len(vectors):
        raise VectorError(f"{kind.place}: {len(rows)} rows but {len(vectors)} vectors")
    return {INDEX_FILE: _index_bytes(kind, vectors, trained), ROWS_FILE: _ipc_bytes(rows)}


def sealed(request: BuildRequest, data: dict[str, np.ndarray]) -> SegmentRef:
    """Name a segment after the bytes of its files, uint8 by name, and add its stats.json to them."""
    sums = {name: hashlib.sha256(array.data).hexdigest() for name, array in data.items()}
    segment, rows = segment_digest(sums), len(request.rows)
    data[STATS_FILE] = _stats_bytes(request.kind, rows, segment, request.input_digest)
    sums[STATS_FILE] = hashlib.sha256(data[STATS_FILE].data).hexdigest()
    files = tuple(
        FileRef(f"segments/{segment}/{name}", array.nbytes, sums[name])
        for name, array in data.items()
    )
    return SegmentRef(segment, request.input_digest, rows, files, request.shard)


def with_digests(rows: pa.Table, vectors: np.ndarray) -> pa.Table:
    """Rows in the SEGMENT_ROWS schema: those of the units table with the digest of each one's vector."""
    digests = pa.array(vector_digests(vectors), pa.uint64())
    return rows.append_column(DIGEST_COLUMN, digests).select(SEGMENT_ROWS.names)


def input_digest(request: BuildRequest, trained: np.ndarray) -> str:
    """Digest (32 hex characters) of all that a segment is built from, without building it.

    A segment that is there already with this `input_digest` is the segment that building would give.
    """
    kind = request.kind
    head = {"format": SEGMENT_FORMAT, **described(kind)}
    rows = _ipc_bytes(canonical_rows(request.rows, kind.place))
    return digest(canonical_json(head), digest_buffer(rows.data), trained_digest(trained))


def segment_digest(sums: dict[str, str]) -> str:
    """Name of a segment (32 hex characters) from the SHA-256 of all of its files but stats.json, by name."""
    named = [sums[name] for name in NAMED_FILES if name in sums]
    return digest("segment", *named)


def segment_files(
    ref: SegmentRef, arrays: Sequence[np.ndarray]
) -> tuple[tuple[FileRef, np.ndarray], ...]:
    """What to upload: key, size and checksum beside the bytes of each file."""
    return tuple(zip(ref.files, arrays, strict=True))


def trained_digest(trained: np.ndarray) -> str:
    """32 hex characters over a trained index, empty for none."""
    return digest_buffer(np.ascontiguousarray(trained).data) if trained.size else ""


def canonical_rows(rows: pa.Table, place: str) -> pa.Table:
    """`rows` in the SEGMENT_ROWS schema in one chunk, whatever chunks, offsets and metadata they came with.

    Raises:
        IntegrityError: A column is missing or of another type, or unit_id is not strictly ascending.
    """
    try:
        table = rows.select(SEGMENT_ROWS.names).cast(SEGMENT_ROWS)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise IntegrityError(
            f"{place}: rows do not fit the schema of rows.arrow: {error}"
        ) from error
    # `take` copies into fresh buffers: slices and concatenated chunks would be written with other padding.
    fresh = table.combine_chunks().take(pa.array(np.arange(len(table)), pa.int64()))
    fresh = fresh.combine_chunks().replace_schema_metadata(None)
    wrong = first_out_of_order(fresh["unit_id"])
    if wrong is not None:
        raise IntegrityError(
            f"{place}: unit_id {fresh['unit_id'][wrong]} at row {wrong} is repeated or out of order;"
            " sort rows by unit_id"
        )
    return fresh


def first_out_of_order(unit_ids: pa.ChunkedArray) -> int | None:
    """The first row whose id is not above the one before it."""
    if len(unit_ids) < 2:
        return None
    wrong = pc.greater_equal(unit_ids.slice(0, len(unit_ids) - 1), unit_ids.slice(1))
    at = pc.index(wrong, True).as_py()
    return None if at < 0 else at + 1


def checked_vectors(vectors: np.ndarray, dim: int, place: str) -> np.ndarray:
    """`vectors` as contiguous float32 [n, dim].

    Raises:
        VectorError: Other dtype or dim, or something that is not finite; names `place` and the first bad row.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dim or vectors.dtype != np.float32:
        raise VectorError(
            f"{place}: vectors are {vectors.dtype} {list(vectors.shape)}, expected float32 [n, {dim}]"
        )
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise VectorError(f"{place}: vector {int(np.argmin(finite))} has NaN or infinity in it")
    return np.ascontiguousarray(vectors)


def _index_bytes(kind: IndexKind, vectors: np.ndarray, trained: np.ndarray) -> np.ndarray:
    chosen = family(kind.family)
    if chosen.trains and not trained.size:
        raise VectorError(f"{kind.place}: {kind.family} needs a trained index beside the vectors")
    cut = indexed(vectors, kind.dims)
    return chosen.build(cut, trained, kind.metric, kind.parameters)


def _ipc_bytes(rows: pa.Table) -> np.ndarray:
    sink = pa.BufferOutputStream()
    # Uncompressed, so that a reader maps the columns instead of unpacking them.
    with pa.ipc.new_file(
        sink, SEGMENT_ROWS, options=pa.ipc.IpcWriteOptions(compression=None)
    ) as out:
        out.write_table(rows, max_chunksize=_BATCH_ROWS)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def described(kind: IndexKind) -> dict[str, Any]:
    """What an index is called and made like, as plain values."""
    return {
        "partition": kind.partition,
        "space": kind.space,
        "family": kind.family,
        "parameters": kind.parameters,
        "dim": kind.dim,
        "metric": kind.metric,
    }


def _stats_bytes(kind: IndexKind, rows: int, segment: str, built_from: str) -> np.ndarray:
    stats: dict[str, Any] = {
        "format": SEGMENT_FORMAT,
        "digest": segment,
        "input_digest": built_from,
        "rows": rows,
        **described(kind),
    }
    return np.frombuffer(canonical_json(stats).encode(), dtype=np.uint8)
