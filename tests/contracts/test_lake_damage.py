"""Damage to the tables and its repair, on a local disk and on S3."""

import json

import pytest

from infra.aside import ASIDE
from infra.lake import Lake, make_batch_id
from schemas.errors import ConflictError, LakeError
from tests.contracts.lake_corpus import (
    SPACE,
    TINY,
    Model,
    Rows,
    check_equal,
    check_whole,
    commit,
    source_id,
)

CONTENTS = {"u:/a": 0, "u:/b": 1, "u:/c": 2, "u:/d": 3}
MODEL = Model(dict(CONTENTS), dict.fromkeys(CONTENTS.values(), "f1"))


def ingest(lake: Lake, run_id: str) -> list[str]:
    """A batch for each path that is not complete; gives those."""
    state = lake.state()
    todo = [
        uri
        for uri, content in CONTENTS.items()
        if uri not in state.paths
        or (source_id(content), SPACE) not in state.spaces_done
        or state.units_done[source_id(content)][0] != "f1"
    ]
    for number, uri in enumerate(todo):
        rows = Rows(lake, make_batch_id(run_id, number), "f1")
        rows.put(uri, CONTENTS[uri])
        commit(lake, rows.seal())
    return todo


def repair(lake: Lake, run_id: str):
    with lake.repairer(run_id, spaces={SPACE: TINY}, progress=lambda *_: None) as repairer:
        return repairer.repair()


def garble(lake: Lake, folder: str, number: int, ending: str) -> str:
    key = [key for key in lake.blobs.list(f"tables/{folder}") if key.endswith(ending)][number]
    lake.blobs.put(key, b"\xff" * 100)
    return key


def test_an_empty_lake_is_whole(lake):
    check_whole(lake)
    with lake.writer("run"):
        check_whole(lake)
    assert repair(lake, "repair").done == []


@pytest.mark.parametrize(
    "lake", ["local", pytest.param("s3", marks=[pytest.mark.slow, pytest.mark.long])], indirect=True
)
def test_what_is_lost_and_only_that_is_done_again(lake):
    ingest(lake, "run")
    key = garble(lake, "units", 0, ".parquet")
    found = repair(lake, "repair")
    assert lake.blobs.list(ASIDE) == [f"{ASIDE}/repair/{key}"]
    assert len(found.withdrawn) == 1
    check_whole_but_waiting(lake)
    assert set(ingest(lake, "again")) == found.withdrawn
    check_equal(lake, MODEL)


def check_whole_but_waiting(lake: Lake) -> None:
    with pytest.raises(AssertionError, match="waiting"):
        check_whole(lake)


@pytest.mark.parametrize("ending", [".json", ".parquet"])
def test_completions_that_are_lost_come_back_without_embedding(local_lake, ending):
    ingest(local_lake, "run")
    for number in range(2):
        garble(local_lake, "completions", number + 1, ending)
    repair(local_lake, "repair")
    embedded = len(local_lake.embedded(SPACE))
    todo = ingest(local_lake, "again")
    assert len(todo) == (0 if ending == ".json" else 2)
    assert len(local_lake.embedded(SPACE)) == embedded
    check_equal(local_lake, MODEL)


def test_a_log_that_reads_well_and_does_not_open(local_lake):
    """A field of the schema whose type Delta does not know."""
    ingest(local_lake, "run")
    key = "tables/units/_delta_log/00000000000000000000.json"
    text = local_lake.blobs.get(key).decode()
    schema = json.dumps(json.dumps({"name": "text", "type": "string"})[1:-1])[1:-1].replace(" ", "")
    assert schema in text
    local_lake.blobs.put(key, text.replace(schema, schema.replace("string", "strinh"), 2).encode())
    with pytest.raises(LakeError, match="cannot read the table"):
        local_lake.live_units()
    repair(local_lake, "repair")
    assert ingest(local_lake, "again") == []
    check_equal(local_lake, MODEL)


def test_a_space_that_nobody_knows_is_complete_nowhere_once_it_lost_a_file(local_lake):
    ingest(local_lake, "run")
    garble(local_lake, f"embeddings/{SPACE}", 0, ".parquet")
    with local_lake.repairer("repair", spaces={}, progress=lambda *_: None) as repairer:
        repairer.repair()
    assert local_lake.state().spaces_done == set()
    assert len(local_lake.state().units_done) == len(CONTENTS)


def test_a_lost_reject_has_what_it_may_have_been_about_read_again_and_hides_nothing(local_lake):
    ingest(local_lake, "run")
    units = local_lake.live_units().num_rows
    garble(local_lake, "rejects", 0, ".parquet")
    assert repair(local_lake, "repair").withdrawn == {"u:/c"}
    assert local_lake.live_units().num_rows == units
    assert ingest(local_lake, "again") == ["u:/c"]
    check_equal(local_lake, MODEL)


def test_one_writer_repairs(local_lake):
    other = Lake.open(local_lake.url, create=False)
    with other.writer("run"), pytest.raises(ConflictError, match="run run"):
        repair(local_lake, "repair")
