"""A lake with snapshots that an older or a newer gristmill wrote: nothing crashes, nothing of them is lost."""

import json

import pytest
from typer.testing import CliRunner

import gristmill
from flows import snapshots
from flows.cli import app
from flows.forget import find_target, prepare
from flows.maintain import collect
from flows.manifests import all_manifests, known_manifests
from flows.show import show_collected
from infra import pointer
from infra.lake import Lake
from schemas.config import Config, Runs
from schemas.errors import ConfigError, FormatError
from tests.tiny_snapshots import put, put_numbered

OLD, NEW = "0" * 16, "f" * 16
OLD_FILES = [f"segments/{'1' * 32}/{name}" for name in ("index.faiss", "rows.arrow", "stats.json")]
OLD_FILES += [f"snapshots/files/{'2' * 64}.npy", f"snapshots/files/{'3' * 64}.arrow"]


@pytest.fixture
def lake(tmp_path):
    return Lake.open(str(tmp_path / "lake"), create=True)


def put_old(lake) -> None:
    """As version 1 wrote them."""
    *segment, prototypes, sources = (
        vars_of(put(lake.blobs, key, key.encode())) for key in OLD_FILES
    )
    index = {
        "partition": "text/paragraph",
        "space": "minilm-0123456789ab",
        "family": "flat",
        "parameters": {},
        "search": {},
        "rows": 7,
        "recall_at_10": 1.0,
        "latency_ms_p50": 0.1,
        "latency_ms_p99": 0.1,
        "checks": [],
        "segments": [{"digest": "1" * 32, "input_digest": "4" * 32, "rows": 7, "files": segment}],
        "calibration": {},
        "prototypes": prototypes,
    }
    manifest = {
        "snapshot_id": OLD,
        "created_at": "2025-01-01T00:00:00+00:00",
        "run_id": "run-old",
        "table_versions": {"completions": 0},
        "spaces": [],
        "indexes": [index],
        "sources": sources,
        "router": {},
        "format_version": 1,
    }
    lake.blobs.put(f"snapshots/{OLD}/manifest.json", json.dumps(manifest).encode())


def put_new(lake) -> None:
    """As a later version may write them: only the number of the format is sure."""
    lake.blobs.put(f"snapshots/{NEW}/manifest.json", b'{"format_version": 99, "shards": []}')
    lake.blobs.put("segments/later/data.bin", b"what only the later version knows")


def vars_of(ref) -> dict:
    return {"key": ref.key, "size_bytes": ref.size_bytes, "sha256": ref.sha256}


def publish(lake, snapshot_id: str) -> None:
    pointer.publish(lake.blobs, snapshot_id, run_id="", reason="")


def run(lake, *arguments: str):
    return CliRunner().invoke(app, [*arguments, "--lake", lake.url], env={"COLUMNS": "200"})


def gc(lake, keep: int, *, dry_run: bool = False):
    config = Config(runs=Runs(keep_snapshots=keep, wait_s=0))
    run_id = f"gc-{len(lake.blobs.list('locks'))}"
    return collect(lake.url, config, run_id, dry_run=dry_run, note=lambda _: None)


def test_all_are_listed_with_what_to_do(lake):
    put_old(lake)
    put_new(lake)
    ours = put_numbered(lake.blobs, 1).snapshot_id
    publish(lake, OLD)
    rows = snapshots.list_snapshots(lake.url)
    assert [(row["snapshot"], row["format_version"], row["rows"]) for row in rows] == [
        (OLD, 1, 7),
        (ours, 2, 60),
        (NEW, 99, None),
    ]
    shown = run(lake, "snapshots").output
    assert "current, format 1" in shown
    assert f"snapshot {OLD} has format version 1, this gristmill reads 2: build a new one" in shown
    assert (
        f"snapshot {NEW} has format version 99, newer than this gristmill reads (2): update"
        in shown
    )
    status = run(lake, "status")
    assert (status.exit_code, OLD in status.output) == (0, True)


@pytest.mark.parametrize(
    ("snapshot_id", "advice"),
    [(OLD, "build a new one with gristmill index"), (NEW, "update gristmill")],
)
def test_opening_one_is_refused(lake, snapshot_id, advice):
    put_old(lake)
    put_new(lake)
    put_numbered(lake.blobs, 1)
    publish(lake, snapshot_id)
    with pytest.raises(FormatError, match=advice):
        gristmill.open_snapshot(lake.url)
    with pytest.raises(FormatError, match=advice):
        gristmill.open_retriever(lake.url, snapshot_id)
    with pytest.raises(FormatError, match=advice):
        snapshots.publish_snapshot(lake.url, snapshot_id)
    compared = run(lake, "diff", snapshot_id, "current")
    assert isinstance(compared.exception, FormatError)
    assert advice in str(compared.exception)


def test_publishing_takes_the_newest_of_ours_and_rolling_back_asks(lake):
    put_old(lake)
    publish(lake, OLD)
    with pytest.raises(ConfigError, match="has no built snapshot: gristmill index"):
        snapshots.publish_snapshot(lake.url, "")
    ours = put_numbered(lake.blobs, 1).snapshot_id
    put_new(lake)
    assert snapshots.publish_snapshot(lake.url, "") == ours
    assert gristmill.open_snapshot(lake.url).manifest.snapshot_id == ours
    with pytest.raises(FormatError, match=f"all the same: gristmill rollback {OLD}"):
        snapshots.rollback_snapshot(lake.url, "")
    assert pointer.current(lake.blobs) == ours
    assert snapshots.rollback_snapshot(lake.url, OLD) == pointer.current(lake.blobs) == OLD


def test_a_build_reuses_nothing_of_them(lake):
    put_old(lake)
    put_new(lake)
    ours = put_numbered(lake.blobs, 1)
    assert known_manifests(lake.blobs) == [ours]


def test_maintenance_keeps_and_expires_an_older_one_by_the_same_rules(lake):
    put_old(lake)
    publish(lake, OLD)
    for number in (1, 2):
        publish(lake, put_numbered(lake.blobs, number).snapshot_id)
    assert OLD in gc(lake, 3).kept
    assert all(lake.blobs.exists(key) for key in OLD_FILES)
    snapshots.protect_snapshot(lake.url, OLD, protect=True)
    assert gc(lake, 2).expired == ()
    snapshots.protect_snapshot(lake.url, OLD, protect=False)
    assert gc(lake, 2, dry_run=True).expired == (OLD,)
    found = gc(lake, 2)
    assert (found.expired, found.blobs, found.newer) == ((OLD,), len(OLD_FILES), ())
    assert not any(lake.blobs.exists(key) for key in OLD_FILES)
    assert gristmill.open_snapshot(lake.url, verify=True)


def test_maintenance_beside_a_newer_one_takes_no_snapshot_away(lake, capsys):
    put_new(lake)
    put_old(lake)
    for number in (1, 2, 3):
        publish(lake, put_numbered(lake.blobs, number).snapshot_id)
    before = lake.blobs.list("segments") + lake.blobs.list("snapshots")
    found = gc(lake, 1)
    assert (found.expired, found.blobs, found.newer) == ((), 0, (NEW,))
    assert lake.blobs.list("segments") + lake.blobs.list("snapshots") == before
    show_collected(found)
    shown = capsys.readouterr().out
    assert f"snapshot {NEW} is in a newer format: no snapshot and no file of one goes" in shown


def test_verify_reads_the_files_of_an_older_one_and_leaves_a_newer_one_alone(lake):
    put_old(lake)
    put_new(lake)
    publish(lake, OLD)
    whole = run(lake, "verify")
    assert whole.exit_code == 0, whole.output
    assert "published, has format version 1" in whole.output
    for name in (OLD, NEW, "current"):
        assert run(lake, "verify", name).exit_code == 0
    lake.blobs.put(OLD_FILES[0], b"x")
    broken = run(lake, "verify")
    assert broken.exit_code == 1
    assert OLD_FILES[0] in broken.output


def test_a_purge_is_refused_beside_one_that_may_hold_what_is_to_be_forgotten(lake):
    put_numbered(lake.blobs, 1)
    assert find_target(lake.view(), [], strict=False).uris == ()
    prepare(lake, [], even_protected=True)
    put_new(lake)
    with pytest.raises(
        FormatError, match=f"{NEW} may hold what is to be forgotten.*Nothing was changed"
    ):
        prepare(lake, [], even_protected=True)
    assert len(all_manifests(lake.blobs)) == 2
