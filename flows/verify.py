"""Verifying a lake: every file of it is read, and what belongs together is compared. Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flows import wiring
from flows.maintain import staging_files, unneeded, unneeded_contents, unneeded_payloads
from flows.manifests import find_snapshot, manifest_key
from flows.whole import Snapshots, look_at_snapshots
from infra import pointer
from infra.aside import ASIDE
from infra.contents import CONTENT, KeptContents
from infra.lake import lock
from infra.lake.inspect import inspect_tables
from infra.lake.invariants import check_invariants
from infra.payloads import PAYLOADS, Payloads
from schemas.errors import LakeError
from schemas.findings import Check, Finding, Verification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.lake import Lake
    from infra.lake.inspect import InspectedTable, Progress
    from infra.lake.invariants import Broken
    from schemas.config import Config
    from schemas.manifest import Manifest
    from schemas.space import SpaceContract

_REPAIR: Final = "gristmill verify --repair, then gristmill run over the same sources"
_READ_AGAIN: Final = "its files are read again; no vector is embedded again"
_COSTS: Final = {
    "sources": f"the names in it, and what was found out about them: {_READ_AGAIN}",
    "units": f"its units: {_READ_AGAIN}",
    "rejects": "why files failed: those are read again, and files that lost a part",
    "completions": f"what it made visible: {_READ_AGAIN}",
    "runs": "the record of some runs, for good; nothing else",
}
_COSTS_VECTORS: Final = (
    "its vectors: files that have them are read again, and just these vectors embedded again"
)
_SHOWN: Final = 3


def verify_lake(lake: Lake, config: Config, progress: Progress) -> Verification:
    """Look at all of a lake.

    Args:
        lake: Which; a run may go on meanwhile.
        config: Names spaces that no snapshot does.
        progress: Hears what is looked at.

    Raises:
        LakeError: The store cannot be reached.
    """
    found = Verification(lake.url)
    tables = inspect_tables(lake.blobs, progress)
    for table in tables:
        _tell_table(table, found)
    snapshots = look_at_snapshots(lake.blobs, progress)
    _tell_snapshots(snapshots, found)
    _tell_pointer(lake, snapshots, found)
    _tell_lease(lake, found)
    _tell_payloads(lake, progress, found)
    _tell_contents(lake, progress, found)
    _tell_spaces(lake, found)
    if all(table.is_whole for table in tables):
        _tell_invariants(
            check_invariants(lake.view(), contracts_of(lake, config, snapshots.whole)), found
        )
    else:
        found.checks.append(
            Check("tables together", "not looked at: the tables are damaged", ok=False)
        )
    _tell_leftovers(lake, tables, snapshots, found)
    return found


def verify_snapshot(lake_url: str, name: str, progress: Progress) -> Verification:
    """Look at one snapshot only, by its id, a start of it, ``current`` or ``previous``.

    Raises:
        ConfigError: The name is that of several.
        LakeError: There is no such snapshot, or the store cannot be reached.
    """
    blobs = wiring.open_blobs_of(lake_url)
    found = Verification(blobs.url)
    snapshot_id = find_snapshot(blobs, name)
    snapshots = look_at_snapshots(blobs, progress, snapshot_id)
    if snapshot_id not in snapshots.ids:
        raise LakeError(f"{lake_url} has no snapshot {snapshot_id}: gristmill snapshots lists them")
    _tell_snapshots(snapshots, found)
    return found


def contracts_of(
    lake: Lake, config: Config, manifests: Mapping[str, Manifest]
) -> dict[str, SpaceContract]:
    """Every space that a contract is known of, by its key: of the profile, of snapshots, of the lake."""
    named = [*wiring.contracts(config), *(s for m in manifests.values() for s in m.spaces)]
    return {space.key: space for space in named} | lake.spaces.contracts()


def _tell_table(table: InspectedTable, found: Verification) -> None:
    name = table.spec.name
    costs = _COSTS.get(name, _COSTS_VECTORS)
    log = table.log
    for key, wrong in log.damaged.items():
        history = not log.unknown
        cost = "older versions of the table" if history else f"if its files are gone too, {costs}"
        found.findings.append(Finding(f"log of {name}", key, wrong, cost, _REPAIR))
    for damaged in table.damaged:
        key = f"{table.spec.folder}/{damaged.file.path}"
        found.findings.append(Finding(f"table {name}", key, damaged.wrong, costs, _REPAIR))
    if table.lacks_log:
        wrong = f"is gone, while {len(table.unnamed)} data files are there"
        found.findings.append(Finding(f"log of {name}", table.spec.folder, wrong, costs, _REPAIR))
    value = f"{table.files} files, {table.rows} rows, version {log.top}"
    found.checks.append(Check(f"table {name}", value, table.is_whole))


def _tell_invariants(broken: Broken, found: Verification) -> None:
    lines = [
        ("sources", broken.unplaced, "complete paths have no row in sources"),
        ("rejects", broken.unexplained, "rejected paths have no row in rejects"),
        ("units", broken.partial, "contents have not the number of units that sources say"),
    ]
    lines += [
        (f"embeddings/{key}", lost, "contents that are complete lack vectors")
        for key, lost in broken.unembedded.items()
    ]
    for table, lost, what in lines:
        if lost:
            wrong = f"{len(lost)} {what}: {_some(lost)}"
            costs = _COSTS.get(table, _COSTS_VECTORS)
            found.findings.append(Finding(f"table {table}", "", wrong, costs, _REPAIR))
    for table, count in broken.repeated.items():
        wrong = f"{count} rows stand there twice"
        found.findings.append(Finding(f"table {table}", "", wrong, "nothing", _REPAIR))
    found.checks.append(
        Check("tables together", "what is complete is there, and once", broken.holds)
    )
    if broken.waiting:
        found.information["contents that the next run reads again"] = len(broken.waiting)


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _tell_snapshots(snapshots: Snapshots, found: Verification) -> None:
    current, spoiled = snapshots.current, snapshots.unusable
    for snapshot_id, wrong in snapshots.broken.items():
        costs = "the published snapshot" if snapshot_id == current else "a snapshot that is kept"
        key = manifest_key(snapshot_id)
        found.findings.append(
            Finding(f"snapshot {snapshot_id}", key, wrong, costs, _advice(snapshot_id == current))
        )
    for key, (wrong, owners) in snapshots.damaged.items():
        what = f"segment {key.split('/')[1]}" if key.startswith("segments/") else "snapshot files"
        published = current in owners
        costs = f"snapshots {_some(owners)}{', the published one' if published else ''}"
        found.findings.append(Finding(what, key, wrong, costs, _advice(published)))
    for check in snapshots.recalls:
        found.checks.append(check)
        if not check.ok:
            costs = "answers of the published snapshot"
            found.findings.append(
                Finding(f"index {check.name}", "", check.value, costs, _advice(True))
            )
    for snapshot_id, other in snapshots.others.items():
        value = f"{'published, ' if snapshot_id == current else ''}{other.advice}"
        found.checks.append(Check(f"snapshot {snapshot_id}", value, snapshot_id not in spoiled))
    value = f"{len(snapshots.whole)} whole, {snapshots.files} files"
    found.checks.append(Check("snapshots", value, snapshots.is_whole))


def _advice(published: bool) -> str:
    if published:
        return "gristmill verify --repair goes back to the newest whole snapshot; gristmill run builds this one again"
    return "gristmill verify --repair drops it; what of it is still live is built again by the next run"


def _tell_pointer(lake: Lake, snapshots: Snapshots, found: Verification) -> None:
    entries, wrong = pointer.look(lake.blobs)
    for number, why in wrong.items():
        advice = "gristmill verify --repair puts the move before it in its place"
        costs = (
            "which snapshot is published, until then"
            if number > max(entries, default=0)
            else "history"
        )
        found.findings.append(Finding("pointer", pointer.key_of(number), why, costs, advice))
    current = entries[max(entries)].snapshot_id if entries else None
    missing = current is not None and current not in snapshots.ids
    if current is not None and missing:
        found.findings.append(
            Finding(
                f"snapshot {current}",
                manifest_key(current),
                "is missing, while the pointer names it",
                "the published snapshot",
                _advice(True),
            )
        )
    found.checks.append(Check("pointer", f"{len(entries)} moves", not wrong and not missing))


def _tell_lease(lake: Lake, found: Verification) -> None:
    key, wrong = lock.fault(lake.blobs)
    if key:
        advice = "delete it if no run is active"
        found.findings.append(Finding("lease", key, wrong, "nothing, but no run can start", advice))


def _tell_payloads(lake: Lake, progress: Progress, found: Verification) -> None:
    payloads = Payloads(lake.blobs)
    faults = payloads.faults(progress)
    costs = "nothing now: its source is decoded when its pixels are embedded in another space"
    advice = "gristmill verify --repair deletes it"
    found.findings += [Finding("payload", key, why, costs, advice) for key, why in faults.items()]
    sizes = payloads.sizes()
    if sizes:
        value = f"{len(sizes)} files, {sum(sizes.values())} bytes"
        found.checks.append(Check(PAYLOADS, value, not faults))


def _tell_contents(lake: Lake, progress: Progress, found: Verification) -> None:
    contents = KeptContents(lake.blobs, "")
    faults = contents.faults(progress)
    costs = "nothing now: its source is decoded when it is cut anew"
    advice = "gristmill verify --repair deletes it"
    found.findings += [Finding("content", key, why, costs, advice) for key, why in faults.items()]
    sizes = contents.sizes()
    if sizes:
        value = f"{len(sizes)} files, {sum(sizes.values())} bytes"
        found.checks.append(Check(CONTENT, value, not faults))


def _tell_spaces(lake: Lake, found: Verification) -> None:
    costs = "what the vectors of this space are, while neither the profile nor a snapshot names it"
    advice = "gristmill verify --repair deletes it; a run with the space in its profile writes it"
    faults = lake.spaces.faults()
    found.findings += [
        Finding("contract of a space", key, why, costs, advice) for key, why in faults.items()
    ]


def _tell_leftovers(
    lake: Lake, tables: list[InspectedTable], snapshots: Snapshots, found: Verification
) -> None:
    left = {
        "data files that no table names": sum(len(t.unnamed) for t in tables if t.is_whole),
        "half-written files of killed writers": len(staging_files(lake.url)),
        "files that a repair set aside": len(lake.blobs.list(ASIDE)),
    }
    if all(table.is_whole for table in tables):
        left["payloads that no live unit has"] = len(unneeded_payloads(lake))
        left["contents of no live source"] = len(unneeded_contents(lake))
    if snapshots.is_whole:
        left["files that no snapshot names"] = len(unneeded(lake.blobs, snapshots.readable))
    found.information |= {what: count for what, count in left.items() if count}
