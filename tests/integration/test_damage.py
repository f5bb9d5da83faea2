"""Real damage to real files of a lake: verify names it, --repair takes it out, and a run makes the lake what it was."""

import shutil

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction

from flows import flows
from infra.lake import paths
from infra.lake.delta import file_rows
from schemas.config import Config
from schemas.errors import LakeError
from tests.integration.damage import DAMAGE, DamagedMill

TABLES = ["sources", "units", "embeddings", "rejects", "completions"]
LONG = [pytest.mark.slow, pytest.mark.long]  # every kind of damage in every table: make chaos


@pytest.fixture
def mill(whole_mill: DamagedMill) -> DamagedMill:
    return whole_mill


def cases(marked: dict[tuple[str, str], list], kinds: list[str]) -> list:
    """All pairs; those that are not marked in another way take long."""
    return [pytest.param(t, k, marks=marked.get((t, k), LONG)) for t in TABLES for k in kinds]


def mend(mill: DamagedMill, built) -> dict[str, int]:
    """Repair, look, run, compare; gives what the run did."""
    repaired = mill.repair()
    assert repaired.ok, repaired.findings
    assert repaired.repaired
    balance = mill.ingest()
    assert mill.shown() == built[1]
    return {"decoded": balance.indexed, "embedded": sum(balance.vectors.values())}


def test_a_whole_lake_is_whole(mill):
    found = mill.verify()
    assert (found.findings, found.information) == ([], {})
    assert all(check.ok for check in found.checks)


FILES = {
    ("units", "missing"): [],
    ("embeddings", "flipped"): [],
    ("completions", "truncated"): [],
    ("sources", "empty"): LONG,
    ("rejects", "garbled"): LONG,
}


@pytest.mark.parametrize(("table", "kind"), cases(FILES, list(DAMAGE)))
def test_a_damaged_data_file(mill, built, table, kind):
    for victim in mill.data_files(table)[:: max(1, len(mill.data_files(table)) - 1)]:
        DAMAGE[kind](victim)
        found = mill.verify()
        key = victim.relative_to(mill.folder).as_posix()
        assert [f.file for f in found.findings] == [key]
        assert found.findings[0].what == f"table {mill.name_of(table)}"
        work = mend(mill, built)
        if table != "embeddings":
            assert work["embedded"] == 0
        mill.restore()


LOGS = {("units", "garbled"): [], ("completions", "empty"): LONG, ("embeddings", "garbled"): LONG}


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=LONG), -1])
@pytest.mark.parametrize(
    ("table", "kind"), cases(LOGS, ["missing", "truncated", "empty", "garbled"])
)
def test_a_damaged_log(mill, built, table, kind, which):
    victim = mill.commits(table)[which]
    if kind == "missing" and victim == mill.commits(table)[-1]:
        pytest.skip("see the test of a last commit that is missing")
    DAMAGE[kind](victim)
    found = mill.verify()
    key = victim.relative_to(mill.folder).as_posix()
    assert key in {f.file for f in found.findings}
    assert {f.what for f in found.findings} == {f"log of {mill.name_of(table)}"}
    work = mend(mill, built)
    assert work == {"decoded": 0, "embedded": 0}  # the files were there, only their names were lost
    assert [p.name for p in (mill.folder / "damaged").rglob(victim.name)] or kind == "missing"


@pytest.mark.parametrize(
    "table", [*(pytest.param(t, marks=LONG) for t in ("sources", "embeddings")), "units"]
)
def test_a_last_commit_that_is_missing_shows_in_what_names_it(mill, built, table):
    mill.commits(table)[-1].unlink()
    found = mill.verify()
    assert f"table {mill.name_of(table)}" in {f.what for f in found.findings}
    assert mend(mill, built) == {"decoded": 0, "embedded": 0}


@pytest.mark.parametrize(
    "table", [*(pytest.param(t, marks=LONG) for t in TABLES[:4]), "completions"]
)
def test_a_log_that_is_gone(mill, built, table):
    log = mill.commits(table)[0].parent
    before = mill.manifest().table_versions["completions"]
    shutil.rmtree(log)
    with pytest.raises(LakeError, match="gristmill verify --repair"):
        mill.lake.counts()
    (finding,) = mill.verify().findings
    assert (finding.what, "data files are there" in finding.wrong) == (
        f"log of {mill.name_of(table)}",
        True,
    )
    assert mend(mill, built) == {"decoded": 0, "embedded": 0}
    mill.publish()
    assert mill.published() == built[2]
    assert mill.lake.versions()["completions"] > before  # later rows win, so versions never fall


@pytest.mark.parametrize("table", [pytest.param(t, marks=LONG) for t in TABLES])
def test_after_maintenance_the_commit_that_names_all(mill, built, table):
    flows.gc(mill.lake.url, Config(), quiet=True)
    for kind in ("garbled", "missing"):
        shutil.copytree(mill.folder, mill.folder.parent / "swept", dirs_exist_ok=True)
        victim = next(
            c
            for c in mill.commits(table)[::-1]
            if '"remove"' in c.read_text() or '"add"' in c.read_text()
        )
        DAMAGE[kind](victim)
        assert not mill.verify().ok
        assert mend(mill, built) == {"decoded": 0, "embedded": 0}
        shutil.rmtree(mill.folder)
        shutil.copytree(mill.folder.parent / "swept", mill.folder)


@pytest.mark.parametrize(
    "table",
    [*(pytest.param(t, marks=LONG) for t in TABLES[:4]), pytest.param(TABLES[4], marks=LONG)],
)
def test_after_maintenance_the_file_that_has_all(mill, built, table):
    flows.gc(mill.lake.url, Config(), quiet=True)
    named = {f"tables/{mill.name_of(table)}/{r['path']}" for r in file_rows(table_of(mill, table))}
    victim = mill.folder / sorted(named)[0]
    DAMAGE["truncated"](victim)
    assert len(mill.verify().findings) == 1
    work = mend(mill, built)
    assert table == "embeddings" or work["embedded"] == 0


def table_of(mill: DamagedMill, table: str) -> DeltaTable:
    return DeltaTable(str(mill.folder / "tables" / mill.name_of(table)))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("truncated", marks=LONG),
        *(pytest.param(k, marks=LONG) for k in ("missing", "hint")),
    ],
)
@pytest.mark.parametrize("drop", [False, pytest.param(True, marks=LONG)])
def test_a_damaged_checkpoint(mill, built, kind, drop):
    """With the commits before it, or, as a purge leaves a table, without."""
    table_of(mill, "units").create_checkpoint()
    mill.lake.view()
    log = mill.commits("units")[0].parent
    if drop:
        for commit in mill.commits("units")[:-1]:
            commit.unlink()
    victim = log / "_last_checkpoint" if kind == "hint" else next(log.glob("*.checkpoint.parquet"))
    DAMAGE["garbled" if kind == "hint" else kind](victim)
    assert not mill.verify().ok
    assert mend(mill, built) == {"decoded": 0, "embedded": 0}


@pytest.mark.slow
def test_files_that_are_gone_are_lost_by_name_and_the_run_finds_them_gone(mill, built):
    bread = mill.corpus / "bread.txt"
    text = bread.read_text()
    DAMAGE["missing"](mill.data_files("units")[-1])
    bread.unlink()
    try:
        repaired = mill.repair()
        assert [uri.rpartition("/")[2] for uri in repaired.lost] == ["bread.txt"]
        assert set(repaired.lost) <= set(repaired.reread)
        assert mill.verify().information["contents that the next run reads again"] >= 1
        mill.publish()  # what is left is whole
        assert mill.ingest().gone == 1
        assert mill.verify().ok
    finally:
        bread.write_text(text)


@pytest.mark.slow
def test_two_files_of_a_table_the_rows_of_which_are_the_same(mill, built):
    """As a log that was put together by hand may have them."""
    victim = mill.data_files("units")[0]
    shutil.copy(victim, victim.with_name("again.parquet"))
    for row in file_rows(table_of(mill, "units")):
        if row["path"].endswith(victim.name) and victim.parent.name in row["path"]:
            place = {name: row[f"partition.{name}"] for name in paths.UNITS.partition_by}
            action = AddAction(
                row["path"].replace(victim.name, "again.parquet"),
                row["size_bytes"],
                place,
                0,
                True,
                "{}",
            )
    table_of(mill, "units").create_write_transaction(
        [action],
        "append",
        paths.UNITS.schema,
        list(paths.UNITS.partition_by),
        commit_properties=CommitProperties(app_transactions=[Transaction("hand", 0)]),
    )
    assert any("twice" in f.wrong for f in mill.verify().findings)
    assert mend(mill, built) == {"decoded": 0, "embedded": 0}


@pytest.mark.slow
def test_a_table_of_which_nothing_is_left_is_set_aside(mill, built):
    for victim in [*mill.data_files("embeddings"), mill.commits("embeddings")[0]]:
        DAMAGE["garbled"](victim)
    name = mill.name_of("embeddings")
    assert any("nothing of it can be read" in line for line in mill.repair().repaired)
    assert not (mill.folder / "tables" / name).exists() or not mill.commits("embeddings")
    assert mill.verify().ok
    mill.ingest()
    assert mill.shown() == built[1]


@pytest.mark.slow
def test_gc_takes_what_a_killed_writer_left_half_written(mill):
    left = ["tables/units/x.parquet#1", "segments/ab/index.faiss#2", "snapshots/files/x.arrow#1"]
    others = [
        "pointer/0000000003.json#1",
        "locks/writer/0000000009.json#1",
        "snapshots/ab/protected#1",
    ]
    for name in [*left, *others]:
        (mill.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (mill.folder / name).write_bytes(b"half")
    assert mill.verify().information["half-written files of killed writers"] == len(left)
    assert flows.gc(mill.lake.url, Config(), quiet=True).half_written == len(left)
    assert [name for name in [*left, *others] if (mill.folder / name).exists()] == others
