"""Maintenance of a real lake: what goes, what stays, and that nobody is the poorer for it."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows import flows, snapshots
from flows.report import write_report
from infra import pointer
from schemas.config import Config, Runs
from schemas.errors import ConfigError, IntegrityError, LakeError
from schemas.partition import TEXT_PARAGRAPH
from stages.index.snapshot import OpenSnapshot
from stages.index.verify import verify
from tests.integration.mill import Mill
from tests.live_vectors import live_vectors

pytestmark = pytest.mark.slow


@pytest.fixture
def mill(tmp_path: Path) -> Mill:
    return Mill(tmp_path)


def places_of(mill: Mill, *needles: str | bytes) -> list[str]:
    """Files under the lake's root that hold any of these, as bytes or, in a Parquet file, in any value."""
    wanted = [n.encode() if isinstance(n, str) else n for n in needles]
    found = []
    for path in sorted(Path(mill.lake.url).rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data += str(pq.read_table(path, partitioning=None).to_pylist()).encode()
            if any(needle in data for needle in wanted):
                found.append(path.relative_to(mill.lake.url).as_posix())
    return found


def keep(count: int) -> Config:
    return Config(runs=Runs(keep_snapshots=count, wait_s=0))


def history(mill: Mill, versions: int) -> list[str]:
    """So many snapshots, each with one file changed, the first file deleted after the first."""
    mill.write("gone.txt", "The wheel turns nine times a minute.")
    mill.write("stays.txt", "Bread rises slowly in a cold kitchen.")
    published = []
    for version in range(versions):
        mill.write("changes.txt", f"This is version {version} of a note on stars.")
        mill.ingest()
        published.append(mill.publish().snapshot_id)
        (mill.corpus / "gone.txt").unlink(missing_ok=True)
    return published


def test_a_dry_run_says_what_happens_and_changes_nothing(mill: Mill):
    history(mill, 4)
    before = {key: mill.lake.blobs.get(key) for key in mill.lake.blobs.list() if "lock" not in key}
    planned = flows.gc(mill.lake.url, keep(2), dry_run=True, quiet=True).as_dict()
    after = {key: mill.lake.blobs.get(key) for key in mill.lake.blobs.list() if "lock" not in key}
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert all(key.startswith("tables/completions/_delta_log/") for key in changed)  # the fence
    done = flows.gc(mill.lake.url, keep(2), quiet=True).as_dict()
    for name in ("kept", "expired", "blobs", "tables"):
        assert done[name] == planned[name]
    assert len(done["expired"]) == 2


def test_kept_snapshots_open_and_the_others_leave_nothing(mill: Mill):
    published = history(mill, 5)
    snapshots.protect_snapshot(mill.lake.url, published[0], protect=True)
    live = mill.live()
    found = flows.gc(mill.lake.url, keep(2), quiet=True)
    blobs = mill.lake.blobs
    assert set(found.kept) == {published[0], *published[3:]}
    assert set(found.expired) == set(published[1:3])
    named = set()
    for snapshot_id in found.kept:
        manifest = snapshots.read_manifest(blobs, snapshot_id)
        assert all(
            check.passed for index in verify(manifest, blobs.local_path) for check in index.checks
        )
        OpenSnapshot.open(manifest, blobs.local_path)
        named |= {ref.key for ref in manifest.files()}
    assert {k for f in ("segments", "snapshots/files") for k in blobs.list(f)} == named
    assert mill.live() == live
    assert mill.ingest().unchanged == 2  # nothing has to be done again
    assert mill.publish().snapshot_id == published[-1]
    with pytest.raises(LakeError, match="gristmill snapshots lists them"):
        snapshots.rollback_snapshot(mill.lake.url, published[1])
    assert snapshots.rollback_snapshot(mill.lake.url, "") == published[3]
    with pytest.raises(LakeError, match="fewer than two"):
        [snapshots.rollback_snapshot(mill.lake.url, "") for _ in range(2)]


def test_what_was_deleted_is_in_no_file_once_its_snapshots_are_gone(mill: Mill):
    history(mill, 3)
    found = flows.gc(mill.lake.url, keep(1), quiet=True)
    dropped = {sweep.table: sweep.dropped_rows for sweep in found.tables}
    assert dropped["units"] == 6  # two of the deleted file, twice two of the changed one
    assert dropped["sources"] >= 3
    assert mill.lake.blobs.list("segments")
    assert places_of(mill, "nine times") == []
    again = flows.gc(mill.lake.url, keep(1), quiet=True)
    assert (again.expired, again.blobs, again.table_files) == ((), 0, 0)
    assert {sweep.dropped_rows for sweep in again.tables} == {0}


def test_a_rollback_while_a_snapshot_expires_leaves_the_pointer_on_one_that_is_there(mill: Mill):
    first, second = history(mill, 2)
    blobs = mill.lake.blobs
    key = f"snapshots/{first}/manifest.json"
    whole = blobs.get(key)

    class Expiring:
        """The blobs, with maintenance deleting the manifest as soon as it has been looked at."""

        def __init__(self) -> None:
            self.looked = 0

        def __getattr__(self, name: str):
            return getattr(blobs, name)

        def exists(self, wanted: str) -> bool:
            found = blobs.exists(wanted)
            if wanted == key:
                self.looked += 1
                blobs.delete(key)
            return found

    with pytest.raises(IntegrityError, match="just expired"):
        pointer.rollback(Expiring(), first)
    assert pointer.current(blobs) == second
    blobs.put(key, whole)


PRIVATE = "The combination of the safe in the miller's office is kept by his niece."
SHARED = "Every mill has a wheel, and every wheel has a miller who oils it."


def vectors_of(mill: Mill, text: str) -> list[bytes]:
    space = mill.lake.space_keys()[-1]
    units, vectors = live_vectors(mill.lake, space, TEXT_PARAGRAPH, "text_hash")
    return [
        v.tobytes() for u, v in zip(units["text"].to_pylist(), vectors, strict=True) if text in u
    ]


def test_what_is_purged_is_in_no_byte_of_the_lake(mill: Mill):
    mill.write("old name.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    first = mill.publish().snapshot_id
    (mill.corpus / "old name.txt").rename(mill.corpus / "secret.txt")
    mill.write("broken secret.pdf", "%PDF-1.4 nothing")
    mill.ingest()
    mill.write("secret.txt", f"{PRIVATE}\n\n{SHARED}")
    mill.ingest()
    second = mill.publish().snapshot_id
    (secret,) = vectors_of(mill, PRIVATE)
    traces = ["secret.txt", "old%20name", "broken%20secret", PRIVATE[:24], PRIVATE[-24:], secret]
    assert all(places_of(mill, trace) for trace in traces)

    proof = mill.forget("*secret.*", "old name.txt")
    assert proof.found == []
    assert set(proof.dropped_snapshots) == {first, second}
    assert proof.needles["text"] >= 3
    assert proof.needles["vector"] >= 2
    assert {trace: places_of(mill, trace) for trace in traces} == {t: [] for t in traces}
    (shared,) = vectors_of(mill, SHARED)
    assert places_of(mill, shared)
    assert mill.live() == {"stays.txt": [SHARED]}
    snapshot = OpenSnapshot.open(
        snapshots.read_manifest(mill.lake.blobs, proof.snapshot), mill.lake.blobs.local_path
    )
    assert [p.path for places in snapshot.places.values() for p in places] == ["stays.txt"]
    assert [s["snapshot"] for s in snapshots.list_snapshots(mill.lake.url)] == [proof.snapshot]

    (mill.corpus / "broken secret.pdf").unlink()
    (mill.corpus / "secret.txt").unlink()
    assert mill.ingest().unchanged == 1
    mill.write("secret.txt", PRIVATE)  # nobody remembers it
    assert mill.ingest().indexed == 1


def test_reports_that_name_it_go_too(mill: Mill):
    odd = 'the miller\'s <["private"]> letter.txt'
    mill.write(odd, "")
    mill.write("stays.txt", SHARED)
    balance = mill.ingest()
    rejects = mill.lake.rejects().to_pylist()
    write_report(mill.lake.blobs, "run1", balance, None, rejects)
    write_report(mill.lake.blobs, "run2", balance, None, [])
    assert mill.forget(odd).found == []
    assert mill.lake.blobs.list("reports") == ["reports/run2.html"]


def test_the_proof_finds_what_is_left(mill: Mill):
    mill.write("secret.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    mill.publish()
    (vector,) = vectors_of(mill, PRIVATE)
    mill.lake.blobs.put("reports/left.bin", b"\0" + vector + PRIVATE.encode())
    assert mill.forget("secret.txt").found == [
        "reports/left.bin: text",
        "reports/left.bin: vector",
    ]


def test_forgetting_everything_leaves_a_lake_with_nothing_published(mill: Mill):
    mill.write("secret.txt", PRIVATE)
    mill.ingest()
    mill.publish()
    proof = mill.forget("secret.txt")
    assert (proof.snapshot, proof.found) == (None, [])
    assert pointer.current(mill.lake.blobs) is None
    assert places_of(mill, PRIVATE[:24], "secret.txt") == []
    assert mill.ingest().indexed == 1
    mill.publish()


def test_a_content_that_lives_under_another_name_stays_unless_it_is_named(mill: Mill):
    mill.write("one.txt", PRIVATE)
    mill.write("two.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    mill.publish()
    proof = mill.forget("one.txt")
    assert (proof.sources, [uri.rpartition("/")[2] for uri in proof.elsewhere]) == ([], ["two.txt"])
    assert places_of(mill, "one.txt") == []
    assert set(mill.live()) == {"two.txt", "stays.txt"}
    ((source_id),) = {k.source_id for k in mill.lake.state().paths.values() if k.path == "two.txt"}
    assert mill.forget(source_id).sources == [source_id]
    assert places_of(mill, PRIVATE[:24], source_id, "two.txt") == []
    with pytest.raises(ConfigError, match=r"knows nothing called two\.txt"):
        mill.forget("two.txt")


def test_a_content_whose_names_are_all_given_goes_with_them(mill: Mill):
    mill.write("one.txt", PRIVATE)
    mill.write("two.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    mill.publish()
    proof = mill.forget("one.txt", "two.txt")
    assert (len(proof.sources), proof.elsewhere, proof.found) == (1, [], [])
    assert proof.needles["text"] >= 1
    assert places_of(mill, PRIVATE[:24]) == []


def test_a_protected_snapshot_holds_what_it_has(mill: Mill):
    mill.write("secret.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    protected = mill.publish().snapshot_id
    snapshots.protect_snapshot(mill.lake.url, protected, protect=True)
    with pytest.raises(ConfigError, match=protected):
        mill.forget("secret.txt")
    assert set(mill.live()) == {"secret.txt", "stays.txt"}
    snapshots.protect_snapshot(mill.lake.url, protected, protect=False)
    assert mill.forget("secret.txt").found == []


@pytest.mark.ray
@pytest.mark.long
def test_the_commands_forget_and_gc(mill: Mill):
    mill.write("secret.txt", PRIVATE)
    mill.write("stays.txt", SHARED)
    mill.ingest()
    mill.publish()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "flows.cli",
            "forget",
            "secret.txt",
            "--purge",
            "--lake",
            mill.lake.url,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "none found" in done.stdout
    assert places_of(mill, PRIVATE[:24], "secret.txt") == []
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "gc", "--keep", "1", "--json", "--lake", mill.lake.url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert json.loads(done.stdout)["expired"] == []
