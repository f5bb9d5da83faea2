"""What a build streams out of the lake is what the lake says is live."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from infra.lake import make_batch_id
from infra.lake.hexkeys import HexKeys
from infra.match import match
from infra.spill import ROWS, Wanted, live_keys, spilled
from schemas.errors import IntegrityError
from schemas.ids import digest
from schemas.partition import IMAGE_IMAGE, TEXT_PARAGRAPH
from tests.contracts.lake_corpus import DIM, SPACE, Rows, commit, make_batch, source_id, vector_of
from tests.live_vectors import live_vectors

TEXT = Wanted(TEXT_PARAGRAPH, SPACE, "text_hash")
PIXELS = Wanted(IMAGE_IMAGE, SPACE, "pixels_hash")


def fill(lake):
    """Several batches: contents that share text, one cut anew, one whose last name is gone."""
    first = Rows(lake, make_batch_id("one", 0), "f1")
    for content in range(6):
        first.put(f"u:/{content}", content)
    commit(lake, first.seal())
    second = Rows(lake, make_batch_id("two", 0), "f2")
    second.put("u:/1", 1)
    second.gone("u:/4")
    commit(lake, second.seal())


def streamed(view, wanted=TEXT):
    batches = list(view.stream_units(wanted.partition, ROWS.names, wanted.input_column))
    return pa.Table.from_batches(batches, ROWS)


def spilled_rows(view, wanted, keys, shards=3):
    """Rows and vectors of all shards, joined."""
    with spilled(view, wanted, keys, shards) as spill:
        parts = [spill.shard(shard) for shard in range(shards)]
        assert (
            spill.vectors_at(np.arange(spill.rows)) == np.concatenate([v for _, v in parts])
        ).all()
    return pa.concat_tables(table for table, _ in parts), np.concatenate([v for _, v in parts])


@pytest.mark.parametrize("wanted", [TEXT, PIXELS])
def test_the_stream_has_the_live_units(lake, wanted):
    fill(lake)
    view = lake.view()
    live = view.live_units(wanted.partition)
    rows = streamed(view, wanted).sort_by("unit_id")
    assert rows.num_rows > 2
    same = [name for name in ROWS.names if name != "input_hash"]
    assert rows.select(same).equals(live.select(same))
    assert rows["input_hash"].equals(live[wanted.input_column])
    assert streamed(view, wanted).equals(streamed(view, wanted)), "the order must not change"


@pytest.mark.parametrize("wanted", [TEXT, PIXELS])
def test_what_is_spilled_is_what_is_live(lake, wanted):
    fill(lake)
    view = lake.view()
    rows, vectors = spilled_rows(view, wanted, live_keys(view, wanted))
    live, expected = live_vectors(view, SPACE, wanted.partition, wanted.input_column)
    assert rows["unit_id"].equals(live["unit_id"])
    assert rows["text"].equals(live["text"])
    assert (vectors == expected).all()
    # Content 3 has a unit that was rejected: it is streamed, and has no vector.
    assert live.num_rows == len(live_keys(view, wanted)) - (wanted is TEXT)


def test_an_empty_lake_streams_nothing(local_lake):
    view = local_lake.view()
    keys = live_keys(view, TEXT)
    assert len(keys) == 0
    rows, vectors = spilled_rows(view, TEXT, keys)
    assert (rows.num_rows, vectors.shape) == (0, (0, 0))


def test_a_unit_without_vector_is_an_error(local_lake):
    rows = Rows(local_lake, make_batch_id("one", 0), "f1")
    rows.put("u:/a", 1)
    rows.embeddings = rows.embeddings[1:]
    commit(local_lake, rows.seal())
    view = local_lake.view()
    with (
        pytest.raises(IntegrityError, match="1 live units"),
        spilled(view, TEXT, live_keys(view, TEXT), 1),
    ):
        pass


def test_of_several_vectors_the_first_complete_batch_counts(local_lake):
    for number, run in enumerate(["run3", "run1", "run2"]):
        rows = Rows(local_lake, make_batch_id(run, 0), f"f{number}")
        rows.embedded.__init__()  # forget what is embedded
        rows.put("u:/a", 0)
        for item in rows.embeddings:
            item["vector"] = [float(run[-1])] * DIM
        commit(local_lake, rows.seal())
    view = local_lake.view()
    shared = HexKeys.of(pa.array([digest("text", "shared 0")] * 2 + [digest("text", "none")]))
    found = view.find_vectors(SPACE, TEXT_PARAGRAPH, shared)
    assert found.found.tolist() == [True, True, False]
    given = [
        (row, vector.tolist())
        for rows, block in found.blocks()
        for row, vector in zip(rows, block, strict=True)
    ]
    assert sorted(given) == [(0, [1.0] * DIM), (1, [1.0] * DIM)]


def test_files_without_a_wanted_vector_are_not_read_again(local_lake):
    for content in range(4):
        commit(
            local_lake,
            make_batch(local_lake, f"run{content}", 0, uri=f"u:/{content}", content=content),
        )
    view = local_lake.view()
    only = pc.equal(view.live_units(TEXT_PARAGRAPH)["source_id"], source_id(2))
    wanted = view.live_units(TEXT_PARAGRAPH).filter(only)
    keys = live_keys(view, TEXT).only(HexKeys.of(wanted["unit_id"]))
    found = view.find_vectors(SPACE, TEXT_PARAGRAPH, keys.inputs)
    spec = local_lake.blobs.list(f"tables/embeddings/{SPACE}")
    # The text that content 2 shares is content 0's.
    for key in spec:
        if key.endswith(".parquet") and ("run1" in key or "run3" in key):
            local_lake.blobs.put(key, b"damaged")
    vectors = {}
    for rows, block in found.blocks():
        vectors |= dict(zip(rows.tolist(), block.tolist(), strict=True))
    assert [vectors[i] for i in range(2)] == [
        vector_of(h) for h in keys.inputs.strings().to_pylist()
    ]


def test_an_increment_spills_what_changed(local_lake):
    fill(local_lake)
    before = local_lake.view()
    base = streamed(before).sort_by("unit_id")
    rows = Rows(local_lake, make_batch_id("three", 0), "f3")
    rows.put("u:/0", 0)
    rows.put("u:/9", 9)
    rows.gone("u:/5")
    commit(local_lake, rows.seal())
    after = local_lake.view()
    found = match(
        [base.slice(0, 4), base.slice(4)],
        after.stream_units(TEXT_PARAGRAPH, ROWS.names, "text_hash"),
    )
    kept = base.filter(pa.array(np.concatenate(found.kept)))
    fresh, vectors = spilled_rows(after, TEXT, found.fresh)
    live = streamed(after).sort_by("unit_id")
    assert pa.concat_tables([kept, fresh]).sort_by("unit_id").equals(live)
    assert set(kept["source_id"].to_pylist()) == {source_id(content) for content in (0, 1, 2, 3)}
    assert set(fresh["source_id"].to_pylist()) == {source_id(content) for content in (0, 9)}
    assert vectors.tolist() == [vector_of(h) for h in fresh["input_hash"].to_pylist()]
    assert live_keys(after, TEXT).units.equal(found.live.units).all()
