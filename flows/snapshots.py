"""Looking at a lake and moving its pointer: what the small commands do. No engine, no Prefect."""

from __future__ import annotations

import json
from typing import Any

from flows import wiring
from flows.manifests import all_manifests, built_after, find_snapshot, read_manifest, read_manifests
from infra import pointer
from infra.contents import KeptContents
from infra.payloads import Payloads
from schemas.errors import ConfigError, FormatError
from schemas.other_formats import OtherFormat


def publish_snapshot(lake_url: str, name: str) -> str:
    """Make a built snapshot the current one; the newest in the format of this version if none is named.

    Args:
        lake_url: The lake.
        name: See :func:`~flows.manifests.find_snapshot`; empty for the newest.

    Returns:
        Its id.

    Raises:
        ConfigError: Nothing was built yet, or the name is that of several.
        FormatError: It is of another format version.
        LakeError: There is no such snapshot.
    """
    blobs = wiring.open_lake(lake_url).blobs
    built = [] if name else read_manifests(blobs)
    if not name and not built:
        raise ConfigError(f"{lake_url} has no built snapshot: gristmill index --lake {lake_url}")
    # Of those built from the same tables the last by the clock: one of them may have lost a space since.
    newest = max(built, key=lambda m: (built_after(m), m.created_at), default=None)
    manifest = newest or read_manifest(blobs, find_snapshot(blobs, name))
    pointer.publish(blobs, manifest.snapshot_id, run_id=manifest.run_id, reason="publish")
    return manifest.snapshot_id


def rollback_snapshot(lake_url: str, name: str) -> str:
    """Make a kept snapshot the current one again; the one before if none is named.

    To one of another format only where it is named: readers of the version that wrote it can open it, others cannot.

    Returns:
        Its id.

    Raises:
        ConfigError: The name is that of several.
        FormatError: None is named, and the one before is of another format version.
        LakeError: There is no such snapshot, or none before.
    """
    blobs = wiring.open_lake(lake_url).blobs
    target = find_snapshot(blobs, name) if name else pointer.previous(blobs)
    if target and not name:
        try:
            read_manifest(blobs, target)
        except FormatError as error:
            raise FormatError(
                f"{error}. To go back to it all the same: gristmill rollback {target}"
            ) from error
    return pointer.rollback(blobs, target)


def protect_snapshot(lake_url: str, name: str, *, protect: bool) -> None:
    """Keep a snapshot, of any format, through all maintenance, or no longer.

    Raises:
        ConfigError: The name is that of several.
        LakeError: There is no such snapshot.
    """
    blobs = wiring.open_lake(lake_url).blobs
    snapshot_id = find_snapshot(blobs, name)
    if protect:
        blobs.put_if_absent(protect_key(snapshot_id), b"")
    else:
        blobs.delete(protect_key(snapshot_id))


def protect_key(snapshot_id: str) -> str:
    """Where it stands that a snapshot is protected."""
    return f"snapshots/{snapshot_id}/protected"


def list_snapshots(lake_url: str) -> list[dict[str, Any]]:
    """Every kept snapshot, oldest first; ``advice`` says what to do about one of another format."""
    blobs = wiring.open_lake(lake_url).blobs
    current = pointer.current(blobs)
    rows = []
    for manifest in all_manifests(blobs):
        other = manifest if isinstance(manifest, OtherFormat) else None
        indexes = manifest.indexes
        rows.append(
            {
                "snapshot": manifest.snapshot_id,
                "current": manifest.snapshot_id == current,
                "protected": blobs.exists(protect_key(manifest.snapshot_id)),
                "created_at": manifest.created_at,
                "run_id": manifest.run_id,
                "rows": manifest.rows,
                "indexes": len(indexes) if isinstance(indexes, tuple) else indexes,
                "format_version": manifest.format_version,
                "advice": other.advice if other else "",
            }
        )
    return rows


def lake_status(lake_url: str) -> dict[str, Any]:
    """What `gristmill status --json` prints."""
    lake = wiring.open_lake(lake_url)
    view = lake.view()
    counts = view.counts()
    runs = view.runs().to_pylist()
    rows: dict[str, dict[str, Any]] = {
        partition: {"units": units, "vectors": {}} for partition, units in counts["units"].items()
    }
    for label, vectors in counts["vectors"].items():
        partition, _, space = label.partition(" @ ")
        if vectors:
            rows[partition]["vectors"][space] = vectors
    sizes = Payloads(lake.blobs).sizes()
    contents = KeptContents(lake.blobs, "").sizes()
    last = None
    if runs:
        last = {
            "run_id": runs[-1]["run_id"],
            "command": runs[-1]["command"],
            "succeeded": runs[-1]["succeeded"],
            "balance": json.loads(runs[-1]["balance"]),
        }
    return {
        "lake": lake.url,
        "snapshot": pointer.current(lake.blobs),
        "tables": view.versions(),
        "paths": counts["paths"],
        "rows": rows,
        "rejects": counts["rejects"],
        "payloads": {"files": len(sizes), "bytes": sum(sizes.values())},
        "contents": {"files": len(contents), "bytes": sum(contents.values())},
        "last_run": last,
    }


def lake_rejects(lake_url: str) -> list[dict[str, Any]]:
    """Rejects that hold now, in order of path."""
    rows = wiring.open_lake(lake_url).rejects().to_pylist()
    return sorted(rows, key=lambda row: (row["path"], row["page"] or 0, row["second"] or 0.0))
