"""The Delta log of one table, read by ourselves: delta-rs opens a log or not, this says which of its files is damaged.

Only what is needed of the protocol: the files that a log names now, and what stands in the way of knowing them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from infra.lake.paths import spec_of
from infra.local_blobs import is_key
from schemas.errors import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.lake.paths import TableSpec
    from schemas.blobs import BlobStore

LOG: Final = "_delta_log"
HINT: Final = "_last_checkpoint"
_COMMIT: Final = re.compile(r"(\d{20})\.json")
_CHECKPOINT: Final = re.compile(r"(\d{20})\.checkpoint\.parquet")


@dataclass(frozen=True, slots=True)
class LoggedFile:
    """What the log says of a data file.

    Attributes:
        path: Below the table's folder.
        size_bytes: Its size.
        partition: Values of the partition columns.
        rows: Number of rows; None where the log does not say.
        least, most: Bounds by column; those of strings may be cut.
    """

    path: str
    size_bytes: int
    partition: dict[str, str]
    rows: int | None
    least: dict[str, Any]
    most: dict[str, Any]


@dataclass(slots=True)
class TableLog:
    """A log as far as it can be read.

    Attributes:
        spec: Of which table.
        damaged: Key of a file of the log -> what is wrong with it.
        unknown: Versions that the present needs and that are missing or damaged, ascending.
        top: Highest version that there is a trace of; -1 where there is no log.
        files: By path, as of now; too many or too few where `unknown` is not empty.
        removed: Paths that a commit took off, of commits that can be read.
        metadata: Delta's description of the table; None where it is lost.
        has_protocol: Whether Delta's version is stated.
    """

    spec: TableSpec
    damaged: dict[str, str] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    top: int = -1
    files: dict[str, LoggedFile] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    metadata: dict[str, Any] | None = None
    has_protocol: bool = False

    @property
    def is_described(self) -> bool:
        """Whether it says what kind of table it is, without which nobody opens it."""
        return self.has_protocol and self.metadata is not None

    def replay(self, actions: Iterable[dict[str, Any]]) -> None:
        """Apply the actions of one commit, or of a checkpoint."""
        for action in actions:
            if "metaData" in action:
                _check_metadata(action["metaData"], self.spec)
                self.metadata = action["metaData"]
            elif "protocol" in action:
                self.has_protocol = True
            elif "add" in action:
                file = _logged(action["add"])
                self.files[file.path] = file
                self.removed.discard(file.path)
            elif "remove" in action:
                path = unquote(action["remove"]["path"])
                self.files.pop(path, None)
                self.removed.add(path)


def table_specs(keys: Iterable[str]) -> list[TableSpec]:
    """The tables that any of the keys below ``tables`` belongs to, with a log or without, by name."""
    names = set()
    for key in keys:
        parts = key.split("/")[1:]
        deep = 2 if parts[0] == "embeddings" else 1
        if len(parts) > deep:
            names.add("/".join(parts[:deep]))
    return [spec for name in sorted(names) if (spec := _spec_or_none(name))]


def read_log(blobs: BlobStore, spec: TableSpec) -> TableLog:
    """Read a table's log.

    Raises:
        LakeError: The store cannot be reached.
    """
    log = TableLog(spec)
    folder = f"{spec.folder}/{LOG}"
    names = {key.rpartition("/")[2]: key for key in blobs.list(folder)}
    commits = {int(m[1]): key for name, key in names.items() if (m := _COMMIT.fullmatch(name))}
    checkpoints = {
        int(m[1]): key for name, key in names.items() if (m := _CHECKPOINT.fullmatch(name))
    }
    log.top = max([*commits, *checkpoints], default=-1)
    base = _read_checkpoint(blobs, checkpoints, log)
    _check_hint(blobs, names, base, log)
    for version in range(base + 1, log.top + 1):
        key = commits.get(version, "")
        wrong = f"version {version} is missing" if not key else ""
        if key:
            actions, wrong = _read_commit(blobs.get(key), spec)
            log.replay(actions)
        if wrong:
            log.unknown.append(version)
            log.damaged[f"{folder}/{version:020}.json"] = wrong
    if log.top >= 0 and not log.is_described and base + 1 not in log.unknown:
        log.unknown.insert(0, base + 1)
        log.damaged[f"{folder}/{base + 1:020}.json"] = "lacks the description of the table"
    for version, key in commits.items():
        if version <= base and (wrong := _read_commit(blobs.get(key), spec)[1]):
            log.damaged[key] = f"{wrong}; only history needs it"
    return log


def _spec_or_none(name: str) -> TableSpec | None:
    try:
        return spec_of(name)
    except LakeError:
        return None


def _read_commit(data: bytes, spec: TableSpec) -> tuple[list[dict[str, Any]], str]:
    """Actions of a commit, and what is wrong with it; none if anything is."""
    try:
        actions = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
    except ValueError as error:
        return [], f"cannot be parsed: {error}"
    if not actions:
        return [], "is empty"
    try:
        _check_actions(actions, spec)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [], f"is no commit: {error!r}"
    return actions, ""


def _check_actions(actions: list[dict[str, Any]], spec: TableSpec) -> None:
    """Raise what reading them raises.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: They are not those of a whole commit.
    """
    TableLog(spec).replay(actions)
    operation = {k: v for action in actions for k, v in action.get("commitInfo", {}).items()}
    # Each commit of rows carries its application transaction, which stands last.
    if operation.get("operation") == "WRITE" and not any("txn" in action for action in actions):
        raise ValueError("it ends before its transaction")


def _read_checkpoint(blobs: BlobStore, checkpoints: dict[int, str], log: TableLog) -> int:
    """Replay the latest checkpoint that can be read; gives its version, -1 for none."""
    for version in sorted(checkpoints, reverse=True):
        key = checkpoints[version]
        try:
            rows = pq.read_table(pa.BufferReader(blobs.get(key))).to_pylist()
            log.replay(_filled(row) for row in rows)
            _check_described(log)
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            log.damaged[key] = f"cannot be read: {str(error).partition(chr(10))[0]}"
            log.files, log.removed, log.metadata, log.has_protocol = {}, set(), None, False
            continue
        return version
    return -1


def _check_metadata(metadata: dict[str, Any], spec: TableSpec) -> None:
    """Raise unless it describes this table, or an earlier form of it that lacks a column."""
    names = {field["name"] for field in json.loads(metadata["schemaString"])["fields"]}
    if (
        not names <= set(spec.schema.names)
        or tuple(metadata["partitionColumns"]) != spec.partition_by
    ):
        raise ValueError(f"it describes another table than {spec.name}")


def _check_described(log: TableLog) -> None:
    if not log.is_described:
        raise ValueError("it lacks the description of the table")


def _check_hint(blobs: BlobStore, names: dict[str, str], base: int, log: TableLog) -> None:
    key = names.get(HINT)
    if key is None:
        return
    try:
        said = int(json.loads(blobs.get(key))["version"])
    except (ValueError, KeyError, TypeError) as error:
        log.damaged[key] = f"cannot be parsed: {error!r}"
        return
    if said > base:
        log.damaged[key] = f"names the checkpoint of version {said}, which is missing or damaged"


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a checkpoint as an action: Parquet has every kind of it in every row."""
    action = {name: value for name, value in row.items() if value is not None}
    add = action.get("add")
    if add is not None and not isinstance(add["partitionValues"], dict):
        action["add"] = {**add, "partitionValues": dict(add["partitionValues"] or [])}
    metadata = action.get("metaData")
    if metadata is not None and not isinstance(metadata.get("configuration"), dict):
        action["metaData"] = {**metadata, "configuration": dict(metadata["configuration"] or [])}
    return action


def _logged(add: dict[str, Any]) -> LoggedFile:
    stats = json.loads(add.get("stats") or "{}")
    if not {"modificationTime", "dataChange"} <= add.keys():
        raise ValueError("a file is named without what Delta wants of it")
    path = unquote(add["path"])
    if not is_key(path):
        raise ValueError(f"{path!r} is no path of ours")
    return LoggedFile(
        path=path,
        size_bytes=int(add["size"]),
        partition=dict(add["partitionValues"]),
        rows=stats.get("numRecords"),
        least=stats.get("minValues", {}),
        most=stats.get("maxValues", {}),
    )
