"""The canonical Arrow schemas of the lake, in one place.

Delta has no float16 and no fixed-size list, so vectors are ``list<float>`` of a dim that is checked before writing.
Every row carries the `batch` that wrote it; it is live only if `completions` says that batch landed (see
docs/lake.md). `modality` and `granularity` are the partition columns of `units` and of each `embeddings/<space>`.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_STRINGS: Final = pa.list_(pa.field("element", pa.string()))
_ATTRIBUTES: Final = pa.string()  # canonical JSON object; Delta maps are poorly read elsewhere

SOURCES: Final = pa.schema(
    [
        ("source_id", pa.string()),
        ("uri", pa.string()),
        ("root", pa.string()),
        ("path", pa.string()),
        ("size_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("etag", pa.string()),  # of an object, empty for local files
        ("content_hash", pa.string()),
        ("media_type", pa.string()),
        ("title", pa.string()),
        ("notes", _STRINGS),
        ("outcome", pa.string()),  # indexed | duplicate | rejected
        ("units", pa.int64()),
        ("batch", pa.string()),
    ]
)

UNITS: Final = pa.schema(
    [
        ("modality", pa.string()),
        ("granularity", pa.string()),
        ("unit_id", pa.string()),
        ("source_id", pa.string()),
        ("parent_id", pa.string()),
        ("locator", pa.string()),  # canonical JSON of Locator.as_dict()
        ("text", pa.string()),
        ("context", pa.string()),
        ("text_hash", pa.string()),  # digest of embedded_text, empty without text
        ("pixels_hash", pa.string()),
        ("language", pa.string()),
        ("attributes", _ATTRIBUTES),
        ("acl", _STRINGS),
        ("batch", pa.string()),
    ]
)

EMBEDDINGS: Final = pa.schema(
    [
        ("modality", pa.string()),
        ("granularity", pa.string()),
        (
            "input_hash",
            pa.string(),
        ),  # text_hash or pixels_hash of the units it belongs to, or unit_id
        (
            "vector",
            pa.list_(pa.field("element", pa.float32())),
        ),  # a row's numbers, one after the other
        # Of token vectors the kind of each, of a sparse vector the term of each weight; null in a dense space.
        ("marks", pa.list_(pa.field("element", pa.int32()))),
        ("batch", pa.string()),
    ]
)

COMPLETIONS: Final = pa.schema(
    [
        # path | units | space | derived | batch: rows that count though no source is complete by them
        ("kind", pa.string()),
        ("uri", pa.string()),  # of kind path, else empty
        ("source_id", pa.string()),  # empty on a path that is gone or rejected
        # units: of decoding and segmenting; space: SpaceContract.key; derived: GeneratorContract.key
        ("fingerprint", pa.string()),
        ("batch", pa.string()),
        ("seq", pa.int64()),  # version of this table that the row was committed as; later rows win
    ]
)

REJECTS: Final = pa.schema(
    [
        ("uri", pa.string()),
        ("path", pa.string()),
        ("source_id", pa.string()),
        (
            "unit_id",
            pa.string(),
        ),  # of a unit that was lost while its source came through, else empty
        ("stage", pa.string()),
        ("code", pa.string()),
        ("reason", pa.string()),
        ("retryable", pa.bool_()),
        ("page", pa.int32()),
        ("second", pa.float64()),
        ("attempts", pa.int32()),
        ("run_id", pa.string()),
        ("rejected_at", pa.timestamp("us", tz="UTC")),
        ("batch", pa.string()),
    ]
)

RUNS: Final = pa.schema(
    [
        ("run_id", pa.string()),
        ("command", pa.string()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("succeeded", pa.bool_()),
        ("config", pa.string()),  # JSON
        ("balance", pa.string()),  # JSON
        ("seq", pa.int64()),  # version of this table: the order of runs, whatever the clock said
    ]
)

# rows.arrow of a segment: row i describes vector i of index.faiss.
SEGMENT_ROWS: Final = pa.schema(
    [
        ("unit_id", pa.string()),
        ("source_id", pa.string()),
        ("parent_id", pa.string()),
        ("locator", pa.string()),
        ("text", pa.string()),
        ("context", pa.string()),
        ("language", pa.string()),
        ("attributes", pa.string()),
        ("acl", _STRINGS),
        (
            "input_hash",
            pa.string(),
        ),  # text_hash, pixels_hash or unit_id: which input the vector is of
        ("vector_digest", pa.uint64()),  # of the encoder's float32 vector: equal where vectors are
    ]
)

# snapshots/<id>/sources.arrow: where a source_id can be found; the first path in order is shown.
SNAPSHOT_SOURCES: Final = pa.schema(
    [
        ("source_id", pa.string()),
        ("path", pa.string()),
        ("uri", pa.string()),
        ("title", pa.string()),
    ]
)

PARTITION_COLUMNS: Final = ("modality", "granularity")
