"""Tables as streams of small batches: what they hold never lies in memory at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from infra.lake.live import as_array
from schemas.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Small, because Arrow reads ahead: 4 batches of 16,384 vectors of dim 384 are 100 MB.
_ROWS_PER_BATCH: Final = 1 << 14
_BATCHES_AHEAD: Final = 2
_FILES_AHEAD: Final = 1
_SOURCE: Final = "live source"
_BATCH: Final = "live batch"
_WANTED: Final = "is wanted"


def scan(
    dataset: ds.FileSystemDataset,
    name: str,
    columns: Mapping[str, pc.Expression],
    files: pc.Expression,
) -> Iterator[tuple[pa.RecordBatch, str]]:
    """Rows of a dataset in the order of its files, in batches of at most 16,384, each with the path of its file.

    Args:
        dataset: The table.
        name: Of the table, for messages.
        columns: What to compute from each row.
        files: Which files may hold what is wanted. Rows are not filtered: Arrow would copy all that stay, so callers
            drop what they do not want where they copy anyway.

    Raises:
        LakeError: A file is missing or broken.
    """
    scanner = files_of(dataset, dataset.get_fragments(files)).scanner(
        columns=dict(columns),
        batch_size=_ROWS_PER_BATCH,
        batch_readahead=_BATCHES_AHEAD,
        fragment_readahead=_FILES_AHEAD,
    )
    try:
        for tagged in scanner.scan_batches():
            if tagged.record_batch.num_rows:
                yield tagged.record_batch, tagged.fragment.path
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"cannot read the files of {name}: {error}") from error


def files_of(
    dataset: ds.FileSystemDataset, fragments: Iterable[ds.Fragment]
) -> ds.FileSystemDataset:
    """Some of a dataset's files."""
    return ds.FileSystemDataset(
        list(fragments), dataset.schema, dataset.format, filesystem=dataset.filesystem
    )


class LiveUnits(NamedTuple):
    """Which rows of the table of units are streamed.

    Attributes:
        dataset: Its files.
        name: For messages.
        where: Which partition.
        live: (source_id, batch, ...) of live sources, each once.
        wanted: Which of the live rows.
    """

    dataset: ds.FileSystemDataset
    name: str
    where: pc.Expression
    live: pa.Table
    wanted: pc.Expression


def stream_live(units: LiveUnits, columns: Mapping[str, pc.Expression]) -> Iterator[pa.RecordBatch]:
    """These columns of live units, in the order of the table."""
    batches = pc.unique(units.live["batch"])
    latest = pc.index_in(units.live["batch"], value_set=batches).to_numpy()
    computed = dict(columns) | {
        # Bound once for the whole scan; a look-up of each batch would hash all of `live` every time.
        _SOURCE: pc.index_in(pc.field("source_id"), value_set=as_array(units.live["source_id"])),
        _BATCH: pc.index_in(pc.field("batch"), value_set=batches),
        _WANTED: units.wanted,
    }
    files = units.where & pc.field("batch").isin(batches)
    for rows, _ in scan(units.dataset, units.name, computed, files):
        source = rows.column(_SOURCE).fill_null(-1).to_numpy()
        batch = rows.column(_BATCH).fill_null(-1).to_numpy()
        wanted = rows.column(_WANTED).to_numpy(zero_copy_only=False)
        kept = wanted & (source >= 0) & (latest[source] == batch)
        chosen = rows.select(list(columns))
        if kept.all():
            yield chosen
        elif kept.any():
            yield chosen.filter(pa.array(kept))
