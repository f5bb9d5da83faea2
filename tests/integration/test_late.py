"""Late interaction from files to hits, with real token vectors."""

import pytest

from flows.index_plan import plan_lake
from flows.tune import WhatToTune, tune_snapshot
from flows.verify import verify_snapshot
from gristmill import open_retriever, open_snapshot
from schemas.config import Config, Indexing, Profile, Recognition
from schemas.manifest import IndexManifest, Manifest
from schemas.partition import TEXT_PARAGRAPH
from stages.embed.registry import make_encoder
from tests.integration.mill import Mill
from tests.late_corpus import naive_maxsim

pytestmark = pytest.mark.slow

CONFIG = Config(
    recognition=Recognition(ocr=False, layout=False, speech=False, sound_tags=False),
    profile=Profile(spaces=("minilm", "minilm-tokens")),
    indexing=Indexing(recall_queries=10, recall_at_10=0.9),
)
GRAINS = ["rye", "barley", "wheat", "oats", "millet", "maize", "spelt", "rice", "sorghum", "teff"]
DEEDS = ["grinds", "stores", "dries", "sells"]
TEXTS = {
    f"{grain}-{deed}.md": f"The old mill by the river {deed} {grain} for the people of the town."
    for grain in GRAINS
    for deed in DEEDS
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mill, Manifest]:
    mill = Mill(tmp_path_factory.mktemp("late"), CONFIG)
    for name, text in TEXTS.items():
        mill.write(name, text)
    mill.ingest()
    return mill, mill.publish()


def late_entry(manifest: Manifest, partition: str = "text/paragraph") -> IndexManifest:
    return next(e for e in manifest.indexes if e.late and e.partition == partition)


def test_the_manifest_says_what_was_measured(published):
    _, manifest = published
    entry = late_entry(manifest)
    assert entry.rows == len(TEXTS)
    assert entry.recall_at_10 >= 0.9
    assert set(entry.recalls) == {"rows", "text"}
    assert entry.search["rescore"] in {point.search["rescore"] for point in entry.curve}
    assert entry.late.vectors > 10 * len(TEXTS)
    assert entry.late.unit_bytes > 384 * 10
    assert entry.late.kept_recall_at_10 == 1
    assert {"best_mean", "best_std"} == set(entry.calibration)
    assert 0 < entry.calibration["best_mean"] < 1
    assert all(check.passed for check in entry.checks)
    space = next(s for s in manifest.spaces if s.name == "minilm-tokens")
    assert entry.space == space.key


def test_hits_are_those_of_exact_maxsim(published):
    mill, manifest = published
    entry = late_entry(manifest)
    snapshot = open_snapshot(mill.lake.url)
    encoder = make_encoder(next(s for s in manifest.spaces if s.key == entry.space))
    texts = list(TEXTS.values())
    units = encoder.encode(texts)
    for words in ("who dries barley?", "a shop for sorghum"):
        (query,) = encoder.encode_queries([words])
        exact = sorted(
            (
                (naive_maxsim(query.vectors, u.vectors), t)
                for u, t in zip(units, texts, strict=True)
            ),
            reverse=True,
        )
        found = snapshot.search(TEXT_PARAGRAPH, entry.space, [query.vectors], 5)[0]
        assert len({hit.text for hit in found} & {text for _, text in exact[:5]}) >= 4
        assert found[0].similarity == pytest.approx(exact[0][0], abs=0.01)


def test_questions_are_answered_through_routes_and_filters(published):
    mill, _ = published
    retriever = open_retriever(mill.lake.url)
    for route in (None, "text/paragraph"):
        result = retriever.search("who dries barley?", 3, route=route)
        assert result.hits[0].path == "barley-dries.md"
        assert 0 < result.hits[0].score <= 1
    ours = retriever.search("who dries barley?", 3, where=["attributes.title = nothing"])
    assert ours.hits == ()


def test_it_verifies_and_can_be_tuned_again(published):
    mill, _ = published
    assert verify_snapshot(mill.lake.url, "current", lambda *_: None).ok
    what = WhatToTune(space="minilm-tokens", partition="text/paragraph", recall=0.5)
    tuned = tune_snapshot(mill.lake.url, what, CONFIG.indexing, lambda *_: None)
    assert tuned.indexes[0].tuned.met


def test_nothing_new_keeps_the_snapshot_and_a_change_builds_it_anew(published):
    mill, manifest = published
    assert mill.publish().snapshot_id == manifest.snapshot_id
    mill.write("rye-grinds.md", "Nobody grinds rye any more.")
    mill.ingest()
    foreseen = {
        (i.partition, i.space): i.foreseen for i in plan_lake(mill.lake.url, CONFIG).indexes
    }
    assert foreseen["text/paragraph", "minilm-tokens"].start == "anew"
    second = mill.publish()
    entry = late_entry(second)
    assert entry.rows == len(TEXTS)
    assert entry.late.codebook == late_entry(manifest).late.codebook
    snapshot = open_snapshot(mill.lake.url)
    encoder = make_encoder(next(s for s in second.spaces if s.key == entry.space))
    (query,) = encoder.encode_queries(["nobody grinds rye"])
    (hit, *_) = snapshot.search(TEXT_PARAGRAPH, entry.space, [query.vectors], 3)[0]
    assert hit.text == "Nobody grinds rye any more."
