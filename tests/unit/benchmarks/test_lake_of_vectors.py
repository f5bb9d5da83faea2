import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lake_of_vectors import row_of, unit_ids, write_lake
from benchmarks.vectors import Block
from flows.wiring import contracts
from infra.lake import Lake
from infra.lake.invariants import check_invariants
from schemas.config import Config
from schemas.partition import TEXT_PARAGRAPH
from tests.live_vectors import live_vectors


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20, unique=True))
def test_a_unit_id_gives_its_row_number_back(rows):
    ids = unit_ids(np.array(rows)).to_pylist()
    assert [row_of(name) for name in ids] == rows
    assert all(len(name) == 32 for name in ids)


def test_unit_ids_are_spread_evenly():
    ids = unit_ids(np.arange(4_000)).to_pylist()
    firsts = np.bincount([int(name[0], 16) for name in ids], minlength=16)
    assert firsts.min() > 150


@pytest.fixture(scope="module")
def blocks():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 40, 6)).astype(np.float32)
    documents = np.repeat(np.arange(8), 5)
    return [Block(0, 0, rows[0], documents), Block(1, 40, rows[1], documents)]


def test_a_lake_of_vectors_is_a_whole_lake(blocks, tmp_path):
    told = write_lake(str(tmp_path), blocks)
    assert (told["rows"], told["documents"]) == (80, 16)
    lake = Lake.open(str(tmp_path), create=False)
    (space,) = lake.space_keys()
    whole = check_invariants(lake.view(), {known.key: known for known in contracts(Config())})
    assert whole.holds
    assert whole.waiting == []
    assert lake.counts()["paths"] == {"indexed": 16}
    units, vectors = live_vectors(lake, space, TEXT_PARAGRAPH, "text_hash")
    rows = [row_of(name) for name in units["unit_id"].to_pylist()]
    assert sorted(rows) == list(range(80))
    assert np.array_equal(vectors, np.concatenate([b.vectors for b in blocks])[rows])


def test_rows_of_one_document_have_one_source(blocks, tmp_path):
    write_lake(str(tmp_path), blocks)
    units = Lake.open(str(tmp_path), create=False).live_units()
    rows = [row_of(name) for name in units["unit_id"].to_pylist()]
    assert (
        len(
            {
                (row // 5, name)
                for row, name in zip(rows, units["source_id"].to_pylist(), strict=True)
            }
        )
        == 16
    )
