"""What must hold between the tables: whatever `completions` names is there, whole, and once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from infra.lake import paths
from infra.lake.inputs import has_input
from infra.lake.inspect import key_columns, row_keys
from infra.lake.live import as_array, is_latest, joined, lookup
from schemas.tables import PARTITION_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.lake.paths import TableSpec
    from infra.lake.read import LakeView
    from schemas.space import SpaceContract


@dataclass(slots=True)
class Broken:
    """Completions that do not hold, and rows that stand twice.

    Attributes:
        unplaced: uris that are complete without a row in sources.
        unexplained: uris that were rejected without a row in rejects.
        partial: source_ids whose units are not there in the number that sources say.
        unembedded: Space key -> source_ids with a unit that has neither vector nor reject there.
        repeated: Table -> number of rows that stand there again.
        waiting: source_ids that are live and have no units: they are read at the next run that sees them.
    """

    unplaced: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    unembedded: dict[str, list[str]] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is broken; what waits is not."""
        return not (
            self.unplaced or self.unexplained or self.partial or self.unembedded or self.repeated
        )


def check_invariants(view: LakeView, spaces: Mapping[str, SpaceContract]) -> Broken:
    """Compare the tables with each other.

    Args:
        view: All of the lake, not of live rows alone: a file that comes back finds what it had.
        spaces: What is known of each space, by its key; one that is not among them is left out.

    Raises:
        LakeError: A table cannot be read.
    """
    broken = Broken()
    _check_paths(view, broken)
    _check_units(view, broken)
    for key in view.space_keys():
        if key in spaces:
            lost = _without_vector(view, key, spaces[key])
            if lost:
                broken.unembedded[key] = lost
    for spec in (paths.SOURCES, paths.UNITS, paths.COMPLETIONS):
        _check_repeats(view, spec, broken)
    for key in view.space_keys():
        _check_repeats(view, paths.embeddings(key), broken)
    return broken


def _check_paths(view: LakeView, broken: Broken) -> None:
    latest = view.live.paths
    rows = view.all_rows(paths.SOURCES, ["uri", "batch", "outcome"])
    rows = rows.filter(is_latest(rows, "uri", latest))
    named = latest.filter(pc.field("source_id") != "")["uri"]
    broken.unplaced = _lacking(named, rows["uri"])
    rejected = rows.filter(pc.field("outcome") == "rejected")["uri"]
    said = view.all_rows(paths.REJECTS, ["uri", "batch", "unit_id"], pc.field("unit_id") == "")
    broken.unexplained = _lacking(rejected, said.filter(is_latest(said, "uri", latest))["uri"])


def _check_units(view: LakeView, broken: Broken) -> None:
    live = view.live
    units = live.units
    there = view.all_rows(paths.UNITS, ["source_id", "batch"])
    there = there.filter(is_latest(there, "source_id", units))
    counted = there.group_by("source_id").aggregate([([], "count_all")])
    found = pc.fill_null(lookup(counted["source_id"], counted["count_all"], units["source_id"]), 0)
    said = _said_units(view)
    wanted = lookup(said["source_id"], said["units_last"], units["source_id"])
    whole = pc.fill_null(pc.equal(found, wanted), fill_value=False)
    broken.partial = sorted(units["source_id"].filter(pc.invert(whole)).to_pylist())
    done = set(units["source_id"].to_pylist())
    broken.waiting = sorted(set(live.sources.to_pylist()) - done)


def _said_units(view: LakeView) -> pa.Table:
    """(source_id, units_last): how many units the latest complete row of sources says that a content has."""
    rows = view.all_rows(
        paths.SOURCES, ["source_id", "units", "batch"], pc.field("outcome") != "rejected"
    )
    batches = view.live.batches
    seq = lookup(batches["batch"], batches["seq_min"], rows["batch"])
    rows = rows.append_column("seq", seq).filter(pc.is_valid(seq)).sort_by("seq")
    return rows.group_by("source_id", use_threads=False).aggregate([("units", "last")])


def _without_vector(view: LakeView, key: str, space: SpaceContract) -> list[str]:
    """Sources that are complete in a space, with a unit that it takes and that has neither a vector nor a reject."""
    live, column = view.live, space.input_column
    complete = live.spaces.filter(pc.field("fingerprint") == key)["source_id"]
    names = [*PARTITION_COLUMNS, *dict.fromkeys(["unit_id", "source_id", "batch", column])]
    units = view.all_rows(paths.UNITS, names, has_input(column))
    units = units.filter(is_latest(units, "source_id", live.units))
    units = units.filter(pc.is_in(units["source_id"], value_set=as_array(complete)))
    units = units.filter(taken(units, space))
    batches = as_array(live.batches["batch"])
    visible = pc.field("batch").isin(batches)
    vectors = view.all_rows(paths.embeddings(key), [*PARTITION_COLUMNS, "input_hash"], visible)
    has_vector = pc.is_in(
        joined(units, column), value_set=as_array(pc.unique(joined(vectors, "input_hash")))
    )
    rejects = view.all_rows(paths.REJECTS, ["unit_id"], (pc.field("unit_id") != "") & visible)
    rejected = pc.is_in(units["unit_id"], value_set=as_array(rejects["unit_id"]))
    lost = units.filter(pc.invert(pc.or_(has_vector, rejected)))
    return sorted(pc.unique(lost["source_id"]).to_pylist())


def taken(units: pa.Table, space: SpaceContract) -> pa.ChunkedArray:
    """Mask of the units that a space embeds if they have its input.

    Args:
        units: Any rows with their partition.
        space: Which.
    """
    names = pc.binary_join_element_wise(*(units[name] for name in PARTITION_COLUMNS), "/")
    if not space.only:
        return pc.is_valid(names)
    return pc.is_in(names, value_set=pa.array(space.only))


def _check_repeats(view: LakeView, spec: TableSpec, broken: Broken) -> None:
    keys = row_keys(view.all_rows(spec, key_columns(spec)), spec)
    repeats = len(keys) - len(pc.unique(keys))
    if repeats:
        broken.repeated[spec.name] = repeats


def _lacking(wanted: pa.ChunkedArray, there: pa.ChunkedArray) -> list[str]:
    missing = wanted.filter(pc.invert(pc.is_in(wanted, value_set=as_array(there))))
    return sorted(missing.to_pylist())
