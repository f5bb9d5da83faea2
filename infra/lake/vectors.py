"""Vectors of wanted inputs, streamed from an embeddings table into one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.lake.align import flat_values
from infra.lake.delta import table_dim
from schemas.errors import IntegrityError, LakeError

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

# Small, because Arrow reads ahead: 4 batches of 16,384 vectors of dim 384 are 100 MB.
_ROWS_PER_BATCH: Final = 1 << 14
_BATCHES_AHEAD: Final = 2
_FILES_AHEAD: Final = 2
_EXPAND_ROWS: Final = 1 << 14


def gather_vectors(
    dataset: ds.Dataset,
    table: DeltaTable,
    *,
    hashes: pa.ChunkedArray,
    batches: pa.Array,
    where: pc.Expression,
) -> tuple[np.ndarray, np.ndarray]:
    """Vector of each input hash.

    Memory is that of the result plus a few batches of the scan.

    Args:
        dataset: An embeddings table.
        table: The same as a Delta table, for its dim.
        hashes: Wanted inputs, string [n], repeats allowed.
        batches: Complete batches, sorted; of several vectors of one input the first batch's counts.
        where: Which partition.

    Returns:
        found: bool [n].
        vectors: float32 [number found, dim], in the order of `hashes`.

    Raises:
        IntegrityError: A stored vector has another dim than the table.
        LakeError: A file is missing or broken.
    """
    dim = table_dim(table)
    codes, unique = _encode(hashes)
    vectors = np.zeros((len(codes), dim), np.float32)
    winner = np.full(len(unique), np.iinfo(np.int32).max, np.int32)
    where &= pc.field("input_hash").isin(unique) & pc.field("batch").isin(batches)
    scanner = dataset.scanner(
        columns={
            "position": pc.index_in(pc.field("input_hash"), value_set=unique),
            "rank": pc.index_in(pc.field("batch"), value_set=batches),
            "vector": pc.field("vector"),
        },
        filter=where,
        batch_size=_ROWS_PER_BATCH,
        batch_readahead=_BATCHES_AHEAD,
        fragment_readahead=_FILES_AHEAD,
    )
    try:
        for batch in scanner.to_batches():
            _scatter(batch, vectors, winner)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"cannot read the vectors of {table.table_uri}: {error}") from error
    found = (winner != np.iinfo(np.int32).max)[codes]
    _expand(vectors, codes)
    return found, vectors if found.all() else vectors[found]


def _encode(hashes: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Codes int32 [n] into the distinct values, which stand in order of first appearance."""
    encoded = hashes.combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary


def _scatter(batch: pa.RecordBatch, vectors: np.ndarray, winner: np.ndarray) -> None:
    if not batch.num_rows:
        return
    dim = vectors.shape[1]
    lengths = pc.list_value_length(batch.column("vector"))
    if not pc.all(pc.equal(lengths, dim)).as_py():
        raise IntegrityError(f"a stored vector has not the dim {dim} of its table")
    values = flat_values(batch.column("vector")).reshape(-1, dim)
    position = batch.column("position").to_numpy()
    rank = batch.column("rank").to_numpy()
    best = np.flatnonzero(rank < winner[position])
    best = best[np.argsort(-rank[best], kind="stable")]  # of repeats the last, lowest rank stays
    winner[position[best]] = rank[best]
    vectors[position[best]] = values[best]


def _expand(vectors: np.ndarray, codes: np.ndarray) -> None:
    """``vectors[i] = vectors[codes[i]]`` in place.

    Backwards, because codes[i] <= i: a row is overwritten only when no earlier one needs it any more.
    """
    for start in reversed(range(0, len(codes), _EXPAND_ROWS)):
        chunk = codes[start : start + _EXPAND_ROWS]
        if not np.array_equal(chunk, np.arange(start, start + len(chunk))):
            vectors[start : start + len(chunk)] = vectors[chunk]
