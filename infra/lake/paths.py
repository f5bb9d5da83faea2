"""Where each table lies under the lake's root, and what its rows must look like."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.remote import allows_http
from schemas import tables
from schemas.errors import LakeError

if TYPE_CHECKING:
    import pyarrow as pa

MARKER_KEY: Final = "lake.json"
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_EMBEDDINGS: Final = "embeddings/"


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table.

    Attributes:
        name: ``units``, ``embeddings/<space key>``; its folder is ``tables/<name>``.
        schema: The canonical one.
        partition_by: Partition columns, empty for none.
        sort_by: Columns that order the rows of a file; together they tell rows of one batch apart.
    """

    name: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    sort_by: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Key of its folder under the lake's root."""
        return f"tables/{self.name}"


SOURCES: Final = TableSpec("sources", tables.SOURCES, (), ("uri",))
UNITS: Final = TableSpec("units", tables.UNITS, tables.PARTITION_COLUMNS, ("unit_id",))
REJECTS: Final = TableSpec(
    "rejects",
    tables.REJECTS,
    (),
    ("uri", "unit_id", "stage", "code", "page", "second", "reason"),
)
COMPLETIONS: Final = TableSpec(
    "completions", tables.COMPLETIONS, (), ("kind", "uri", "source_id", "fingerprint")
)
RUNS: Final = TableSpec("runs", tables.RUNS, (), ("run_id",))


def embeddings(space_key: str) -> TableSpec:
    """The table of one space.

    Raises:
        LakeError: `space_key` cannot be a folder's name.
    """
    return TableSpec(
        _EMBEDDINGS + check_name(space_key, "space key"),
        tables.EMBEDDINGS,
        tables.PARTITION_COLUMNS,
        (*tables.PARTITION_COLUMNS, "input_hash"),
    )


def spec_of(name: str) -> TableSpec:
    """The table called `name`, e.g. in a manifest's `table_versions`.

    Raises:
        LakeError: There is no such table.
    """
    if name.startswith(_EMBEDDINGS):
        return embeddings(name.removeprefix(_EMBEDDINGS))
    for spec in (SOURCES, UNITS, REJECTS, COMPLETIONS, RUNS):
        if spec.name == name:
            return spec
    raise LakeError(f"a lake has no table {name!r}")


def check_name(name: str, what: str) -> str:
    """Return `name` if it can be part of a path.

    Raises:
        LakeError: It cannot; `what` says what it was meant for.
    """
    if not _NAME.fullmatch(name):
        raise LakeError(f"{name!r} is no {what}: use letters, digits, dots, hyphens, underscores")
    return name


def storage_options(url: str) -> dict[str, str]:
    """Options for delta-rs. Credentials, region and endpoint it reads from the environment itself.

    Conditional put is its default for commits on S3, so no lock table is needed.
    """
    if url.startswith("s3") and allows_http(os.environ):
        return {"AWS_ALLOW_HTTP": "true"}
    return {}
