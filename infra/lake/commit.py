"""A batch: rows of several tables that become visible together, by their completions, which are committed last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.lake import paths
from infra.lake.align import align, check_vectors
from infra.lake.live import BATCH_KIND
from schemas.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.lake.delta import DeltaTables
    from infra.lake.paths import TableSpec

_KINDS: Final = pa.array(["path", "units", "space", "derived", BATCH_KIND])


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """Rows of one batch. Tables follow schemas/tables.py; any but `completions` may be empty.

    Attributes:
        batch_id: From :func:`make_batch_id`; stands in the column ``batch`` of every row.
        sources: One row per uri of a `path` completion that has content or was rejected.
        units: All units of each source that `completions` names as kind ``units``.
        embeddings: By space key.
        rejects: Of files, of their parts and of units.
        completions: What this batch makes visible. ``seq`` is set by the commit: give 0.
    """

    batch_id: str
    sources: pa.Table
    units: pa.Table
    embeddings: dict[str, pa.Table]
    rejects: pa.Table
    completions: pa.Table


@dataclass(frozen=True, slots=True)
class CommitStep:
    """One table's part of a commit.

    Attributes:
        table: ``units``, ``embeddings/<space key>``.
        rows: Number of rows it commits.
        run: Commits them; False when they were there already.
    """

    table: str
    rows: int
    run: Callable[[], bool]


def make_batch_id(run_id: str, number: int) -> str:
    """Id of the `number`-th batch of a run, from 0.

    Raises:
        LakeError: `run_id` cannot be part of a file's name.
    """
    return f"{paths.check_name(run_id, 'run id')}-{number:06}"


def plan_steps(
    batch: CommitBatch, run_id: str, tables: DeltaTables, token: int | None
) -> list[CommitStep]:
    """Check a batch as a whole and cut its commit into steps, one a table, completions last.

    Running only the first k steps is what a crash leaves behind: rows that nobody sees. Every commit is checked
    against the writer's fencing `token`: what an ousted writer still adds elsewhere never becomes visible.

    Raises:
        LakeError: Rows do not fit their schema or each other.
        VectorError: Vectors differ in dim or are not finite.
    """
    number = _number(batch.batch_id, run_id)
    aligned = _aligned(batch)
    _check_rows(aligned, batch.batch_id)
    steps = []
    for spec, rows in aligned.items():
        if rows.num_rows:
            dim = check_vectors(rows, spec.name) if "vector" in rows.column_names else 0
            append = partial(
                tables.append, spec, rows, app_id=f"{run_id}/{spec.name}", number=number
            )
            steps.append(
                CommitStep(spec.name, rows.num_rows, partial(append, dim=dim, token=token))
            )
    return steps


def _number(batch_id: str, run_id: str) -> int:
    digits = batch_id.rpartition("-")[2]
    if not digits.isdigit() or batch_id != make_batch_id(run_id, int(digits)):
        raise LakeError(f"{batch_id!r} is no batch of run {run_id!r}: make it with make_batch_id")
    return int(digits)


def _aligned(batch: CommitBatch) -> dict[TableSpec, pa.Table]:
    given = {paths.SOURCES: batch.sources, paths.UNITS: batch.units}
    for key in sorted(batch.embeddings):
        given[paths.embeddings(key)] = batch.embeddings[key]
    given[paths.REJECTS] = batch.rejects
    given[paths.COMPLETIONS] = batch.completions
    return {spec: align(rows, spec) for spec, rows in given.items()}


def _check_rows(aligned: dict[TableSpec, pa.Table], batch_id: str) -> None:
    for spec, rows in aligned.items():
        if not pc.all(pc.equal(rows.column("batch"), batch_id), min_count=0).as_py():
            raise LakeError(f"rows for {spec.name} name another batch than {batch_id}")
    completions, sources = aligned[paths.COMPLETIONS], aligned[paths.SOURCES]
    _check_completions(completions)
    _check_unique(sources, ["uri"], "sources")
    _check_paths(completions.filter(pc.field("kind") == "path"), sources)
    complete = completions.filter(pc.field("kind") == "units").column("source_id")
    units = aligned[paths.UNITS].column("source_id")
    orphans = pc.unique(units.filter(pc.invert(pc.is_in(units, value_set=complete))))
    if len(orphans):
        raise LakeError(
            f"units of {len(orphans)} sources would never be seen, {orphans[0].as_py()} for one: add a"
            " completion of kind units for each"
        )


def _check_completions(completions: pa.Table) -> None:
    if not completions.num_rows:
        raise LakeError("a batch without completions would never be seen: add the completions")
    if not pc.all(pc.is_in(completions.column("kind"), value_set=_KINDS)).as_py():
        raise LakeError(f"kinds of completions are {', '.join(_KINDS.to_pylist())}")
    paths_done = completions.filter(pc.field("kind") == "path")
    units_done = completions.filter(pc.field("kind") == "units")
    spaces_done = completions.filter(pc.field("kind") == "space")
    _check_unique(paths_done, ["uri"], "completions of kind path")
    _check_unique(units_done, ["source_id"], "completions of kind units")
    _check_unique(spaces_done, ["source_id", "fingerprint"], "completions of kind space")
    derived_done = completions.filter(pc.field("kind") == "derived")
    _check_unique(derived_done, ["source_id", "fingerprint"], "completions of kind derived")


def _check_unique(rows: pa.Table, keys: list[str], what: str) -> None:
    counts = rows.select(keys).group_by(keys).aggregate([([], "count_all")])
    repeated = counts.filter(pc.field("count_all") > 1)
    if repeated.num_rows:
        row = {key: repeated[key][0].as_py() for key in keys}
        raise LakeError(f"{repeated.num_rows} repeated {what} in one batch, {row} for one")


def _check_paths(completions: pa.Table, sources: pa.Table) -> None:
    """A path with content has an indexed or duplicate row in sources, a rejected one a rejected, a gone one none."""
    said = sources.filter(pc.field("outcome") != "rejected").select(["uri", "source_id"])
    done = completions.filter(pc.field("source_id") != "").select(["uri", "source_id"])
    if not said.equals(done):  # both are sorted by uri
        raise LakeError(
            "completions of kind path and rows of sources disagree: each uri with content needs both,"
            " with the same source_id"
        )
    unnamed = sources.filter(pc.invert(pc.is_in(sources["uri"], value_set=completions["uri"])))
    if unnamed.num_rows:
        raise LakeError(
            f"{unnamed.num_rows} rows of sources have no completion of kind path,"
            f" {unnamed['uri'][0].as_py()} for one"
        )
