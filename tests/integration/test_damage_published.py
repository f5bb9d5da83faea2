"""Damage to what is published, repairs that are killed, and damage everywhere at once."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from flows import flows, snapshots
from flows.repair import repair_lake
from infra import pointer
from infra.blobs import _ObstoreBlobs
from schemas.config import Config
from schemas.errors import IntegrityError, LakeError
from tests.integration.damage import DAMAGE, DamagedMill

LONG = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def mill(whole_mill: DamagedMill) -> DamagedMill:
    return whole_mill


def run_again(mill: DamagedMill, built) -> None:
    mill.ingest()
    mill.publish()
    assert mill.shown() == built[1]
    assert mill.published() == built[2]
    found = mill.verify()
    assert found.ok, found.findings


def keys_of(mill: DamagedMill) -> dict[str, str]:
    """A file of each kind that a snapshot has."""
    index = mill.manifest().indexes[0]
    segment = {ref.key.rpartition("/")[2]: ref.key for ref in index.segments[0].files}
    assert index.prototypes
    more = {"prototypes": index.prototypes.key, "sources": mill.manifest().sources.key}
    return {**segment, **more}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.faiss", "missing"),
        pytest.param("rows.arrow", "truncated", marks=LONG),
        pytest.param("stats.json", "garbled", marks=LONG),
        pytest.param("prototypes", "missing", marks=LONG),
        pytest.param("sources", "garbled", marks=LONG),
        pytest.param("index.faiss", "garbled", marks=LONG),
    ],
)
def test_a_damaged_file_of_the_published_snapshot(mill, built, name, kind):
    key = keys_of(mill)[name]
    whole = mill.lake.blobs.get(key)
    DAMAGE[kind](mill.folder / key)
    assert key in [f.file for f in mill.verify().findings]
    assert mill.repair().ok
    first = snapshots.list_snapshots(mill.lake.url)[0]["snapshot"]
    assert pointer.current(mill.lake.blobs) in {
        first,
        None,
    }  # None: the first one had that file, too
    run_again(mill, built)
    assert mill.lake.blobs.get(key) == whole


@pytest.mark.parametrize("kind", ["truncated", pytest.param("missing", marks=LONG)])
def test_a_run_builds_a_segment_again_that_is_not_whole(mill, built, kind):
    """Nobody has to ask for it."""
    key = keys_of(mill)["index.faiss"]
    whole = mill.lake.blobs.get(key)
    DAMAGE[kind](mill.folder / key)
    mill.publish()
    assert mill.lake.blobs.get(key) == whole
    assert mill.published() == built[2]


def other_field(path: Path) -> None:
    path.write_text(
        path.read_text().replace('"rows": 3', '"rows": 3', 1).replace("snapshot_id", "x", 1)
    )


def other_segment(path: Path) -> None:
    manifest = json.loads(path.read_text())
    manifest["indexes"][0]["segments"][0]["digest"] = "0" * 32
    path.write_text(json.dumps(manifest))


def other_shape(path: Path) -> None:
    path.write_text('[{"format_version": 1}]')


@pytest.mark.parametrize("current", [True, pytest.param(False, marks=LONG)])
@pytest.mark.parametrize(
    "damage",
    [
        DAMAGE["missing"],
        *(pytest.param(d, marks=LONG) for d in (DAMAGE["garbled"], other_field, other_shape)),
        other_segment,
    ],
)
def test_a_damaged_manifest(mill, built, damage, current):
    ids = [row["snapshot"] for row in snapshots.list_snapshots(mill.lake.url)]
    victim = mill.folder / "snapshots" / ids[-1 if current else 0] / "manifest.json"
    damage(victim)
    found = mill.verify()
    if not victim.exists() and not current:
        assert found.ok  # it has expired, as far as anybody can tell
        return
    assert [f.what for f in found.findings] == [f"snapshot {victim.parent.name}"]
    assert mill.repair().ok
    assert pointer.current(mill.lake.blobs) == ids[0 if current else -1]
    run_again(mill, built)


@pytest.mark.parametrize(
    "kind", [pytest.param("missing", marks=LONG), "garbled", pytest.param("empty", marks=LONG)]
)
@pytest.mark.parametrize("number", [pytest.param(1, marks=LONG), 2])
def test_a_damaged_entry_of_the_pointer(mill, built, number, kind):
    """The last one that is missing never was."""
    victim = mill.folder / pointer.key_of(number)
    DAMAGE[kind](victim)
    if kind != "missing" and number == 2:
        with pytest.raises(IntegrityError, match="--repair"):
            pointer.current(mill.lake.blobs)
    assert [f.file for f in mill.verify().findings] == (
        [] if (kind, number) == ("missing", 2) else [pointer.key_of(number)]
    )
    assert mill.repair().ok
    run_again(mill, built)
    assert [entry.number for entry in pointer.history(mill.lake.blobs)][:2] == [1, 2]


@pytest.mark.slow
def test_with_nothing_left_to_publish_nothing_is_published(mill, built):
    for manifest in (mill.folder / "snapshots").glob("*/manifest.json"):
        DAMAGE["garbled"](manifest)
    assert mill.repair().ok
    assert pointer.current(mill.lake.blobs) is None
    run_again(mill, built)


@pytest.mark.slow
@pytest.mark.long
def test_a_pointer_of_which_nothing_can_be_read(mill, built):
    for number in (1, 2):
        DAMAGE["garbled"](mill.folder / pointer.key_of(number))
    assert mill.repair().ok
    run_again(mill, built)


class StoppedError(Exception):
    """Killed here."""


def stop_at(monkeypatch: pytest.MonkeyPatch, number: int | None) -> Callable[[], int]:
    """Raise at the `number`-th write of any kind, after it was done; gives a counter."""
    count = 0

    def watch(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def watched(*args, **kwargs):
            nonlocal count
            result = real(*args, **kwargs)
            if "locks" not in str(args[1:2]):
                count += 1
                if count == number:
                    raise StoppedError
            return result

        monkeypatch.setattr(owner, name, watched)

    for owner, name in [
        *((_ObstoreBlobs, name) for name in ("put", "put_if_absent", "delete")),
        (DeltaTable, "create_write_transaction"),
        (Path, "replace"),
    ]:
        watch(owner, name)
    return lambda: count


def damage_much(mill: DamagedMill) -> None:
    DAMAGE["garbled"](mill.data_files("units")[0])
    DAMAGE["missing"](mill.data_files("embeddings")[0])
    DAMAGE["truncated"](mill.data_files("rejects")[0])
    DAMAGE["missing"](mill.data_files("completions")[1])
    DAMAGE["garbled"](mill.commits("sources")[1])
    DAMAGE["garbled"](mill.commits("embeddings")[0])
    DAMAGE["truncated"](mill.folder / keys_of(mill)["rows.arrow"])


@pytest.mark.slow
@pytest.mark.parametrize("points", [2, pytest.param(12, marks=pytest.mark.long)])
def test_a_repair_that_is_killed_can_be_run_again(mill, built, monkeypatch, points):
    damage_much(mill)
    with monkeypatch.context() as patch:
        writes = stop_at(patch, None)
        assert mill.repair().ok
        total = writes()
    assert total > 15
    for number in random.Random(8).sample(range(1, total + 1), points):
        mill.restore()
        damage_much(mill)
        with monkeypatch.context() as patch:
            stop_at(patch, number)
            with pytest.raises(StoppedError):
                mill.repair()
        assert mill.repair().ok, number
        run_again(mill, built)


@pytest.mark.parametrize(
    "seed", [pytest.param(0, marks=LONG), *(pytest.param(n, marks=LONG) for n in range(1, 20))]
)
@pytest.mark.parametrize("swept", [False, pytest.param(True, marks=LONG)])
def test_damage_anywhere(mill, built, seed, swept):
    """Any files of all there are, whatever they be."""
    if swept:
        flows.gc(mill.lake.url, Config(), quiet=True)
    rng = random.Random(seed)
    folders = ("tables", "segments", "snapshots", "pointer")
    files = sorted(p for f in folders for p in (mill.folder / f).rglob("*") if p.is_file())
    for victim in rng.sample(files, rng.choice([2, 5, 12])):
        DAMAGE[rng.choice(["missing", "truncated", "empty", "garbled"])](victim)
    mill.verify()
    repaired = mill.repair()
    assert repaired.ok, repaired.findings
    run_again(mill, built)


def test_the_lease_and_what_is_waited_for(mill):
    with mill.lake.writer("other"), pytest.raises(LakeError, match="run other"):
        repair_lake(
            mill.lake.url,
            mill.config.model_copy(update={"runs": no_wait()}),
            lambda *_: None,
            lambda _: None,
        )


def no_wait():
    return Config().runs.model_copy(update={"wait_s": 0.0})


@pytest.mark.slow
def test_what_was_set_aside_goes_with_a_purge(mill):
    DAMAGE["garbled"](mill.data_files("units")[0])
    assert mill.repair().information["files that a repair set aside"] == 1
    mill.ingest()
    mill.publish()
    assert mill.forget("mill.txt", "copy.txt").found == []
    assert not list((mill.folder / "damaged").rglob("*.parquet"))
