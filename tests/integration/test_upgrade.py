"""From one encoder to another: new queries on old vectors at once, partition after partition embedded again."""

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows import wiring
from flows.beside import published_beside
from flows.diff import diff_snapshots
from flows.maintain import collect
from flows.progress import ProgressWatcher
from flows.snapshots import rollback_snapshot
from flows.surroundings import Surroundings, new_run_id
from flows.upgrade import Upgrade, Upgraded, WhatToUpgrade
from flows.verify import contracts_of, verify_lake
from infra import pointer
from infra.inline_executor import InlineExecutor
from infra.lake.invariants import check_invariants
from schemas.config import Config, Profile, Runs
from schemas.config import Upgrade as Settings
from schemas.errors import GateError, GristmillError
from schemas.partition import TABLE_ROW, TABLE_TABLE, TEXT_DOCUMENT, TEXT_PARAGRAPH
from stages.embed import registry
from tests.integration.mill import Mill, session_of
from tests.turned import DIMS, ROWS, SMALL, STRANGE, TURNED

pytestmark = pytest.mark.slow

THINGS = ("wheel", "stone", "hopper", "sluice", "paddle", "axle", "sack", "rope", "gear", "dam")
DONE = ("mended", "sold", "painted", "weighed")
PLACES = ("in the mill", "at the river", "on the hill", "near the bridge")
LINES, SAMPLE = 160, 150
OLD = Config(profile=Profile(spaces=(SMALL,)), upgrade=Settings(sample=SAMPLE))
BOTH = OLD.model_copy(update={"profile": Profile(spaces=(SMALL, TURNED, STRANGE))})
NEW = OLD.model_copy(update={"profile": Profile(spaces=(TURNED,))})
QUESTION = "Which gear was painted at the river?"
REPOSITORY = Path(__file__).resolve().parents[2]
_DRIVER = """
from flows import wiring
from flows.cli import main
from infra.inline_executor import InlineExecutor
from stages.embed import registry
from tests.turned import ROWS

registry.SPACES.update(ROWS)
wiring.make_executor = lambda _: InlineExecutor()
main()
"""
ROW_ROUTE, TEXT_ROUTE = str(TABLE_ROW), str(TEXT_PARAGRAPH)


def sentences() -> list[str]:
    told = itertools.product(THINGS, DONE, PLACES)
    return [
        f"{number} {thing}s were {done} {place}" for number, (thing, done, place) in enumerate(told)
    ]


@pytest.fixture(scope="module", autouse=True)
def _more_spaces():
    with pytest.MonkeyPatch.context() as patched:
        for name, row in ROWS.items():
            patched.setitem(registry.SPACES, name, row)
        patched.setattr(wiring, "make_executor", lambda _: InlineExecutor())
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Path:
    """Folder of a mill with 160 rows of a table and two passages, published in the old space."""
    folder = tmp_path_factory.mktemp("mill")
    mill = Mill(folder, OLD)
    lines = [f"{i},{sentence}" for i, sentence in enumerate(sentences())]
    mill.write("book.csv", "\n".join(["entry,what", *lines]))
    mill.write("wheel.md", "# The wheel\n\nIt has nine paddles.\n\n## The stones\n\nThere are two.")
    mill.ingest()
    mill.publish()
    return folder


class UpgradingMill(Mill):
    """Has all encoders at hand, as a run has those of the published snapshot beside those of its profile."""

    def session(self, beside=()):
        return session_of(BOTH)


@pytest.fixture
def mill(filled, tmp_path) -> Mill:
    """The same files, and a lake of its own."""
    shutil.copytree(filled / "lake", tmp_path / "lake")
    found = UpgradingMill(tmp_path, OLD)
    found.corpus = filled / "corpus"
    found.sources = [str(found.corpus)]
    return found


def upgraded(
    mill: Mill, new: str = TURNED, *, old: str = SMALL, dry_run: bool = False, **settings
) -> Upgraded:
    chosen = {"upgrade": OLD.upgrade.model_copy(update=settings), "profile": Profile(spaces=(new,))}
    run_id = new_run_id()
    with mill.lake.writer(run_id):
        config = OLD.model_copy(update=chosen)
        around = Surroundings(
            mill.lake,
            config,
            ProgressWatcher(quiet=True),
            run_id,
            spaces=wiring.contracts(config),
            beside=(),
        )
        try:
            return Upgrade(around, WhatToUpgrade(old, new, dry_run)).run()
        finally:
            around.close()


def manifest_of(mill: Mill):
    return wiring.open_retriever(mill.lake.url).snapshot.manifest


def best(mill: Mill, route: str) -> str:
    found = wiring.open_retriever(mill.lake.url).search(QUESTION, route=route, mode="dense")
    return found.hits[0].text


def placed(manifest) -> dict[str, str]:
    names = {space.key: space.name for space in manifest.spaces}
    return {entry.partition: names[entry.space] for entry in manifest.indexes}


def test_new_queries_search_old_vectors_at_once(mill, monkeypatch):
    before = manifest_of(mill)
    assert "gear" in best(mill, ROW_ROUTE)
    asked = best(mill, ROW_ROUTE)
    found = upgraded(mill)
    sampled = {part.partition: part.rows for part in found.map.partitions}
    assert found.embedded == sum(sampled.values()) == SAMPLE
    assert sampled[TEXT_ROUTE] == before.indexes[-1].rows  # what is small is sampled whole
    assert found.failed == 0
    assert found.map.sample_rows < 0.9 * SAMPLE
    rows = next(part for part in found.map.partitions if part.partition == ROW_ROUTE)
    assert rows.recalls["rows"] > 0.97  # a rotation loses nothing but the last bits
    assert rows.recalls["general"] > 0.97
    assert rows.before["rows"] > 0.97

    published = manifest_of(mill)
    assert published.snapshot_id == found.snapshot == pointer.current(mill.lake.blobs)
    assert published.indexes == before.indexes
    assert [space.name for space in published.query_spaces] == [TURNED]
    assert set(placed(published).values()) == {SMALL}
    for config in (OLD, NEW):  # the map says what becomes of its spaces
        assert published_beside(mill.lake, wiring.contracts(config)) == ()
    monkeypatch.delitem(registry.SPACES, SMALL)  # the old encoder is not needed any more
    assert best(mill, ROW_ROUTE) == asked
    assert best(mill, TEXT_ROUTE)


def test_a_serving_team_asks_with_vectors_of_the_new_space(mill):
    found = upgraded(mill)
    (new,) = wiring.contracts(NEW)
    vectors = registry.make_encoder(new).encode_queries([QUESTION])
    snapshot = wiring.open_retriever(mill.lake.url).snapshot
    ((hit, *_),) = snapshot.search(TABLE_ROW, found.new, vectors, 3)
    assert (hit.text, hit.space) == (best(mill, ROW_ROUTE), found.old)
    stored = np.load(mill.lake.blobs.local_path(found.map.file.key))
    by_hand = vectors @ stored[:-1] + stored[-1]
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    ((same, *_),) = snapshot.search(TABLE_ROW, found.old, by_hand, 3)
    assert same == hit


def test_partition_after_partition_goes_over_and_back(mill, tmp_path):
    found = upgraded(mill)
    mill.config = OLD
    assert mill.publish().maps == (found.map,)  # nothing moves before the profile does
    extra = tmp_path / "more"
    extra.mkdir()
    (extra / "dam.md").write_text("# The dam\n\nA gear of the sluice was painted at the dam.")
    mill.sources = [*mill.sources, str(extra)]
    mill.ingest()
    grown = mill.publish()
    assert (grown.maps, set(placed(grown).values())) == ((found.map,), {SMALL})
    answers = {route: best(mill, route) for route in (ROW_ROUTE, TEXT_ROUTE)}

    mill.config = NEW
    mill.sources = [str(mill.corpus / "book.csv")]
    balance = mill.ingest()
    assert (balance.reembedded, balance.indexed) == (1, 0)
    assert balance.vectors == {f"{ROW_ROUTE} @ {TURNED}": LINES - rows_of(found, ROW_ROUTE)}
    partly = mill.publish()
    moved = {
        TABLE_ROW: TURNED,
        TABLE_TABLE: TURNED,
        TEXT_PARAGRAPH: SMALL,
        TEXT_DOCUMENT: SMALL,
    }
    assert placed(partly) == {str(partition): name for partition, name in moved.items()}
    assert partly.maps == (found.map,)
    assert {route: best(mill, route) for route in answers} == answers
    assert verify_lake(mill.lake, NEW, lambda *_: None).ok
    told = diff_snapshots(mill.lake.url, grown.snapshot_id, partly.snapshot_id)
    assert told.maps.removed == told.maps.added == []

    mill.sources = [str(mill.corpus), str(extra)]
    assert mill.ingest().reembedded == 2
    over = mill.publish()
    assert (over.maps, set(placed(over).values())) == ((), {TURNED})
    assert {route: best(mill, route) for route in answers} == answers
    told = diff_snapshots(mill.lake.url, partly.snapshot_id, over.snapshot_id)
    assert told.maps.removed == [f"{found.new} into {found.old}"]

    assert rollback_snapshot(mill.lake.url, "") == partly.snapshot_id
    assert {route: best(mill, route) for route in answers} == answers
    assert len(kept_maps(mill, keep=2)) == 1
    pointer.publish(mill.lake.blobs, over.snapshot_id, run_id="back", reason="test")
    assert kept_maps(mill, keep=1) == []
    assert verify_lake(mill.lake, NEW, lambda *_: None).ok
    assert {route: best(mill, route) for route in answers} == answers


def kept_maps(mill: Mill, keep: int) -> list[str]:
    """Files of maps that maintenance leaves."""
    config = NEW.model_copy(update={"runs": Runs(keep_snapshots=keep)})
    collect(mill.lake.url, config, new_run_id(), dry_run=False, note=print)
    sizes = {
        key: mill.lake.blobs.size_bytes(key) for key in mill.lake.blobs.list("snapshots/files")
    }
    return [
        key for key, size in sizes.items() if size == (DIMS[TURNED] + 1) * DIMS[SMALL] * 4 + 128
    ]


def test_a_map_that_finds_too_little_is_not_published(mill):
    before = pointer.current(mill.lake.blobs)
    with pytest.raises(
        GateError, match=rf"finds too little: recall@10 of .*{ROW_ROUTE} 0\.[0-3]"
    ) as told:
        upgraded(mill, STRANGE)
    assert "upgrade.recall_at_10" in str(told.value)
    assert pointer.current(mill.lake.blobs) == before
    again = upgraded(mill, STRANGE, recall_at_10=0.0)
    assert again.embedded == 0  # the vectors of the sample stayed
    assert manifest_of(mill).snapshot_id == again.snapshot != before
    assert rollback_snapshot(mill.lake.url, "") == before
    assert manifest_of(mill).maps == ()


def test_gc_leaves_the_vectors_of_a_sample(mill):
    upgraded(mill, dry_run=True)
    collect(mill.lake.url, OLD, new_run_id(), dry_run=False, note=print)
    assert upgraded(mill, dry_run=True).embedded == 0
    assert check_invariants(mill.lake.view(), contracts_of(mill.lake, BOTH, {})).holds


def test_a_dry_run_publishes_nothing_and_the_same_sample_gives_the_same_map(mill):
    before = pointer.current(mill.lake.blobs)
    tried = upgraded(mill, dry_run=True)
    assert (tried.snapshot, pointer.current(mill.lake.blobs)) == ("", before)
    found = upgraded(mill)
    assert found.map == tried.map
    assert (tried.embedded, found.embedded) == (SAMPLE, 0)
    assert upgraded(mill).snapshot == found.snapshot


def test_what_is_forgotten_leaves_the_sample_too(mill):
    found = upgraded(mill)
    proof = mill.forget("wheel.md")
    assert proof.found == []
    left = manifest_of(mill)
    assert left.maps == (found.map,)
    assert ROW_ROUTE in placed(left)
    assert TEXT_ROUTE not in placed(left)


@pytest.mark.parametrize(
    ("old", "new", "sample", "message"),
    [
        (SMALL, TURNED, 60, r"pairs of vectors do not determine a map .* Raise --sample"),
        (SMALL, SMALL, SAMPLE, "nothing to upgrade to"),
        (
            "clip",
            TURNED,
            SAMPLE,
            r"--from clip: the published snapshot has no such spaces; it has small-",
        ),
        (SMALL, "conse", SAMPLE, "a map is fitted from texts"),
    ],
)
def test_what_cannot_be_mapped_is_refused(mill, old, new, sample, message):
    before = pointer.current(mill.lake.blobs)
    with pytest.raises(GristmillError, match=message):
        upgraded(mill, new, old=old, sample=sample)
    assert pointer.current(mill.lake.blobs) == before


def test_the_command_publishes_and_says_what_it_found(mill, tmp_path):
    """In a process of its own: Prefect leaves threads behind."""
    config = tmp_path / "small.toml"
    config.write_text(f'profile.spaces = ["{SMALL}"]')
    options = ["--lake", mill.lake.url, "--from", SMALL, "--to", TURNED, "--config", str(config)]
    command = [sys.executable, "-c", _DRIVER, "upgrade", *options, "--sample", str(SAMPLE)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"published {pointer.current(mill.lake.blobs)}" in done.stdout
    assert all(route in done.stdout for route in (ROW_ROUTE, TEXT_ROUTE))
    assert [space.name for space in manifest_of(mill).query_spaces] == [TURNED]
    assert mill.lake.view().runs()["command"].to_pylist()[-1] == "upgrade"


def rows_of(found: Upgraded, partition: str) -> int:
    return next(part.rows for part in found.map.partitions if part.partition == partition)
