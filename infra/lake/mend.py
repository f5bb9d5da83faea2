"""Mending the log of a table: what cannot be read is set aside, a stand-in takes its place, and its files are sought.

Versions never go backwards, since `seq` of completions and the order of snapshots rest on them. A version that is lost
gets a stand-in, a commit that changes nothing; the last of them names the data files that were found on the disk and
that no commit names. So a kill in between leaves a log that still is damaged, and mending it again is the same.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from infra.aside import set_aside
from infra.lake.align import common_width, vector_lengths
from infra.lake.delta import DIM_KEY
from infra.lake.files import file_stats, parquet_bytes
from infra.lake.inspect import (
    check_file,
    data_keys,
    dim_of,
    key_columns,
    partition_of,
    read_file,
    row_keys,
    why_it_does_not_open,
)
from infra.lake.log import LOG, TableLog, read_log

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.lake.paths import TableSpec
    from schemas.blobs import BlobStore

_STAND_IN: Final = "GRISTMILL STAND-IN"


def mend_log(blobs: BlobStore, spec: TableSpec, run_id: str) -> list[str]:
    """Make a table's log readable again.

    Returns:
        What was done, a line each; nothing where the log is whole.

    Raises:
        LakeError: The store cannot be reached.
    """
    done = _mend(blobs, read_log(blobs, spec), run_id)
    if why := why_it_does_not_open(blobs, spec):
        done += _mend(blobs, _nothing_known(blobs, read_log(blobs, spec), why), run_id)
    return done


def _mend(blobs: BlobStore, log: TableLog, run_id: str) -> list[str]:
    spec, done = log.spec, []
    commits = {_commit_key(spec, version) for version in log.unknown}
    for key in sorted(log.damaged.keys() - commits):
        set_aside(blobs, run_id, key)
        done.append(f"set aside {key}: {log.damaged[key]}")
    free = candidates(blobs, log)
    unknown = log.unknown
    if log.top < 0 and data_keys(blobs, spec):
        unknown = list(range(_last_seq(blobs, spec, free) + 1))
    if not unknown:
        return done
    actions: list[dict[str, Any]] = []
    if not log.is_described:
        dim = dim_of(log) or _dim_in(blobs, spec, [*free, *log.files])
        if "vector" in spec.schema.names and not dim:
            return [*done, *_set_table_aside(blobs, spec, run_id)]
        actions = _description(spec, dim)
    adopted = _adopt(blobs, log, free, run_id)
    for version in unknown:
        key = _commit_key(spec, version)
        set_aside(blobs, run_id, key)
        if version == unknown[-1]:
            actions = [*actions, *adopted]
        lines = [json.dumps(action) for action in [_commit_info(), *actions]]
        blobs.put_if_absent(key, "\n".join(lines).encode())
        actions = []
    return [
        *done,
        f"{len(unknown)} versions of {spec.name} that cannot be read have a stand-in; {len(adopted)} data files that"
        " no version names were found and are named again",
    ]


def _nothing_known(blobs: BlobStore, log: TableLog, why: str) -> TableLog:
    """The same log with nothing in it that can be relied on."""
    keys = blobs.list(f"{log.spec.folder}/{LOG}")
    damaged = {key: why for key in keys if not key.endswith(".json")}
    return TableLog(log.spec, damaged, list(range(log.top + 1)), log.top)


def first_seen(keys: pa.ChunkedArray, seen: list[pa.Array]) -> np.ndarray:
    """Mask, bool [rows], of the keys that are not among `seen` and stand here for the first time; adds them to it."""
    encoded = keys.combine_chunks().dictionary_encode()
    mask = np.zeros(len(encoded), dtype=bool)
    mask[np.unique(encoded.indices.to_numpy(), return_index=True)[1]] = True
    for chunk in seen:
        mask &= ~pc.is_in(keys, value_set=chunk).to_numpy().astype(bool)
    seen.append(encoded.dictionary)
    return mask


def candidates(blobs: BlobStore, log: TableLog) -> list[str]:
    """Paths of whole data files that no commit names, or took off."""
    folder = f"{log.spec.folder}/"
    paths = [key.removeprefix(folder) for key in data_keys(blobs, log.spec)]
    free = [path for path in paths if path not in log.files and path not in log.removed]
    return [p for p in free if not check_file(blobs, log.spec, p, None, dim_of(log))[0]]


def _adopt(blobs: BlobStore, log: TableLog, free: list[str], run_id: str) -> list[dict[str, Any]]:
    """Actions that name the candidates again, or what of them stands nowhere else: a sweep may have copied it."""
    spec = log.spec
    seen: list[pa.Array] = []
    if free:
        for path, file in log.files.items():
            if not check_file(blobs, spec, path, file, dim_of(log))[0]:
                first_seen(row_keys(read_file(blobs, spec, path, key_columns(spec)), spec), seen)
    actions = []
    for number, path in enumerate(free):
        rows = read_file(blobs, spec, path, spec.schema.names)
        new = first_seen(row_keys(rows, spec), seen)
        name = path
        if not new.all():
            rows = rows.filter(pa.array(new))
            name = f"{path.rpartition('/')[0]}/{run_id}-mend-{number:04}.parquet".lstrip("/")
        if rows.num_rows:
            rows = rows.drop_columns(list(spec.partition_by))
            if name != path:
                blobs.put(f"{spec.folder}/{name}", parquet_bytes(rows))
            actions.append(_add(blobs, spec, name, rows))
    return actions


def _add(blobs: BlobStore, spec: TableSpec, path: str, rows: pa.Table) -> dict[str, Any]:
    return {
        "add": {
            "path": path,
            "partitionValues": partition_of(path),
            "size": blobs.size_bytes(f"{spec.folder}/{path}"),
            "modificationTime": time.time_ns() // 1_000_000,
            "dataChange": True,
            "stats": file_stats(rows),
        }
    }


def _set_table_aside(blobs: BlobStore, spec: TableSpec, run_id: str) -> list[str]:
    for key in blobs.list(spec.folder):
        set_aside(blobs, run_id, key)
    return [f"set the whole table {spec.name} aside: nothing of it can be read"]


def _last_seq(blobs: BlobStore, spec: TableSpec, found: Iterable[str]) -> int:
    """The highest version that a row says it was committed as."""
    if "seq" not in spec.schema.names:
        return 0
    columns = (read_file(blobs, spec, path, ["seq"])["seq"] for path in found)
    return max((pc.max(column).as_py() or 0 for column in columns), default=0)


def _dim_in(blobs: BlobStore, spec: TableSpec, paths: Iterable[str]) -> int:
    """Dim of the first vector that can be read; 0 for none."""
    if "vector" not in spec.schema.names:
        return 0
    for path in paths:
        wrong, rows = check_file(blobs, spec, path, None, 0)
        if rows and not wrong:
            found = read_file(blobs, spec, path, ["vector", "marks"])
            columns = (found[name].combine_chunks() for name in ("vector", "marks"))
            return common_width(*vector_lengths(*columns))
    return 0


def _description(spec: TableSpec, dim: int) -> list[dict[str, Any]]:
    """Protocol and metadata of a new table, as delta-rs writes them."""
    with tempfile.TemporaryDirectory() as folder:
        DeltaTable.create(
            folder,
            spec.schema,
            partition_by=list(spec.partition_by),
            configuration={DIM_KEY: str(dim)} if dim else None,
            raise_if_key_not_exists=False,
        )
        lines = (Path(folder) / LOG / f"{0:020}.json").read_text().splitlines()
    actions = [json.loads(line) for line in lines]
    return [action for action in actions if "commitInfo" not in action]


def _commit_key(spec: TableSpec, version: int) -> str:
    return f"{spec.folder}/{LOG}/{version:020}.json"


def _commit_info() -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    return {"commitInfo": {"timestamp": now_ms, "operation": _STAND_IN, "operationParameters": {}}}
