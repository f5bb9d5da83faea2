"""What a lake promises, on a local disk and on S3."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lake import Lake, make_batch_id, paths
from infra.lake.delta import DeltaTables
from infra.lake.files import file_stats
from schemas.errors import IntegrityError, LakeError, VectorError
from schemas.partition import TEXT_PARAGRAPH
from schemas.tables import EMBEDDINGS, RUNS, UNITS
from tests.contracts.lake_corpus import (
    DIM,
    NOON,
    SPACE,
    Model,
    Rows,
    check_equal,
    commit,
    make_batch,
    source_id,
)
from tests.live_vectors import live_vectors

DOCS = Path(__file__).parents[2] / "docs" / "lake.md"


def test_an_empty_lake_reads_as_empty(lake):
    assert lake.state().paths == {}
    assert lake.live_units().schema == UNITS
    units, vectors = live_vectors(lake, SPACE, TEXT_PARAGRAPH, "text_hash")
    assert (units.num_rows, vectors.shape) == (0, (0, 0))
    assert (lake.versions(), lake.space_keys(), lake.rejects().num_rows) == ({}, [], 0)


def test_every_crash_point_shows_nothing_and_the_repetition_everything(local_lake):
    commit(local_lake, make_batch(local_lake, "before", 0, uri="u:/b", content=0))
    for number in range(4):
        batch = make_batch(local_lake, "run", number, content=3)
        n_steps = len(local_lake.commit_steps(batch, run_id="run"))
        assert n_steps == 5
        commit(local_lake, batch, steps=number + 1)
        assert set(local_lake.state().paths) == {"u:/b"}
        assert set(local_lake.live_units()["source_id"].to_pylist()) == {source_id(0)}
        assert local_lake.rejects().num_rows == 0
    commit(local_lake, batch)
    check_equal(local_lake, Model({"u:/a": 3, "u:/b": 0}, {3: "f1", 0: "f1"}))


def test_repeating_a_commit_adds_nothing(lake):
    first, second = make_batch(lake, "run", 0), make_batch(lake, "run", 1, uri="u:/b", content=3)
    for batch in (first, second):
        commit(lake, batch)
    files = data_files(lake)
    for batch in (second, first, second):
        commit(lake, batch)
    assert data_files(lake) == files
    check_equal(lake, Model({"u:/a": 1, "u:/b": 3}, {1: "f1", 3: "f1"}))


def data_files(lake) -> list[str]:
    return [key for key in lake.blobs.list("tables") if key.endswith(".parquet")]


def test_a_number_used_for_other_rows_is_no_repetition(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 1))
    with pytest.raises(IntegrityError, match="new run id"):
        commit(local_lake, make_batch(local_lake, "run", 1, uri="u:/b", content=2))
    with pytest.raises(IntegrityError, match="in order"):
        commit(local_lake, make_batch(local_lake, "run", 0, uri="u:/b", content=2))


def test_seq_is_the_version_of_its_commit(local_lake):
    for number in range(3):
        commit(
            local_lake, make_batch(local_lake, "run", number, uri=f"u:/{number}", content=number)
        )
        tables = DeltaTables(local_lake.blobs)
        completions = tables.open(paths.COMPLETIONS)
        seqs = tables.dataset(paths.COMPLETIONS, completions).to_table()["seq"]
        assert pc.max(seqs).as_py() == completions.version()
    known = local_lake.state().paths
    assert [known[f"u:/{n}"].batch for n in range(3)] == [make_batch_id("run", n) for n in range(3)]


def test_a_view_stays_as_it_was(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    view, versions = local_lake.view(), local_lake.versions()
    commit(local_lake, make_batch(local_lake, "run", 1, uri="u:/b", content=2))
    for old in (view, local_lake.view(versions)):
        assert set(old.state().paths) == {"u:/a"}
        assert old.live_units().num_rows == 3
        assert old.versions()["completions"] == versions["completions"]
    assert local_lake.view(versions).versions() == versions
    assert local_lake.live_units().num_rows == 5


def test_counts_of_live_rows(lake):
    commit(lake, make_batch(lake, "run", 0))
    commit(lake, make_batch(lake, "run", 1, uri="u:/b", content=3))
    commit(lake, make_batch(lake, "run", 2, uri="u:/c", content=3))
    assert lake.counts() == {
        "paths": {"duplicate": 1, "indexed": 2},
        "units": {"image/image": 2, "text/paragraph": 4},
        "vectors": {f"image/image @ {SPACE}": 2, f"text/paragraph @ {SPACE}": 3},
        "rejects": {"bad_vector": 1},
    }


def test_columns_can_be_chosen(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    rows = local_lake.live_units(TEXT_PARAGRAPH, columns=["text", "modality"])
    assert rows.schema.names == ["text", "modality"]
    assert set(rows["text"].to_pylist()) == {"shared 1", "own 1 f1"}


def test_a_live_unit_without_vector_is_an_error(local_lake):
    batch = make_batch(local_lake, "run", 0)
    vectors = batch.embeddings[SPACE]
    commit(local_lake, replace(batch, embeddings={SPACE: vectors.slice(0, 1)}))
    with pytest.raises(IntegrityError, match=r"[12] live units of .* have no vector"):
        live_vectors(local_lake, SPACE, TEXT_PARAGRAPH, "text_hash")


def test_units_cut_anew_need_their_space_again(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    rows = Rows(local_lake, make_batch_id("run", 1), "f2")
    rows.put("u:/a", 1)
    rows.completions = [row for row in rows.completions if row["kind"] != "space"]
    assert (source_id(1), SPACE) in local_lake.state().spaces_done
    commit(local_lake, rows.seal())
    assert (source_id(1), SPACE) not in local_lake.state().spaces_done


def _drop(name):
    return lambda b: replace(b, units=b.units.drop_columns([name]))


def _vectors(values):
    def change(batch):
        column = pa.array(values, EMBEDDINGS.field("vector").type)
        rows = batch.embeddings[SPACE].slice(0, len(values)).set_column(3, "vector", column)
        return replace(batch, embeddings={SPACE: rows})

    return change


def _without(kind):
    return lambda b: replace(b, completions=b.completions.filter(pc.field("kind") != kind))


BROKEN = {
    "missing column": (_drop("language"), LakeError, "missing .'language'"),
    "extra column": (
        lambda b: replace(b, units=b.units.append_column("x", b.units["text"])),
        LakeError,
        "unknown .'x'",
    ),
    "wrong type": (
        lambda b: replace(b, sources=b.sources.set_column(4, "size_bytes", b.sources["uri"])),
        LakeError,
        "size_bytes .* is string, not int64",
    ),
    "null": (
        lambda b: replace(b, units=b.units.set_column(6, "text", pa.nulls(3, pa.string()))),
        LakeError,
        "text .* 3 nulls",
    ),
    "dims differ": (_vectors([[1, 2], [1]]), VectorError, "one dim"),
    "no dim": (_vectors([[], []]), VectorError, "one dim"),
    "not finite": (_vectors([[1, 2], [1, float("nan")]]), VectorError, "not finite"),
    "a null number": (_vectors([[1, None]]), VectorError, "null among"),
    "other batch": (lambda b: replace(b, batch_id="run-000009"), LakeError, "another batch"),
    "other run": (lambda b: replace(b, batch_id="walk-000000"), LakeError, "no batch of run"),
    "no completions": (
        lambda b: replace(b, completions=b.completions.slice(0, 0)),
        LakeError,
        "without completions",
    ),
    "units nobody sees": (_without("units"), LakeError, "never be seen"),
    "path nobody completes": (_without("path"), LakeError, "disagree"),
    "repeated completion": (
        lambda b: replace(b, completions=pa.concat_tables([b.completions, b.completions])),
        LakeError,
        "repeated completions of kind path",
    ),
    "bad space": (
        lambda b: replace(b, embeddings={"../x": b.embeddings[SPACE]}),
        LakeError,
        "space key",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_rows_are_refused_before_anything_is_written(local_lake, case):
    change, error, message = BROKEN[case]
    with local_lake.writer("run"), pytest.raises(error, match=message):
        local_lake.commit(change(make_batch(local_lake, "run", 0)), run_id="run")
    assert data_files(local_lake) == []


def test_another_dim_is_refused(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    change = _vectors([[1.0] * 8])
    with pytest.raises(IntegrityError, match=r"dim 8 .* dim 4"):
        commit(local_lake, change(make_batch(local_lake, "run", 1, uri="u:/b", content=2)))


def test_other_layouts_of_strings_and_lists_are_taken(local_lake):
    batch = make_batch(local_lake, "run", 0)
    names = batch.units.schema.names
    layouts = {"text": pa.large_string(), "acl": pa.large_list(pa.string_view())}
    large = pa.table(
        {name: batch.units[name].cast(layouts.get(name, batch.units[name].type)) for name in names}
    )
    vectors = batch.embeddings[SPACE]
    fixed = vectors.set_column(3, "vector", vectors["vector"].cast(pa.list_(pa.float32(), DIM)))
    commit(local_lake, replace(batch, units=large, embeddings={SPACE: fixed}))
    check_equal(local_lake, Model({"u:/a": 1}, {1: "f1"}))


def test_equal_rows_give_equal_bytes(tmp_path):
    kept = []
    for name in ("one", "two"):
        lake = Lake.open(str(tmp_path / name), create=True)
        batch = make_batch(lake, "run", 0)
        if name == "two":  # the order of arrival does not matter
            order = np.arange(batch.units.num_rows)[::-1]
            batch = replace(batch, units=batch.units.take(order))
        commit(lake, batch)
        kept.append(
            {k: lake.blobs.get(k) for k in lake.blobs.list("tables") if k.endswith(".parquet")}
        )
    assert kept[0] == kept[1]
    assert len(kept[0]) == 6  # sources, two partitions of units and of vectors, completions


def test_runs_are_recorded_once(local_lake):
    row = {
        "run_id": "run-1",
        "command": "ingest",
        "started_at": NOON,
        "finished_at": None,
        "succeeded": False,
        "config": "{}",
        "balance": "{}",
    }
    local_lake.record_run(row)
    local_lake.record_run(row | {"run_id": "run-0", "finished_at": NOON})
    assert local_lake.runs().schema == RUNS
    assert local_lake.runs()["run_id"].to_pylist() == ["run-1", "run-0"]
    with pytest.raises(LakeError, match="recorded before"):
        local_lake.record_run(row)
    with pytest.raises(LakeError, match=r"missing .'balance'"):
        local_lake.record_run({k: v for k, v in row.items() if k != "balance"})


def test_only_a_lake_is_opened(tmp_path):
    nowhere = tmp_path / "nowhere"
    with pytest.raises(LakeError, match="is no lake"):
        Lake.open(str(nowhere), create=False)
    assert not nowhere.exists()
    lake = Lake.open(str(nowhere), create=True)
    assert Lake.open(str(nowhere), create=True).url == Lake.open(lake.url, create=False).url
    with pytest.raises(LakeError, match="a disk or a bucket"):
        Lake.open("memory://", create=True)
    lake.blobs.put("lake.json", b'{"format_version": 99}')
    with pytest.raises(LakeError, match="format version 99"):
        Lake.open(str(nowhere), create=False)


def test_a_lost_file_is_an_error_of_the_lake(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    for key in local_lake.blobs.list("tables/units"):
        if key.endswith(".parquet"):
            local_lake.blobs.delete(key)
    with pytest.raises(LakeError, match="units"):
        local_lake.live_units()


def test_the_documented_lines_open_the_tables(local_lake):
    commit(local_lake, make_batch(local_lake, "run", 0))
    code = DOCS.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    assert "duckdb" in code
    assert "polars" in code
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(local_lake.url).parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == ["[(3,)]", "3"]


def test_every_column_can_be_filtered_on_from_outside(local_lake):
    """Bounds in the log that are wrong or missing make other engines drop rows."""
    commit(local_lake, make_batch(local_lake, "run", 0, content=3))
    commit(local_lake, make_batch(local_lake, "run", 1, uri="u:/b", content=2))
    filtered = 0
    for spec in (paths.SOURCES, paths.UNITS, paths.REJECTS, paths.COMPLETIONS):
        table = DeltaTables(local_lake.blobs).open(spec)
        rows = table.to_pyarrow_table()
        assert rows.num_rows
        for field in rows.schema:
            if pa.types.is_nested(field.type):
                continue
            for value in rows[field.name].drop_null():
                there = pc.sum(pc.equal(rows[field.name], value)).as_py()
                dataset = table.to_pyarrow_dataset()
                assert dataset.count_rows(filter=pc.field(field.name) == value) == there
                found = duckdb.from_arrow(dataset).filter(
                    duckdb.ColumnExpression(field.name) == duckdb.ConstantExpression(value.as_py())
                )
                assert len(found.fetchall()) == there
                filtered += 1
            there = rows[field.name].null_count
            assert table.to_pyarrow_dataset().count_rows(pc.field(field.name).is_null()) == there
    assert filtered > 50


@given(
    st.lists(
        st.one_of(st.none(), st.text(max_size=40), st.text("a\U0010ffff", max_size=40)), min_size=1
    )
)
def test_bounds_of_strings_hold(values):
    stats = json.loads(file_stats(pa.table({"text": pa.array(values, pa.string())})))
    given = [value for value in values if value is not None]
    assert stats["nullCount"]["text"] == len(values) - len(given)
    if given:
        low, high = stats["minValues"]["text"], stats["maxValues"]["text"]
        # Engines compare bytes of UTF-8.
        assert all(low.encode() <= value.encode() <= high.encode() for value in given)
        assert len(high) <= 33 or "\U0010ffff" in high
