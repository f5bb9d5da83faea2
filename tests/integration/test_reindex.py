"""Reindexing: units that are there in another space, beside the others, without listing or decoding."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from flows import wiring
from flows.maintain import collect
from flows.manifests import read_manifest
from flows.reindex import Reindexing
from flows.reindex_cost import foresee
from flows.serving import Serving
from flows.spaces import drop_space, list_spaces
from flows.surroundings import new_run_id
from flows.verify import verify_lake
from flows.wiring import open_retriever
from infra import pointer
from infra.lake.spaces import lacking
from infra.payloads import PAYLOADS
from schemas.config import Config, Engine, Profile, Recognition
from schemas.errors import ConfigError, GateError, LakeError
from schemas.partition import IMAGE_IMAGE, TEXT_PARAGRAPH
from tests.chaos.lakes import write_pdf, write_png
from tests.integration import other_spaces
from tests.integration.mill import Mill
from tests.integration.other_spaces import PIXELS, ROWS, TEXT
from tests.live_vectors import live_vectors

pytestmark = pytest.mark.slow

QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
PLAIN = Config(recognition=QUIET)
KEEPS = Config(engine=Engine(keep_payloads=True), recognition=QUIET)


@pytest.fixture(autouse=True)
def _other_spaces(monkeypatch: pytest.MonkeyPatch):
    other_spaces.add(monkeypatch)


def filled(folder: Path, config: Config = PLAIN) -> Mill:
    """Two texts, one of them twice, a table, a picture and a page; published."""
    mill = Mill(folder, config)
    mill.write("mill.txt", "The mill has a wheel.")
    mill.write("copy.txt", "The mill has a wheel.")
    mill.write("bread.md", "# Bread\n\nSourdough rises slowly overnight.")
    mill.write("visitors.csv", "month,visitors\nMay,120\nJune,340\n")
    write_png(mill.corpus / "one.png", "one")
    write_pdf(mill.corpus / "page.pdf", "Flour is ground between two stones.")
    mill.ingest()
    mill.publish()
    return mill


def key_of(mill: Mill, name: str) -> str:
    return next(row.key for row in list_spaces(mill.lake.url, mill.config) if row.name == name)


def published(mill: Mill) -> dict[str, set[str]]:
    """Partitions of the published snapshot by the name of their space."""
    manifest = read_manifest(mill.lake.blobs, str(pointer.current(mill.lake.blobs)))
    names = {space.key: space.name for space in manifest.spaces}
    found: dict[str, set[str]] = {}
    for entry in manifest.indexes:
        found.setdefault(names[entry.space], set()).add(entry.partition)
    return found


def decoded(mill: Mill, name: str) -> int:
    what = Reindexing.of(name, resegment=False)
    return pool(mill, what)["decode"].items


def pool(mill: Mill, what: Reindexing):
    spaces, beside = what.choose(mill.lake, mill.config)
    return mill.session((*spaces, *beside)).stats()


def test_another_text_encoder_decodes_nothing_while_the_old_snapshot_serves(tmp_path):
    mill = filled(tmp_path)
    old, seen, stop = pointer.current(mill.lake.blobs), [], threading.Event()
    torn: list[BaseException] = []

    def search() -> None:
        serving = Serving(mill.lake.url)
        try:
            while not stop.is_set():
                serving.refresh()
                snapshot = serving.snapshot
                entries = snapshot.manifest.indexes
                for partition, space in snapshot.indexes:
                    dim = next(s.dim for s in snapshot.manifest.spaces if s.key == space)
                    snapshot.search(partition, space, np.eye(1, dim, dtype=np.float32), 3)
                seen.append((snapshot.manifest.snapshot_id, len(entries)))
        except BaseException as error:  # noqa: BLE001 - told to the test
            torn.append(error)

    reader = threading.Thread(target=search)
    reader.start()
    mill.write("later.txt", "A file that nobody has run over.")
    before = decoded(mill, TEXT)
    balance = mill.reindex(Reindexing(TEXT))
    while not torn and seen[-1:] != [(pointer.current(mill.lake.blobs), seen[-1][1])]:
        stop.wait(0.01)
    stop.set()
    reader.join()
    assert torn == []
    assert decoded(mill, TEXT) == before == 0
    # The new file is none of its business, and every name that the lake knows is accounted for.
    assert (balance.found, balance.reembedded, balance.duplicate) == (6, 5, 1)
    new = pointer.current(mill.lake.blobs)
    assert {snapshot for snapshot, _ in seen} == {old, new}
    assert len(set(seen)) == 2  # each with all its indices, always
    assert published(mill)[TEXT] == published(mill)["minilm"]
    one = live_vectors(mill.lake, key_of(mill, "minilm"), TEXT_PARAGRAPH, "text_hash")
    other = live_vectors(mill.lake, key_of(mill, TEXT), TEXT_PARAGRAPH, "text_hash")
    assert one[1].tolist() == other[1].tolist()
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []


def test_a_unit_that_two_spaces_find_is_one_hit(tmp_path):
    mill = filled(tmp_path)
    mill.reindex(Reindexing(TEXT))
    both = open_retriever(mill.lake.url).search("what has a wheel", k=5, route="text/paragraph")
    alone = open_retriever(mill.lake.url, spaces=[TEXT])
    hits = alone.search("what has a wheel", k=5, route="text/paragraph").hits
    assert [hit.unit_id for hit in both.hits] == [hit.unit_id for hit in hits]
    assert len({hit.unit_id for hit in both.hits}) == len(both.hits) == 3
    assert alone.partitions == tuple(sorted(published(mill)[TEXT]))
    with pytest.raises(ConfigError, match=r"no space 'nothing'.*conse"):
        open_retriever(mill.lake.url, spaces=["nothing"])


def test_dry_run_says_what_then_happens(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.lake.blobs.delete(mill.lake.blobs.list(PAYLOADS)[0])
    for name in (TEXT, PIXELS, ROWS):
        what = Reindexing(name, publish=False)
        cost = foresee(mill.lake.url, mill.config, what)
        before = pool(mill, what)
        balance = mill.reindex(what)
        after = pool(mill, what)
        assert cost.files == balance.found
        assert (cost.embed, cost.decode) == (balance.reembedded, balance.redecoded)
        assert cost.decode == after["decode"].items - before["decode"].items == (name == PIXELS)
        assert cost.calls == after["embed"].items - before["embed"].items > 0
        key = key_of(mill, name)
        assert cost.vectors == len(mill.lake.embedded(key))
        assert cost.units == sum(balance.vectors.values()) + sum(balance.reused.values())
        again = foresee(mill.lake.url, mill.config, what)
        assert (again.embed, again.decode, again.units, again.unchanged) == (0, 0, 0, cost.files)


def test_a_run_that_was_ended_measures_only_where_no_other_does(tmp_path):
    mill = filled(tmp_path)
    what = Reindexing(TEXT, publish=False)
    for number, (run_id, succeeded, seconds) in enumerate(
        [("ended-first", False, 900.0), ("whole", True, 10.0), ("ended-later", False, 700.0)]
    ):
        record(mill, run_id, number, succeeded=succeeded, seconds=seconds)
        cost = foresee(mill.lake.url, mill.config, what)
        assert cost.measured_by == ("ended-first" if number == 0 else "whole")
    _, embedders = wiring.embedding_gpus(mill.config)
    assert cost.seconds == pytest.approx(cost.calls * 0.1 / embedders)


def record(mill: Mill, run_id: str, minute: int, *, succeeded: bool, seconds: float) -> None:
    """A run that embedded 100 texts in so many seconds."""
    stages = {"embed": {"items": 100, "seconds": seconds}}
    balance = {"stages": stages, "vectors": {"text/paragraph @ minilm": 100}}
    at = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
    mill.lake.record_run(
        {
            "run_id": run_id,
            "command": "ingest",
            "started_at": at,
            "finished_at": at,
            "succeeded": succeeded,
            "config": "{}",
            "balance": json.dumps(balance),
        }
    )


def test_pixels_that_are_not_kept_are_decoded_again_and_units_stay(tmp_path):
    mill = filled(tmp_path)
    units = mill.lake.live_units(columns=["unit_id", "batch"]).to_pylist()
    # Cut otherwise now, which does not concern pixels: the units are those that the lake has.
    segmentation = PLAIN.segmentation.model_copy(update={"paragraph_words": 20})
    mill.config = PLAIN.model_copy(update={"segmentation": segmentation})
    balance = mill.reindex(Reindexing(PIXELS))
    assert (balance.reembedded, balance.redecoded, balance.duplicate) == (3, 2, 1)
    assert balance.units == {}
    assert mill.lake.live_units(columns=["unit_id", "batch"]).to_pylist() == units
    one = live_vectors(mill.lake, key_of(mill, "conse"), IMAGE_IMAGE, "pixels_hash")
    other = live_vectors(mill.lake, key_of(mill, PIXELS), IMAGE_IMAGE, "pixels_hash")
    assert one[1].tolist() == other[1].tolist()


def test_a_source_that_is_not_to_be_had_keeps_what_it_has_and_is_named(tmp_path):
    mill = filled(tmp_path)
    (mill.corpus / "one.png").unlink()
    old, serving = pointer.current(mill.lake.blobs), mill.lake.live_units().num_rows
    with pytest.raises(GateError, match=r"1 sources could not be embedded.*one\.png"):
        mill.reindex(Reindexing(PIXELS))
    assert pointer.current(mill.lake.blobs) == old
    assert mill.lake.live_units().num_rows == serving
    mill.ingest()
    mill.reindex(Reindexing(PIXELS))
    assert published(mill)[PIXELS] == {"page/page"}


def test_a_reindex_that_dies_leaves_what_was_published_and_what_was_complete(tmp_path, monkeypatch):
    mill = filled(tmp_path)
    mill.reindex(Reindexing(TEXT, publish=False))
    mill.write("stars.txt", "Stars are measured by their parallax.")
    mill.ingest()
    mill.publish()

    def die(lake, batch, *, run_id):
        for step in lake.commit_steps(batch, run_id=run_id)[:-1]:  # all but the completions
            step.run()
        raise LakeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(type(mill.lake), "commit", die)
        with pytest.raises(LakeError, match="killed"):
            mill.reindex(Reindexing(TEXT))
    assert len(lacking(mill.lake.view(), key_of(mill, TEXT))) == 1
    mill.publish()  # what is half done is nobody's business
    assert TEXT not in published(mill)
    balance = mill.reindex(Reindexing(TEXT))
    assert (balance.reembedded, balance.unchanged) == (1, 6)
    assert published(mill)[TEXT] == published(mill)["minilm"]
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []


def test_a_space_takes_only_its_partitions(tmp_path):
    mill = filled(tmp_path)
    mill.reindex(Reindexing(ROWS))
    assert published(mill)[ROWS] == {"table/row"}
    (row,) = (r for r in list_spaces(mill.lake.url, mill.config) if r.name == ROWS)
    assert (row.vectors, row.lacking, row.published, row.in_profile) == (2, 0, True, False)
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []
    mill.config = PLAIN.model_copy(update={"profile": Profile(spaces=("minilm", ROWS))})
    mill.write("more.csv", "name\nGrist\n")
    again = mill.ingest()
    assert (again.indexed, again.unchanged + again.duplicate) == (1, 6)
    assert again.vectors[f"table/row @ {ROWS}"] == 1
    assert sum(again.vectors.values()) == 1 + again.vectors[
        "table/row @ minilm"
    ] + again.vectors.get("table/table @ minilm", 0)
    mill.publish()
    assert published(mill)[ROWS] == {"table/row"}


def test_a_dropped_space_leaves_the_snapshot_at_once_and_the_tables_with_gc(tmp_path):
    mill = filled(tmp_path)
    mill.reindex(Reindexing(TEXT))
    key = key_of(mill, TEXT)
    with_it, others = published(mill), published(mill).keys() - {TEXT}
    dropped = drop_space(mill.lake.url, TEXT, mill.config)
    assert (dropped.key, dropped.snapshot) == (key, pointer.current(mill.lake.blobs))
    assert published(mill) == {name: with_it[name] for name in others}
    assert open_retriever(mill.lake.url).search("a wheel", k=1).hits[0].path == "copy.txt"
    assert len(mill.lake.embedded(key)) > 0
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []

    collected = collect(mill.lake.url, mill.config, new_run_id(), dry_run=False, note=print)
    assert collected.spaces == (key,)
    assert len(mill.lake.embedded(key)) == 0
    assert key not in {row.key for row in list_spaces(mill.lake.url, mill.config)}
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []
    assert mill.reindex(Reindexing(TEXT)).reembedded == 5  # and it may come again
    assert published(mill) == with_it


def test_before_gc_a_dropped_space_comes_back_for_nothing(tmp_path):
    mill = filled(tmp_path)
    mill.reindex(Reindexing(TEXT))
    drop_space(mill.lake.url, TEXT, mill.config)
    assert mill.reindex(Reindexing(TEXT)).vectors == {}
    assert TEXT in published(mill)
    assert not any(row.dropped for row in list_spaces(mill.lake.url, mill.config))


def test_what_cannot_be_done_without_is_not_dropped(tmp_path):
    mill = filled(tmp_path)
    with pytest.raises(ConfigError, match=r"is in profile\.spaces"):
        drop_space(mill.lake.url, "minilm", mill.config)
    other = PLAIN.model_copy(update={"profile": Profile(spaces=(TEXT,))})
    with pytest.raises(ConfigError, match="last text space"):
        drop_space(mill.lake.url, "minilm", other)
    mill.reindex(Reindexing(TEXT, publish=False))
    with pytest.raises(ConfigError, match="would have no text space"):
        drop_space(mill.lake.url, "minilm", other)
    with pytest.raises(ConfigError, match="no space nothing"):
        drop_space(mill.lake.url, "nothing", other)
    mill.reindex(Reindexing(TEXT))
    drop_space(mill.lake.url, "minilm", other)
    assert published(mill).keys() == {TEXT, "conse"}
    assert open_retriever(mill.lake.url).search("sourdough", k=1).hits[0].path == "bread.md"


def test_what_asks_for_neither_or_for_both_is_refused():
    for space, resegment in [("", False), (TEXT, True)]:
        with pytest.raises(ConfigError, match="--space NAME, or --resegment"):
            Reindexing.of(space, resegment=resegment)
