import tempfile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.blobs import open_blobs
from infra.lake import paths
from infra.lake.align import align
from infra.lake.delta import DeltaTables, table_dim
from infra.lake.files import ROWS_PER_FILE
from infra.lake.hexkeys import HexKeys
from infra.lake.vectors import FoundVectors, VectorTable, gather
from schemas.errors import IntegrityError
from schemas.ids import digest
from schemas.tables import COMPLETIONS, EMBEDDINGS

SPEC = paths.embeddings("tiny")


def table_of(folder, batches: dict[str, list[tuple[str, float]]], dim: int = 2):
    tables = DeltaTables(open_blobs(folder))
    for number, (batch, items) in enumerate(batches.items()):
        rows = align(stored(batch, items, dim), SPEC)
        tables.append(SPEC, rows, app_id="test", number=number, dim=dim)
    return tables


def stored(batch: str, items: list[tuple[str, float]], dim: int) -> pa.Table:
    n = len(items)
    columns = {
        "modality": ["text"] * n,
        "granularity": ["paragraph"] * n,
        "input_hash": [digest(name) for name, _ in items],
        "vector": [[value] * dim for _, value in items],
        "marks": [None] * n,
        "batch": [batch] * n,
    }
    return pa.table(columns, EMBEDDINGS)


def found_in(tables, names, batches) -> FoundVectors:
    table = tables.open(SPEC)
    complete = pa.array(batches, pa.string())
    source = VectorTable(
        tables.dataset(SPEC, table), SPEC.name, table_dim(table), complete, pc.scalar(True)
    )
    return FoundVectors(source, HexKeys.of(pa.array([digest(n) for n in names], pa.string())))


@settings(max_examples=15)
@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_each_input_gets_its_vector_however_often_it_is_wanted(names):
    values = {name: float(i) for i, name in enumerate("abcde")}
    with tempfile.TemporaryDirectory() as folder:
        found = found_in(table_of(folder, {"1": list(values.items())}), names, ["1"])
        vectors = gather(found)
    assert found.found.tolist() == [name != "f" for name in names]
    expected = np.array([[values[n]] * 2 for n in names if n != "f"], np.float32).reshape(-1, 2)
    assert (vectors.dtype, vectors.tolist()) == (np.float32, expected.tolist())


def test_of_several_vectors_the_first_complete_batch_counts(tmp_path):
    tables = table_of(str(tmp_path), {"3": [("a", 3)], "1": [("a", 1)], "2": [("a", 2)]})
    assert gather(found_in(tables, ["a"], ["1", "2", "3"])).tolist() == [[1, 1]]
    assert gather(found_in(tables, ["a"], ["2", "3"])).tolist() == [[2, 2]]
    assert found_in(tables, ["a"], []).found.tolist() == [False]


def test_a_vector_that_stands_there_twice_is_given_once(tmp_path):
    tables = table_of(str(tmp_path), {"1": [("a", 1), ("b", 2), ("a", 1)]})
    given = list(found_in(tables, ["b", "a"], ["1"]).blocks())
    assert [rows.tolist() for rows, _ in given] in ([[0, 1]], [[1, 0]])


def test_many_rows_come_in_small_blocks(tmp_path):
    n = 40_000  # over several batches of the scan
    rng = np.random.default_rng(0)
    names = [f"{i:05}" for i in range(n // 2)]
    tables = table_of(str(tmp_path), {"1": [(name, float(name)) for name in names]}, dim=1)
    wanted = [names[i] for i in rng.integers(0, len(names), n)]
    found = found_in(tables, wanted, ["1"])
    assert found.found.all()
    np.testing.assert_array_equal(gather(found)[:, 0], np.array(wanted, np.float32))
    assert len(list(found.blocks())) == 2


def test_a_stored_vector_of_another_dim_is_an_error(tmp_path):
    tables = table_of(str(tmp_path), {"1": [("a", 1)]})
    tables.append(SPEC, stored("2", [("b", 1)], 3), app_id="other tool", number=0)
    with pytest.raises(IntegrityError, match="dim 2"):
        gather(found_in(tables, ["a", "b"], ["1", "2"]))


def test_long_tables_are_cut_into_files(tmp_path):
    n = ROWS_PER_FILE + 1
    rows = pa.table(
        {
            "kind": ["path"] * n,
            "uri": [f"u:/{i:06}" for i in range(n)],
            "source_id": [""] * n,
            "fingerprint": [""] * n,
            "batch": ["b-000000"] * n,
            "seq": [0] * n,
        },
        COMPLETIONS,
    )
    blobs = open_blobs(str(tmp_path))
    tables = DeltaTables(blobs)
    assert tables.append(paths.COMPLETIONS, rows, app_id="b", number=0)
    assert [k.rpartition("/")[2] for k in blobs.list("tables") if k.endswith("parquet")] == [
        "b-000000-0000.parquet",
        "b-000000-0001.parquet",
    ]
    assert not tables.append(paths.COMPLETIONS, rows, app_id="b", number=0)
