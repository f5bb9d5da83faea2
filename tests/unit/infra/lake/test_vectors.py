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
from infra.lake.delta import DeltaTables
from infra.lake.files import ROWS_PER_FILE
from infra.lake.vectors import gather_vectors
from schemas.errors import IntegrityError
from schemas.tables import COMPLETIONS, EMBEDDINGS

SPEC = paths.embeddings("tiny")


def table_of(folder, batches: dict[str, list[tuple[str, float]]], dim: int = 2):
    tables = DeltaTables(open_blobs(folder))
    for number, (batch, items) in enumerate(batches.items()):
        n = len(items)
        columns = {
            "modality": ["text"] * n,
            "granularity": ["paragraph"] * n,
            "input_hash": [name for name, _ in items],
            "vector": [[value] * dim for _, value in items],
            "batch": [batch] * n,
        }
        rows = align(pa.table(columns, EMBEDDINGS), SPEC)
        tables.append(SPEC, rows, app_id="test", number=number, dim=dim)
    return tables


def gather(tables, hashes, batches):
    table = tables.open(SPEC)
    return gather_vectors(
        tables.dataset(SPEC, table),
        table,
        hashes=pa.chunked_array([hashes], pa.string()),
        batches=pa.array(batches, pa.string()),
        where=pc.scalar(True),
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_each_input_gets_its_vector_however_often_it_is_wanted(hashes):
    values = {name: float(i) for i, name in enumerate("abcde")}
    with tempfile.TemporaryDirectory() as folder:
        tables = table_of(folder, {"1": list(values.items())})
        found, vectors = gather(tables, hashes, ["1"])
    assert found.tolist() == [name != "f" for name in hashes]
    expected = np.array([[values[n]] * 2 for n in hashes if n != "f"], np.float32).reshape(-1, 2)
    assert (vectors.dtype, vectors.tolist()) == (np.float32, expected.tolist())


def test_of_several_vectors_the_first_complete_batch_counts(tmp_path):
    tables = table_of(str(tmp_path), {"3": [("a", 3)], "1": [("a", 1)], "2": [("a", 2)]})
    assert gather(tables, ["a"], ["1", "2", "3"])[1].tolist() == [[1, 1]]
    assert gather(tables, ["a"], ["2", "3"])[1].tolist() == [[2, 2]]
    assert gather(tables, ["a"], [])[0].tolist() == [False]


def test_many_rows_expand_in_place(tmp_path):
    n = 40_000  # over several chunks of the expansion and of the scan
    rng = np.random.default_rng(0)
    names = np.array([f"{i:05}" for i in range(n // 2)])
    tables = table_of(str(tmp_path), {"1": [(str(name), float(name)) for name in names]}, dim=1)
    wanted = names[rng.integers(0, len(names), n)]
    found, vectors = gather(tables, wanted.tolist(), ["1"])
    assert found.all()
    np.testing.assert_array_equal(vectors[:, 0], wanted.astype(np.float32))


def test_a_stored_vector_of_another_dim_is_an_error(tmp_path):
    tables = table_of(str(tmp_path), {"1": [("a", 1)]})
    rows = pa.table(
        {
            "modality": ["text"],
            "granularity": ["paragraph"],
            "input_hash": ["b"],
            "vector": [[1.0, 2.0, 3.0]],
            "batch": ["2"],
        },
        EMBEDDINGS,
    )
    tables.append(SPEC, rows, app_id="other tool", number=0)
    with pytest.raises(IntegrityError, match="dim 2"):
        gather(tables, ["a", "b"], ["1", "2"])


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
