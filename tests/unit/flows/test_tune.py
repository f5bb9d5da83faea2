import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows import tune as flow
from flows.manifests import manifest_key
from flows.tune import TunedIndex, TunedSnapshot, WhatToTune, chosen_entries, publish_tuned, retuned
from infra import pointer
from infra.lake import Lake
from schemas.config import Indexing
from schemas.errors import ConfigError, GateError
from schemas.manifest import CurvePoint, FileRef, GateCheck, IndexManifest, Manifest
from schemas.space import SpaceContract
from stages.index.tune import Tuned

SPACE = SpaceContract("minilm", "minilm", "m", "1", "", 2, "float32", "text", "mean")
FILE = FileRef("k", 1, "s")


def entry(partition: str = "text/paragraph", nprobe: int = 8) -> IndexManifest:
    checks = (
        GateCheck("rows_off_table", 0, 0, at_least=False, passed=True),
        GateCheck("recall_at_10", 0.99, 0.9, at_least=True, passed=True),
        GateCheck("recall_at_10_text", 0.99, 0.9, at_least=True, passed=True),
        GateCheck("latency_ms_p99", 3, 5, at_least=False, passed=True),
    )
    search = {"nprobe": nprobe}
    return IndexManifest(
        partition,
        SPACE.key,
        "ivf_sq8",
        {"nlist": 64},
        search,
        9,
        0.99,
        2,
        3,
        checks,
        (),
        {},
        FILE,
        FILE,
    )


def manifest(*entries: IndexManifest) -> Manifest:
    identity = Manifest.identity((SPACE,), entries, FILE)
    return Manifest(identity, "2026-11-21", "r", {"completions": 3}, (SPACE,), entries, FILE)


def tuned(nprobe: int, *, met: bool = True) -> Tuned:
    point = CurvePoint({"nprobe": nprobe}, 0.95, 1.0, 1.5, 100.0)
    return Tuned(point, {"rows": 0.96, "text": 0.95}, (point,), met, "reached 0.950 at nprobe 4")


def index(nprobe: int, *, met: bool = True, of: IndexManifest | None = None) -> TunedIndex:
    return TunedIndex(of or entry(), "minilm", (0.9, 2.0), tuned(nprobe, met=met))


def published(lake: Path, *entries: IndexManifest) -> Manifest:
    blobs = Lake.open(str(lake), create=True).blobs
    found = manifest(*entries)
    blobs.put(manifest_key(found.snapshot_id), found.to_json().encode())
    pointer.publish(blobs, found.snapshot_id, run_id="r", reason="run")
    return found


def test_only_how_it_is_searched_changes():
    before, after = entry(), retuned(index(4))

    assert (after.search, after.recall_at_10, after.latency_ms_p99) == ({"nprobe": 4}, 0.95, 1.5)
    assert after.recalls == {"rows": 0.96, "text": 0.95}
    assert [(c.name, c.threshold, c.passed) for c in after.checks] == [
        ("rows_off_table", 0, True),
        ("recall_at_10", 0.9, True),
        ("recall_at_10_rows", 0.9, True),
        ("recall_at_10_text", 0.9, True),
        ("latency_ms_p99", 2.0, True),
    ]
    kept = ("partition", "space", "family", "parameters", "segments", "truth", "prototypes", "rows")
    assert all(getattr(before, name) == getattr(after, name) for name in kept)


def test_what_is_published_has_the_same_files_and_another_id(tmp_path: Path):
    before = published(tmp_path, entry(), entry("table/row"))
    result = publish_tuned(str(tmp_path), before, TunedSnapshot(before.snapshot_id, (index(4),)))

    blobs = Lake.open(str(tmp_path), create=False).blobs
    after = Manifest.from_json(blobs.get(manifest_key(result.published)).decode())
    assert pointer.current(blobs) == result.published == after.snapshot_id != before.snapshot_id
    assert after.snapshot_id == Manifest.identity(after.spaces, after.indexes, after.sources)
    assert list(after.files()) == list(before.files())
    assert [i.search for i in after.indexes] == [{"nprobe": 4}, {"nprobe": 8}]
    assert after.table_versions == before.table_versions


def test_the_same_choice_publishes_nothing(tmp_path: Path):
    before = published(tmp_path, entry())
    result = publish_tuned(str(tmp_path), before, TunedSnapshot(before.snapshot_id, (index(8),)))

    assert not result.published
    assert len(pointer.history(Lake.open(str(tmp_path), create=False).blobs)) == 1


def test_what_misses_its_target_is_not_published(tmp_path: Path):
    before = published(tmp_path, entry())
    missed = TunedSnapshot(before.snapshot_id, (index(4, met=False),))
    with pytest.raises(
        GateError, match=r"text/paragraph in minilm reached 0.950 .*Nothing was published"
    ):
        publish_tuned(str(tmp_path), before, missed)

    assert pointer.current(Lake.open(str(tmp_path), create=False).blobs) == before.snapshot_id


def test_an_index_that_is_not_there_is_named_with_those_that_are():
    found = manifest(entry(), entry("table/row"))

    assert chosen_entries(found, WhatToTune(partition="table/row")) == [found.indexes[1]]
    assert chosen_entries(found, WhatToTune(space="minilm")) == list(found.indexes)
    assert chosen_entries(found, WhatToTune(space=SPACE.key)) == list(found.indexes)
    with pytest.raises(
        ConfigError, match=r"--partition page/page.*it has text/paragraph in minilm, table/row"
    ):
        chosen_entries(found, WhatToTune(partition="page/page"))


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        (WhatToTune(), (0.9, 5)),
        (WhatToTune(recall=0.5, latency_ms=0), (0.5, 0)),
    ],
)
def test_targets_are_those_it_was_published_with_unless_others_are_asked_for(
    what: WhatToTune, wanted: tuple[float, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = published(tmp_path, entry())
    asked = []

    def tune_entry(snapshot: object, blobs: object, one: IndexManifest, targets: Indexing) -> Tuned:
        asked.append((targets.recall_at_10, targets.latency_ms))
        return tuned(4)

    monkeypatch.setattr(flow, "_tune_entry", tune_entry)
    monkeypatch.setattr(flow, "open_snapshot", lambda *_: _Opened(before))
    told: list[tuple[str, int, int]] = []
    found = flow.tune_snapshot(
        str(tmp_path), what, Indexing(recall_at_10=0.7), lambda *seen: told.append(seen)
    )

    assert asked == [wanted]
    assert told == [("text/paragraph", 0, 1)]
    assert found.indexes[0].wanted == wanted
    assert not found.published
    assert json.loads(json.dumps(found.as_dict()))["indexes"][0]["chosen"]["search"] == {
        "nprobe": 4
    }


class _Opened:
    def __init__(self, found: Manifest) -> None:
        self.manifest = found


def test_without_a_check_the_configuration_says_what_to_reach():
    bare = replace(entry(), checks=())

    assert flow._wanted(bare, WhatToTune(), Indexing(recall_at_10=0.7, latency_ms=9)) == (0.7, 9)
