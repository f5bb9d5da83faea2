"""A lake full of made vectors, written through the lake's own writer, batch by batch as an ingest commits them.

Every vector is of a passage with a short text; passages belong to documents as the maker says. One batch is one block
of the maker, so memory stays that of a block, whatever the number of rows.

    python -m benchmarks.lake_of_vectors LAKE --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from benchmarks.vectors import SEED, Maker
from flows import wiring
from infra.lake import CommitBatch, Lake, make_batch_id
from schemas.config import Config
from schemas.partition import TEXT_PARAGRAPH
from schemas.tables import COMPLETIONS, EMBEDDINGS, REJECTS, SOURCES, UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.vectors import Block
    from schemas.space import SpaceContract

_RUN_ID: Final = "made"
# What every row says.
_PLACE: Final = {"modality": TEXT_PARAGRAPH.modality, "granularity": TEXT_PARAGRAPH.granularity}
_SOURCE: Final[dict[str, Any]] = {
    "root": "file:///made",
    "size_bytes": 1,
    "mtime_ns": 0,
    "etag": "",
    "title": "",
    "media_type": "text/plain",
    "notes": [],
    "outcome": "indexed",
}
_UNIT: Final[dict[str, Any]] = {
    "parent_id": "",
    "locator": "{}",
    "context": "",
    "pixels_hash": "",
    "language": "en",
    "attributes": "{}",
    "acl": [],
}
_HEX_CHARS: Final = 16
_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


def unit_ids(rows: np.ndarray) -> pa.StringArray:
    """The ids of row numbers: 32 hex characters, spread evenly as digests are, and :func:`row_of` undoes them."""
    high = _mixed(rows.astype(np.uint64))
    pair = np.stack([high, _mixed(~high)], axis=1)
    return _strings(pair.astype(">u8").tobytes().hex(), 2 * _HEX_CHARS, len(rows))


def row_of(unit_id: str) -> int:
    """The row number of a unit id."""
    value = int(unit_id[:_HEX_CHARS], 16)
    value = _unshifted(value, 31) * pow(_SECOND, -1, 1 << 64) & _MASK
    value = _unshifted(value, 27) * pow(_FIRST, -1, 1 << 64) & _MASK
    return (_unshifted(value, 30) - _GAMMA) & _MASK


def _mixed(values: np.ndarray) -> np.ndarray:
    """One step of splitmix64 (Steele et al. 2014), a bijection of 64-bit numbers."""
    z = values + np.uint64(_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def _unshifted(value: int, bits: int) -> int:
    """The inverse of ``value ^ (value >> bits)`` for bits above a third of 64."""
    return value ^ (value >> bits) ^ (value >> 2 * bits)


def _strings(characters: str, each: int, count: int) -> pa.StringArray:
    """`count` strings of `each` characters from one long one."""
    offsets = np.arange(count + 1, dtype=np.int32) * each
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(offsets), pa.py_buffer(characters.encode())
    )


def write_lake(url: str, blocks: Iterable[Block]) -> dict[str, Any]:
    """Make a lake of the blocks, complete in the space of the default text encoder.

    Returns:
        ``rows``, ``documents``, ``make_s`` (drawing vectors) and ``commit_s`` (tables and files).
    """
    config = Config()
    space = wiring.contracts(config)[0]
    fingerprint = wiring.fingerprint(config)
    lake = Lake.open(url, create=True)
    told: dict[str, Any] = {"rows": 0, "documents": 0, "make_s": 0.0, "commit_s": 0.0}
    with lake.writer(_RUN_ID):
        at_s = time.perf_counter()
        for block in blocks:
            made_s = time.perf_counter()
            batch = batch_of(block, space, fingerprint)
            lake.commit(batch, run_id=_RUN_ID)
            told["rows"] += len(block.vectors)
            told["documents"] += batch.sources.num_rows
            told["make_s"] += made_s - at_s
            at_s = time.perf_counter()
            told["commit_s"] += at_s - made_s
    return told


def batch_of(block: Block, space: SpaceContract, fingerprint: str) -> CommitBatch:
    """The rows of a block, in the canonical schemas."""
    batch_id = make_batch_id(_RUN_ID, block.number)
    rows = block.first_row + np.arange(len(block.vectors))
    ids = unit_ids(rows)
    names = np.array(
        [f"{block.number:06}-{document:06}" for document in range(block.documents[-1] + 1)]
    )
    sources = pa.array([f"made-{name}" for name in names])
    return CommitBatch(
        batch_id=batch_id,
        sources=_sources(sources, np.bincount(block.documents), batch_id),
        units=_units(rows, ids, sources.take(pa.array(block.documents)), batch_id),
        embeddings={space.key: _embeddings(ids, block.vectors, batch_id)},
        rejects=REJECTS.empty_table(),
        completions=_completions(sources, space.key, fingerprint, batch_id),
    )


def _sources(sources: pa.Array, units: np.ndarray, batch_id: str) -> pa.Table:
    count = len(sources)
    paths = pa.array([f"{name}.txt" for name in sources.to_pylist()])
    uris = pa.array([f"file:///made/{path}" for path in paths.to_pylist()])
    return _table(
        SOURCES,
        count,
        {"source_id": sources, "uri": uris, "path": paths, "content_hash": sources, "units": units},
        _SOURCE | {"batch": batch_id},
    )


def _units(rows: np.ndarray, ids: pa.Array, sources: pa.Array, batch_id: str) -> pa.Table:
    texts = pa.array([f"made passage {row}" for row in rows.tolist()])
    return _table(
        UNITS,
        len(rows),
        {"unit_id": ids, "source_id": sources, "text": texts, "text_hash": ids},
        _PLACE | _UNIT | {"batch": batch_id},
    )


def _embeddings(ids: pa.Array, vectors: np.ndarray, batch_id: str) -> pa.Table:
    offsets = pa.array(np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1])
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()))
    return _table(
        EMBEDDINGS,
        len(vectors),
        {
            "input_hash": ids,
            "vector": lists,
            "marks": pa.nulls(len(vectors), EMBEDDINGS.field("marks").type),
        },
        _PLACE | {"batch": batch_id},
    )


def _completions(sources: pa.Array, space_key: str, fingerprint: str, batch_id: str) -> pa.Table:
    uris = pa.array([f"file:///made/{name}.txt" for name in sources.to_pylist()])
    by_kind = [
        ("path", {"uri": uris}, {"fingerprint": fingerprint}),
        ("units", {}, {"uri": "", "fingerprint": fingerprint}),
        ("space", {}, {"uri": "", "fingerprint": space_key}),
    ]
    return pa.concat_tables(
        _table(
            COMPLETIONS,
            len(sources),
            {"source_id": sources, **columns},
            {"kind": kind, "batch": batch_id, "seq": 0, **values},
        )
        for kind, columns, values in by_kind
    )


def _table(
    schema: pa.Schema, count: int, columns: dict[str, Any], values: dict[str, Any]
) -> pa.Table:
    """A table of columns, and of values that are the same in every row."""
    same = {
        name: pa.repeat(pa.scalar(value, schema.field(name).type), count)
        for name, value in values.items()
    }
    given = {**columns, **same}
    return pa.table({name: given[name] for name in schema.names}).cast(schema)


def main() -> None:
    """Write a lake and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("lake", help="path or URL of a lake that is not there yet")
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    started = datetime.now(UTC)
    told = write_lake(options.lake, Maker.stored(SEED).blocks(options.rows))
    told["seconds"] = (datetime.now(UTC) - started).total_seconds()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
