"""A partition cut into shards on scratch disk, so that each can be built in memory while the whole never lies there.

The table of units and that of vectors are each read once, in the order of their files, and every batch is dealt out to
files of the shards. A shard is then small enough to be loaded and put in order.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import numpy as np
import pyarrow as pa

from infra.lake.hexkeys import HexKeys
from infra.lake.live_keys import KEY_COLUMNS, LiveKeys
from infra.local_blobs import out_of_space
from infra.scratch_folder import scratch_folder
from schemas.errors import IntegrityError, LakeError
from schemas.tables import SEGMENT_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from infra.lake.read import LakeView
    from schemas.partition import Partition
    from schemas.space import InputColumn

# Columns of rows.arrow that the table of units has.
ROWS: Final = pa.schema([field for field in SEGMENT_ROWS if field.name != "vector_digest"])
_READ_VECTORS: Final = 1 << 13
_PREFIX_BITS: Final = 32


class Wanted(NamedTuple):
    """What is indexed: a partition in a space, and which column of the units that embeds."""

    partition: Partition
    space_key: str
    input_column: InputColumn


def live_keys(view: LakeView, wanted: Wanted) -> LiveKeys:
    """The units to be indexed, from a light pass over the table.

    Raises:
        LakeError: A file is missing or broken.
    """
    return LiveKeys.read(view.stream_units(wanted.partition, KEY_COLUMNS, wanted.input_column))


@contextmanager
def spilled(
    view: LakeView,
    wanted: Wanted,
    keys: LiveKeys,
    shards: int,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Iterator[Spill]:
    """Units with their vectors on scratch disk (``TMPDIR``) while inside.

    Args:
        view: Of the lake; the one that `keys` are from.
        wanted: Which partition and space.
        keys: Which units: all live ones, or the part of them that an increment needs.
        shards: Equal ranges of unit_id.
        progress: Hears what is read, how many rows of it are done, and of how many.

    Raises:
        IntegrityError: Units have neither vector nor reject; says how many.
        LakeError: There is no space for them, or a file of the lake is missing or broken.
    """
    found = view.find_vectors(wanted.space_key, wanted.partition, keys.inputs)
    missing = keys.units.take(~found.found).strings()
    view.require_rejected(missing, wanted.space_key, wanted.partition)
    with scratch_folder() as folder:
        spill = Spill(folder, keys, found.found, shards, found.dim)
        spill.pour_vectors(found.blocks(), progress)
        rows = view.stream_units(wanted.partition, ROWS.names, wanted.input_column)
        spill.pour_rows(rows, progress)
        yield spill


class Spill:
    """Units that have a vector, numbered 0..rows-1 in the order of unit_id, in files by shard.

    Args:
        folder: Empty.
        keys: The units.
        found: Which of them have a vector, bool [len(keys)]; the others are left out.
        shards: Equal ranges of unit_id: a unit is in shard ``leading 8 hex digits * shards // 16**8``.
        dim: Of the vectors.

    Raises:
        LakeError: There is not enough space for the vectors.
    """

    def __init__(
        self, folder: Path, keys: LiveKeys, found: np.ndarray, shards: int, dim: int
    ) -> None:
        self._folder = folder
        self._keys = keys.units.take(found)
        self._place_of = np.cumsum(found) - 1  # of a unit among those with a vector
        self._place_in_stream = np.full(keys.streamed, -1, np.int64)
        self._place_in_stream[keys.rows[found]] = np.arange(len(self._keys))
        prefixes = self._keys.high >> np.uint64(64 - _PREFIX_BITS)
        shard_of = prefixes * np.uint64(shards) >> np.uint64(_PREFIX_BITS)
        self._bounds = np.searchsorted(shard_of, np.arange(shards + 1, dtype=np.uint64))
        self._slots = np.full(
            len(self._keys), -1, np.int32
        )  # where in its shard's file a vector is
        self._dim = dim
        self._require_space(len(self._keys) * dim * 4)

    @property
    def rows(self) -> int:
        """Units with a vector."""
        return len(self._keys)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return self._dim

    @property
    def shard_rows(self) -> list[int]:
        """How many rows each shard has."""
        return [int(n) for n in np.diff(self._bounds)]

    @property
    def keys(self) -> HexKeys:
        """unit_id of every row, ascending."""
        return self._keys

    def pour_vectors(
        self,
        blocks: Iterable[tuple[np.ndarray, np.ndarray]],
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        """Deal out vectors: (numbers of units in `keys`, ascending; float32 [n, dim]), each found unit once.

        Raises:
            LakeError: The disk is full.
        """
        filled = np.zeros(len(self._bounds) - 1, np.int64)
        done = 0
        for units, vectors in blocks:
            places = self._place_of[units]
            for shard, first, last in self._runs(places):
                self._append(self._vectors_path(shard), vectors[first:last].data)
                self._slots[places[first:last]] = filled[shard] + np.arange(last - first)
                filled[shard] += last - first
            done += len(places)
            progress("vectors", done, self.rows)
        if done != self.rows:
            raise IntegrityError(f"{done} vectors came for {self.rows} units: read the lake again")

    def pour_rows(
        self,
        stream: Iterable[pa.RecordBatch],
        progress: Callable[[str, int, int], None] = lambda *_: None,
    ) -> None:
        """Deal out rows: the stream that `keys` are from, with the columns of `ROWS`.

        Raises:
            LakeError: There is not enough space for them.
        """
        done = 0
        for batch in stream:
            if not done:
                self._require_space(batch.nbytes * self.rows // batch.num_rows)
            places = self._place_in_stream[done : done + batch.num_rows]
            done += batch.num_rows
            kept = np.flatnonzero(places >= 0)
            order = kept[np.argsort(places[kept])]
            columns = batch.take(pa.array(order)).columns
            rows = pa.RecordBatch.from_arrays(columns, schema=ROWS)
            for shard, first, last in self._runs(places[order]):
                piece = rows.slice(first, last - first)
                self._append(self._rows_path(shard), memoryview(piece.serialize()))
            progress("rows", done, len(self._place_in_stream))
        self._place_in_stream = np.zeros(0, np.int64)  # needed no more, and 8 bytes a unit

    def shard(self, shard: int) -> tuple[pa.Table, np.ndarray]:
        """Rows of a shard in the order of unit_id (schema `ROWS`), and their vectors, float32 [n, dim].

        Raises:
            IntegrityError: The rows that came are not those that were planned.
        """
        return self.rows_of(shard), self._read_vectors(shard)

    def vectors_at(self, places: np.ndarray) -> np.ndarray:
        """Vectors of some rows by their number, int64 [n], in that order: float32 [n, dim]. Reads only these."""
        vectors = np.empty((len(places), self._dim), np.float32)
        order = np.argsort(places, kind="stable")
        for shard, first, last in self._runs(places[order]):
            chosen = order[first:last]
            stored = np.memmap(self._vectors_path(shard), np.float32, "r").reshape(-1, self._dim)
            vectors[chosen] = stored[self._slots[places[chosen]]]
        return vectors

    def _runs(self, places: np.ndarray) -> Iterator[tuple[int, int, int]]:
        """(shard, first, last) of ascending row numbers, of every shard that has some."""
        cuts = np.searchsorted(places, self._bounds)
        for shard in np.flatnonzero(cuts[1:] > cuts[:-1]):
            yield int(shard), int(cuts[shard]), int(cuts[shard + 1])

    def rows_of(self, shard: int) -> pa.Table:
        """The rows alone."""
        rows = pa.Table.from_batches(_batches(self._rows_path(shard)), ROWS).combine_chunks()
        keys = HexKeys.of(rows["unit_id"])
        order = keys.order()
        planned = self._keys.take(np.arange(*self._bounds[shard : shard + 2]))
        if len(order) != len(planned) or not keys.take(order).equal(planned).all():
            raise IntegrityError(
                f"{len(order)} rows came for the {len(planned)} units of shard {shard}, or other ones: the table of"
                " units did not give the same rows twice"
            )
        return rows.take(pa.array(order))

    def _read_vectors(self, shard: int) -> np.ndarray:
        slots = self._slots[slice(*self._bounds[shard : shard + 2])]
        place_at = np.empty(len(slots), np.int64)
        place_at[slots] = np.arange(len(slots))
        vectors = np.empty((len(slots), self._dim), np.float32)
        piece = np.empty((min(len(slots), _READ_VECTORS), self._dim), np.float32)
        if not len(slots):
            return vectors
        with self._vectors_path(shard).open("rb") as file:
            for start in range(0, len(slots), _READ_VECTORS):
                places = place_at[start : start + _READ_VECTORS]
                if file.readinto(piece[: len(places)].data) != places.size * self._dim * 4:
                    raise IntegrityError(
                        f"{file.name} was cut off: is somebody clearing the folder?"
                    )
                vectors[places] = piece[: len(places)]
            _uncache(file)
        return vectors

    def _append(self, path: Path, data: memoryview) -> None:
        try:
            # Opened for each piece: thousands of shards would be more than a process may hold open.
            with path.open("ab") as file:
                file.write(data)
        except OSError as error:
            if out_of_space(error):
                raise LakeError(self._lacks("more space")) from error
            raise LakeError(f"cannot write {path}: {error}") from error

    def _require_space(self, needed_bytes: int) -> None:
        free_bytes = shutil.disk_usage(self._folder).free
        if needed_bytes > free_bytes:
            raise LakeError(
                self._lacks(
                    f"{needed_bytes / 1e9:.1f} GB, of which {free_bytes / 1e9:.1f} GB are free"
                )
            )

    def _lacks(self, what: str) -> str:
        return (
            f"sorting {self.rows} rows into shards needs {what} in {self._folder}: free some, or set TMPDIR to"
            " a folder on a bigger disk, and run it again"
        )

    def _rows_path(self, shard: int) -> Path:
        return self._folder / f"{shard:06}.rows"

    def _vectors_path(self, shard: int) -> Path:
        return self._folder / f"{shard:06}.vectors"


def _uncache(file: BinaryIO) -> None:
    """Let the system forget a file that is hardly ever read again, rather than what is being built from it."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches that were written one after the other, mapped."""
    if not path.exists():
        return
    with pa.memory_map(str(path)) as file:
        while file.tell() < file.size():
            yield pa.ipc.read_record_batch(pa.ipc.read_message(file), ROWS)
