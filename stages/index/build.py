"""Building one immutable segment: rows and vectors in, the bytes of its three files out. No file is touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from schemas.engine import Answer
from schemas.errors import IntegrityError, VectorError
from schemas.ids import canonical_json, digest, digest_buffer
from schemas.manifest import FileRef, SegmentRef
from schemas.tables import SEGMENT_ROWS
from stages.index.families import family, one_thread
from stages.index.train import checked_vectors, trained_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

SEGMENT_FORMAT: Final = "segment-1"  # a change of what is written below makes every segment new
INDEX_FILE: Final = "index.faiss"
ROWS_FILE: Final = "rows.arrow"
STATS_FILE: Final = "stats.json"
_BATCH_ROWS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Build one segment. Vectors float32 [n, dim] and the trained index (uint8, may be empty) travel beside it.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family.
        parameters: Its build parameters.
        dim: Length of a vector.
        rows: In the SEGMENT_ROWS schema, unit_id strictly ascending; row i belongs to vector i.
        input_digest: What `input_digest` gave for this; empty to have it computed in the worker.
    """

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    dim: int
    rows: pa.Table
    input_digest: str = ""

    @property
    def place(self) -> str:
        """For messages."""
        return f"a segment of {self.partition} in {self.space}"


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """A segment as built.

    Attributes:
        partition: ``text/paragraph``.
        space: Key of the space.
        family: Registry name of the index family.
        parameters: Its build parameters.
        dim: Length of a vector.
        ref: What goes into the manifest; its files are in the order of the answer's arrays.
    """

    partition: str
    space: str
    family: str
    parameters: dict[str, int]
    dim: int
    ref: SegmentRef


def build_segment(request: BuildRequest, vectors: np.ndarray, trained: np.ndarray) -> Answer:
    """Build index.faiss, rows.arrow and stats.json of one segment; equal input gives equal bytes.

    Args:
        request: What to build.
        vectors: float32 [n, dim], unit length.
        trained: uint8, what :func:`stages.index.train.train` gave; empty for a family that does not train.

    Returns:
        Answer(SegmentStats, (index.faiss, rows.arrow, stats.json)), the arrays uint8.

    Raises:
        VectorError: The vectors are not finite float32 [number of rows, dim].
        IntegrityError: Rows are not sorted, repeated, or not of the schema.
    """
    rows = canonical_rows(request.rows, request.place)
    if len(rows) != len(vectors):
        raise VectorError(f"{request.place}: {len(rows)} rows but {len(vectors)} vectors")
    index_bytes = _index_bytes(request, vectors, trained)
    rows_bytes = _ipc_bytes(rows)
    index_sha, rows_sha = _sha256(index_bytes), _sha256(rows_bytes)
    segment = segment_digest(index_sha, rows_sha)
    built_from = request.input_digest or input_digest(request, vectors, trained)
    stats_bytes = _stats_bytes(request, segment, built_from)
    files = (
        _file(segment, INDEX_FILE, index_bytes, index_sha),
        _file(segment, ROWS_FILE, rows_bytes, rows_sha),
        _file(segment, STATS_FILE, stats_bytes, _sha256(stats_bytes)),
    )
    stats = SegmentStats(
        request.partition,
        request.space,
        request.family,
        request.parameters,
        request.dim,
        SegmentRef(segment, built_from, len(rows), files),
    )
    return Answer(stats, (index_bytes, rows_bytes, stats_bytes))


def input_digest(request: BuildRequest, vectors: np.ndarray, trained: np.ndarray) -> str:
    """Digest (32 hex characters) of all that a segment is built from, without building it.

    A segment in the last manifest with this `input_digest` is the segment that building would give.
    """
    rows = _ipc_bytes(canonical_rows(request.rows, request.place))
    head = {
        "format": SEGMENT_FORMAT,
        "partition": request.partition,
        "space": request.space,
        "family": request.family,
        "parameters": request.parameters,
        "dim": request.dim,
    }
    return digest(
        canonical_json(head),
        digest_buffer(rows.data),
        digest_buffer(np.ascontiguousarray(vectors).data.cast("B") if vectors.size else b""),
        trained_digest(trained),
    )


def segment_digest(index_sha256: str, rows_sha256: str) -> str:
    """Name of a segment (32 hex characters) from the SHA-256 of its index.faiss and its rows.arrow."""
    return digest("segment", index_sha256, rows_sha256)


def segment_files(
    stats: SegmentStats, arrays: Sequence[np.ndarray]
) -> tuple[tuple[FileRef, np.ndarray], ...]:
    """What to upload: key, size and checksum beside the bytes of each file."""
    return tuple(zip(stats.ref.files, arrays, strict=True))


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
    unit_ids = table.column("unit_id").to_pylist()
    for i in range(1, len(unit_ids)):
        if unit_ids[i - 1] >= unit_ids[i]:
            raise IntegrityError(
                f"{place}: unit_id {unit_ids[i]} at row {i} is repeated or out of order; sort rows by unit_id"
            )
    # `take` copies into fresh buffers: slices and concatenated chunks would be written with other padding.
    fresh = table.combine_chunks().take(pa.array(np.arange(len(table)), pa.int64()))
    return fresh.combine_chunks().replace_schema_metadata(None)


def _index_bytes(request: BuildRequest, vectors: np.ndarray, trained: np.ndarray) -> np.ndarray:
    import faiss

    checked = checked_vectors(vectors, request.dim, request.place)
    chosen = family(request.family)
    if chosen.trains and not trained.size:
        raise VectorError(
            f"{request.place}: {request.family} needs a trained index beside the vectors"
        )
    index = (
        faiss.deserialize_index(np.ascontiguousarray(trained))
        if chosen.trains
        else chosen.empty(request.dim, request.parameters)
    )
    with one_thread():
        index.add(checked)
    return np.asarray(faiss.serialize_index(index))


def _ipc_bytes(rows: pa.Table) -> np.ndarray:
    sink = pa.BufferOutputStream()
    # Uncompressed, so that a reader maps the columns instead of unpacking them.
    with pa.ipc.new_file(
        sink, SEGMENT_ROWS, options=pa.ipc.IpcWriteOptions(compression=None)
    ) as out:
        out.write_table(rows, max_chunksize=_BATCH_ROWS)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def _stats_bytes(request: BuildRequest, segment: str, built_from: str) -> np.ndarray:
    stats: dict[str, Any] = {
        "format": SEGMENT_FORMAT,
        "digest": segment,
        "input_digest": built_from,
        "partition": request.partition,
        "space": request.space,
        "family": request.family,
        "parameters": request.parameters,
        "dim": request.dim,
        "rows": len(request.rows),
    }
    return np.frombuffer(canonical_json(stats).encode(), dtype=np.uint8)


def _file(segment: str, name: str, data: np.ndarray, sha256: str) -> FileRef:
    return FileRef(f"segments/{segment}/{name}", data.nbytes, sha256)


def _sha256(data: np.ndarray) -> str:
    return hashlib.sha256(data.data).hexdigest()
