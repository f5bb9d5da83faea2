"""Repairing a lake: what is damaged is taken out, so that what is left is true; the next run builds the rest again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import wiring
from flows.manifests import manifest_key
from flows.surroundings import new_run_id
from flows.verify import contracts_of, verify_lake
from flows.whole import look_at_manifests, look_at_snapshots
from infra import pointer
from infra.aside import set_aside
from infra.contents import KeptContents
from infra.payloads import Payloads
from infra.sources.local import local_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.whole import Snapshots
    from infra.lake.inspect import Progress
    from schemas.blobs import BlobStore
    from schemas.config import Config
    from schemas.findings import Verification


def repair_lake(
    lake_url: str, config: Config, progress: Progress, note: Callable[[str], None]
) -> Verification:
    """Repair a lake as its writer, and look at it again. A repair that was killed is done by the next one.

    Args:
        lake_url: The lake.
        config: How long to wait for a run, and the spaces that no snapshot names.
        progress: Hears what is looked at.
        note: Hears who is waited for.

    Raises:
        ConflictError: Another run did not end in time.
        LakeError: The store cannot be reached.
    """
    lake = wiring.open_lake(lake_url)
    run_id = new_run_id()
    snapshots = look_at_manifests(lake.blobs)
    with lake.repairer(
        run_id,
        spaces=contracts_of(lake, config, snapshots.whole),
        progress=progress,
        wait_s=config.runs.wait_s,
        on_wait=lambda who: note(f"waiting for {who}"),
    ) as repairer:
        repaired = repairer.repair()
        done = [*repaired.done, *_repair_snapshots(lake.blobs, run_id, progress)]
        done += _repair_kept(Payloads(lake.blobs), progress)
        done += _repair_kept(KeptContents(lake.blobs, ""), progress)
        for key, wrong in lake.spaces.faults().items():
            lake.blobs.delete(key)
            done.append(f"deleted {key}: it {wrong}")
    found = verify_lake(lake, config, progress)
    found.repaired = done
    found.reread = sorted(repaired.withdrawn)
    found.lost = [uri for uri in found.reread if is_gone(uri)]
    return found


def is_gone(uri: str) -> bool:
    """Whether a source that lay on this machine is no longer there."""
    return uri.startswith("file://") and not local_path(uri).exists()


def _repair_snapshots(blobs: BlobStore, run_id: str, progress: Progress) -> list[str]:
    """Only whole snapshots stay, and the pointer names one of them, or nothing."""

    def aside(key: str) -> None:
        set_aside(blobs, run_id, key)

    found = look_at_snapshots(blobs, progress)
    done = []
    for key, (wrong, _) in found.damaged.items():
        blobs.delete(key)  # its name is its content: building it again gives the same bytes
        done.append(f"deleted {key}: it {wrong}")
    for snapshot_id in sorted(found.unusable):
        aside(manifest_key(snapshot_id))
        done.append(f"set snapshot {snapshot_id} aside: it is not whole")
    done += [f"entry {n} of the pointer has a stand-in" for n in pointer.mend(blobs, run_id, aside)]
    return [*done, *_point_at_a_whole_one(blobs, run_id, found, aside)]


def _repair_kept(kept: Payloads | KeptContents, progress: Progress) -> list[str]:
    """What is kept is only what its name says; what is missing is decoded when it is needed."""
    done = []
    for key, wrong in kept.faults(progress).items():
        kept.delete(key)
        done.append(f"deleted {key}: it {wrong}")
    return done


def _point_at_a_whole_one(
    blobs: BlobStore, run_id: str, found: Snapshots, aside: Callable[[str], None]
) -> list[str]:
    current = pointer.current(blobs)
    if current is None or blobs.exists(manifest_key(current)):
        return []
    usable = {s for s in found.whole if s not in found.unusable}
    published = [e.snapshot_id for e in reversed(pointer.history(blobs))]
    target = next((s for s in published if s in usable), None)
    if target is None:
        pointer.retract(blobs, aside)
        return [f"nothing is published any more: {current} was, and no snapshot is whole"]
    reason = f"repair: {current} is not whole"
    pointer.rollback(blobs, target, run_id=run_id, reason=reason)
    return [f"went back from snapshot {current}, which is not whole, to {target}"]
