"""The completions, digested: what is live. All of it is Arrow; no row becomes a Python object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import COMPLETIONS, PARTITION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of a batch with vectors or rejects that no source is complete by: a sample, or what a sweep leaves of a batch.
BATCH_KIND: Final = "batch"


@dataclass(frozen=True, slots=True)
class Live:
    """Which rows of the other tables count.

    Attributes:
        batches: (batch, seq) of every complete batch, in the order of batch.
        paths: Latest (uri, source_id, fingerprint, batch) by uri; source_id is empty for gone and rejected ones.
        sources: source_id of live sources.
        units: Latest (source_id, fingerprint, batch, seq) of kind units, live or not.
        live_units: Those of `units` whose source is live: the one batch that holds its live units.
        spaces: (source_id, fingerprint) that hold for the latest units of their source.
        derived: The same of generators whose texts are among those units.
    """

    batches: pa.Table
    paths: pa.Table
    sources: pa.Array
    units: pa.Table
    live_units: pa.Table
    spaces: pa.Table
    derived: pa.Table


def digest_completions(completions: pa.Table) -> Live:
    """Reduce all completions to the latest of each kind and key; a later `seq` wins."""
    completions = completions.select(COMPLETIONS.names).sort_by("seq")
    paths = _latest(completions, "path", ["uri"], ["source_id", "fingerprint", "batch"])
    units = _latest(completions, "units", ["source_id"], ["fingerprint", "batch", "seq"])
    sources = pc.unique(paths.filter(pc.field("source_id") != "")["source_id"])
    return Live(
        batches=completions.group_by("batch").aggregate([("seq", "min")]).sort_by("batch"),
        paths=paths,
        sources=sources,
        units=units,
        live_units=units.filter(pc.is_in(units["source_id"], value_set=sources)),
        spaces=_of_latest_units(completions, "space", units),
        derived=_of_latest_units(completions, "derived", units),
    )


def lookup(keys: pa.ChunkedArray, values: pa.ChunkedArray, wanted: pa.ChunkedArray) -> pa.Array:
    """``values[i]`` where ``keys[i]`` is wanted; null where nothing is. Keys are unique.

    >>> lookup(pa.chunked_array([["a", "b"]]), pa.chunked_array([[1, 2]]), pa.chunked_array([["b", "c"]]))
    [2, null]
    """
    return pc.take(values, pc.index_in(wanted, value_set=as_array(keys)))


def as_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One contiguous array (value sets must be)."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def by_source(rows: pa.Table) -> dict[str, frozenset[str]]:
    """Fingerprints by source_id; equal sets are one object."""
    found: dict[str, frozenset[str]] = {}
    sets: dict[frozenset[str], frozenset[str]] = {}
    columns = (rows["source_id"].to_pylist(), rows["fingerprint"].to_pylist())
    for source_id, key in zip(*columns, strict=True):
        together = found.get(source_id, frozenset()) | {key}
        found[source_id] = sets.setdefault(together, together)
    return found


def is_latest(rows: pa.Table, key: str, live: pa.Table) -> pa.Array:
    """Mask of the rows whose (`key`, batch) is a pair in `live`, which has each key once."""
    batches = lookup(live[key], live["batch"], rows[key])
    return pc.fill_null(pc.equal(batches, rows["batch"]), fill_value=False)


def joined(rows: pa.Table, column: str) -> pa.ChunkedArray:
    """``modality/granularity/hash`` of each row, the hash from that column."""
    parts = [rows[name] for name in (*PARTITION_COLUMNS, column)]
    return pc.binary_join_element_wise(*parts, "/")


def _of_latest_units(completions: pa.Table, kind: str, units: pa.Table) -> pa.Table:
    """What was complete for earlier units says nothing about the units that replaced them."""
    rows = _latest(completions, kind, ["source_id", "fingerprint"], ["seq"])
    units_seq = lookup(units["source_id"], units["seq"], rows["source_id"])
    return rows.filter(pc.fill_null(pc.greater_equal(rows["seq"], units_seq), fill_value=False))


def _latest(completions: pa.Table, kind: str, keys: Sequence[str], values: list[str]) -> pa.Table:
    """One row a key; `completions` are in the order of seq."""
    rows = completions.filter(pc.field("kind") == kind)
    # Without threads the aggregation keeps the order, which `last` needs.
    last = rows.group_by(list(keys), use_threads=False).aggregate([(v, "last") for v in values])
    return pa.table(
        {name: last[name] for name in keys} | {name: last[f"{name}_last"] for name in values}
    )
