"""Looking at a lake and moving its pointer: what the small commands do. No engine, no Prefect."""

from __future__ import annotations

import json
from typing import Any

from flows import wiring
from flows.build import read_manifest, read_manifests
from infra import pointer
from schemas.errors import ConfigError


def publish_snapshot(lake_url: str, snapshot_id: str) -> str:
    """Make a built snapshot the current one; the newest if none is named.

    Raises:
        ConfigError: Nothing was built yet.
        LakeError: There is no such snapshot.
    """
    blobs = wiring.open_lake(lake_url).blobs
    if not snapshot_id:
        built = read_manifests(blobs)
        if not built:
            raise ConfigError(
                f"{lake_url} has no built snapshot: gristmill index --lake {lake_url}"
            )
        snapshot_id = built[-1].snapshot_id
    manifest = read_manifest(blobs, snapshot_id)
    pointer.publish(blobs, snapshot_id, run_id=manifest.run_id, reason="publish")
    return snapshot_id


def rollback_snapshot(lake_url: str, snapshot_id: str) -> str:
    """Make a kept snapshot the current one again; the one before if none is named."""
    blobs = wiring.open_lake(lake_url).blobs
    pointer.rollback(blobs, snapshot_id or None)
    return pointer.current(blobs) or ""


def protect_snapshot(lake_url: str, snapshot_id: str, *, protect: bool) -> None:
    """Keep a snapshot through all maintenance, or no longer.

    Raises:
        LakeError: There is no such snapshot.
    """
    blobs = wiring.open_lake(lake_url).blobs
    read_manifest(blobs, snapshot_id)
    if protect:
        blobs.put_if_absent(protect_key(snapshot_id), b"")
    else:
        blobs.delete(protect_key(snapshot_id))


def protect_key(snapshot_id: str) -> str:
    """Where it stands that a snapshot is protected."""
    return f"snapshots/{snapshot_id}/protected"


def list_snapshots(lake_url: str) -> list[dict[str, Any]]:
    """Every kept snapshot, oldest first."""
    blobs = wiring.open_lake(lake_url).blobs
    current = pointer.current(blobs)
    return [
        {
            "snapshot": manifest.snapshot_id,
            "current": manifest.snapshot_id == current,
            "protected": blobs.exists(protect_key(manifest.snapshot_id)),
            "created_at": manifest.created_at,
            "run_id": manifest.run_id,
            "rows": sum(entry.rows for entry in manifest.indexes),
            "indexes": len(manifest.indexes),
        }
        for manifest in read_manifests(blobs)
    ]


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
        "last_run": last,
    }


def lake_rejects(lake_url: str) -> list[dict[str, Any]]:
    """Rejects that hold now, in order of path."""
    rows = wiring.open_lake(lake_url).rejects().to_pylist()
    return sorted(rows, key=lambda row: (row["path"], row["page"] or 0, row["second"] or 0.0))
