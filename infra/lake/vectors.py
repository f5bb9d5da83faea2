"""Vectors of wanted inputs, streamed from an embeddings table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from infra.lake.align import flat_values, vector_lengths
from infra.lake.hexkeys import HexKeys, expand
from infra.lake.stream import files_of, scan
from schemas.errors import IntegrityError
from schemas.space import Marked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.space import Embedding

_NONE: Final = np.iinfo(np.int32).max


class VectorTable(NamedTuple):
    """An embeddings table as one view of the lake sees it.

    Attributes:
        dataset: Its files.
        name: For messages.
        dim: Of its vectors; of the numbers to each mark in a space that is not dense.
        batches: Complete batches, sorted; of several vectors of one input the first batch's counts.
        where: Which partition.
    """

    dataset: ds.FileSystemDataset
    name: str
    dim: int
    batches: pa.Array
    where: pc.Expression


class FoundVectors:
    """The vectors of wanted inputs: first found by their hashes, a fiftieth of the bytes, then streamed.

    Files that hold none of them are not read again, so the cost follows what is wanted.

    Args:
        table: Where to look; None for nowhere.
        inputs: Input hash of each row that wants a vector; repeats allowed.

    Raises:
        LakeError: A file is missing or broken.
    """

    def __init__(self, table: VectorTable | None, inputs: HexKeys) -> None:
        self._table = table
        self._rows = inputs.order()
        self._inputs = inputs.take(self._rows)
        self._ranks = np.full(len(inputs), _NONE, np.int32)
        self._files = self._look(table) if table else set()

    @property
    def dim(self) -> int:
        """Of the vectors; 0 while their space has no table."""
        return self._table.dim if self._table else 0

    @property
    def found(self) -> np.ndarray:
        """Which rows have a vector, bool [n]."""
        found = np.empty(len(self._rows), dtype=bool)
        found[self._rows] = self._ranks != _NONE
        return found

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each row that was found, exactly once, in small blocks.

        Returns:
            rows, int64 [m], ascending, and their vectors, float32 [m, dim].

        Raises:
            IntegrityError: A stored vector has another dim than the table.
            LakeError: A file is missing or broken.
        """
        for table, batch, rows, stored in self._given(["vector"]):
            yield rows, _matrix(batch.column("vector"), table)[stored]

    def marked_blocks(self) -> Iterator[tuple[np.ndarray, list[Marked]]]:
        """The same of a space of token vectors or sparse vectors.

        Returns:
            rows, int64 [m], ascending, and what each became.

        Raises:
            IntegrityError: As `blocks`, or the space is a dense one.
            LakeError: A file is missing or broken.
        """
        for table, batch, rows, stored in self._given(["vector", "marks"]):
            yield rows, _marked(batch.take(pa.array(stored)), table)

    def _given(
        self, columns: list[str]
    ) -> Iterator[tuple[VectorTable, pa.RecordBatch, np.ndarray, np.ndarray]]:
        """(the table, a batch, rows that it gives something to, which of its own rows that is)."""
        if self._table is None:
            return
        given = np.zeros(len(self._rows), dtype=bool)
        table = self._table
        chosen = (f for f in table.dataset.get_fragments(table.where) if f.path in self._files)
        dataset = files_of(table.dataset, chosen)
        for batch, _ in _scan(table, dataset, {name: pc.field(name) for name in columns}):
            stored, places, ranks = self._match(batch)
            wins = (ranks == self._ranks[places]) & ~given[places]
            places, first = np.unique(places[wins], return_index=True)
            given[places] = True
            if len(places):
                order = np.argsort(self._rows[places])
                yield table, batch, self._rows[places[order]], stored[wins][first[order]]

    def _look(self, table: VectorTable) -> set[str]:
        """Paths of the files that hold a wanted input; notes the rank that wins for each."""
        files = set()
        for batch, path in _scan(table, table.dataset, {}):
            _, places, ranks = self._match(batch)
            if len(places):
                np.minimum.at(self._ranks, places, ranks)
                files.add(path)
        return files

    def _match(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row of the batch, place among the wanted inputs, rank) of each pair that agrees and is complete."""
        left, right = self._inputs.find(HexKeys.of(batch.column("input_hash")))
        ranks = batch.column("rank").fill_null(_NONE).to_numpy()
        stored, places = expand(left, np.where(ranks == _NONE, left, right))
        return stored, places, ranks[stored]


def gather(found: FoundVectors) -> np.ndarray:
    """All vectors that were found in one array, float32 [number found, dim], in the order of their rows."""
    places = np.cumsum(found.found) - 1
    vectors = np.empty((np.count_nonzero(found.found), found.dim), np.float32)
    for rows, block in found.blocks():
        vectors[places[rows]] = block
    return vectors


def _scan(
    table: VectorTable, dataset: ds.FileSystemDataset, columns: dict[str, pc.Expression]
) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Rows of some files with the rank of their batch, null if that is not complete; and the path of the file."""
    batch = pc.field("batch")
    rank = pc.index_in(batch, value_set=table.batches)
    wanted = {"input_hash": pc.field("input_hash"), "rank": rank, **columns}
    return scan(dataset, table.name, wanted, table.where & batch.isin(table.batches))


def _matrix(lists: pa.ListArray, table: VectorTable) -> np.ndarray:
    if not pc.all(pc.equal(pc.list_value_length(lists), table.dim)).as_py():
        raise IntegrityError(
            f"a stored vector of {table.name} has not the dim {table.dim} of its table"
        )
    return flat_values(lists).reshape(-1, table.dim)


def _marked(rows: pa.RecordBatch, table: VectorTable) -> list[Marked]:
    """What the rows of a batch became."""
    vectors, marks = rows.column("vector"), rows.column("marks")
    lengths, counts = vector_lengths(vectors, marks)
    if marks.null_count or (lengths != table.dim * counts).any():
        raise IntegrityError(
            f"a row of {table.name} has not {table.dim} numbers to each of its marks"
        )
    numbers = flat_values(vectors).reshape(-1, table.dim)
    kinds = marks.flatten().to_numpy(zero_copy_only=False)
    ends = np.cumsum(counts)
    return [
        Marked(numbers[end - n : end], kinds[end - n : end])
        for end, n in zip(ends.tolist(), counts.tolist(), strict=True)
    ]


def embedding_of(vector: pa.ListScalar, marks: pa.ListScalar) -> Embedding:
    """What one row of an embeddings table holds: float32 [dim] in a dense space, where marks are null."""
    numbers: np.ndarray = vector.values.to_numpy()
    if not marks.is_valid:
        return numbers
    kinds = marks.values.to_numpy()
    return Marked(numbers.reshape(len(kinds), -1) if len(kinds) else numbers.reshape(0, 1), kinds)
