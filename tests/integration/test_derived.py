"""Derived text from folder to hit: tied to its units, made again when its generator changes, lost alone."""

import json
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from flows import wiring
from flows.maintain import collect
from flows.surroundings import new_run_id
from infra.lake.invariants import check_invariants
from schemas.config import Config, Derivation, Engine, Recognition, Segmentation
from schemas.derived import GENERATOR, Subject, is_derived
from schemas.errors import CorruptError
from schemas.partition import IMAGE_IMAGE, TEXT_PARAGRAPH
from stages.derive import asking, registry
from stages.embed.registry import make_encoder
from stages.index.snapshot import OpenSnapshot
from stages.route.search import Retriever
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow

QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
ENGINE = Engine(keep_payloads=True)
ASKS = Derivation(adapter="ask")
TELLS = Derivation(adapter="tell")
GUIDE = "# Guide\n\n## How to lift the stone\n\nLoosen both screws first.\n\n## Prices\n\nFlour: 3."


def config(**derive: Derivation) -> Config:
    return Config(engine=ENGINE, recognition=QUIET, derive=derive)


class Refuses(asking.Asker):
    """Finds questions, but for units that say so."""

    def derive(self, subjects: list[Subject]) -> list[tuple[str, ...]]:
        if any("torn" in subject.unit.text for subject in subjects):
            raise CorruptError("the paper is torn")
        return super().derive(subjects)


@pytest.fixture(autouse=True)
def _refusing(monkeypatch: pytest.MonkeyPatch):
    row = registry.GeneratorRow(asking.contract, "tests.integration.test_derived:Refuses")
    monkeypatch.setitem(registry.GENERATORS, "ask", row)


def filled(folder: Path, settings: Config) -> Mill:
    mill = Mill(folder, settings)
    mill.write("guide.md", GUIDE)
    mill.write("prices.md", "# Prices\n\nRye: 2.")
    with as_file(files("skimage.data") / "chelsea.png") as cat:
        (mill.corpus / "one.png").write_bytes(cat.read_bytes())
    return mill


def units(mill: Mill) -> dict[str, dict]:
    rows = mill.lake.live_units().to_pylist()
    return {row["unit_id"]: row | {"attributes": json.loads(row["attributes"])} for row in rows}


def derived(mill: Mill) -> dict[str, dict]:
    return {k: row for k, row in units(mill).items() if is_derived(row["attributes"])}


def texts(mill: Mill) -> list[str]:
    return sorted(row["text"] for row in derived(mill).values())


def decoded(mill: Mill) -> int:
    return mill.session().stats()["decode"].items


def asked(mill: Mill) -> int:
    return mill.session().stats()["derive"].items


def whole(mill: Mill) -> bool:
    spaces = {space.key: space for space in mill.spaces_of(mill.config)}
    return check_invariants(mill.lake.view(), spaces).holds


def retriever(mill: Mill) -> Retriever:
    manifest = mill.publish()
    folder = Path(mill.lake.url.removeprefix("file://"))
    opened = OpenSnapshot.open(manifest, lambda key: folder / key)
    return Retriever(opened, {space.key: make_encoder(space) for space in manifest.spaces})


def test_texts_are_units_tied_to_what_they_are_about(tmp_path):
    mill = filled(tmp_path, config(questions=ASKS, told=TELLS))
    balance = mill.ingest()
    assert balance.indexed == 3
    by_partition = {(r["modality"], r["granularity"]): r for r in derived(mill).values()}
    assert set(by_partition) == {("text", "paragraph"), ("image", "image")}
    everything = units(mill)
    for row in by_partition.values():
        parent = everything[row["parent_id"]]
        for same in ("source_id", "modality", "granularity", "locator", "acl"):
            assert row[same] == parent[same]
        assert not is_derived(parent["attributes"])
        assert "phash" not in row["attributes"]
        assert not row["pixels_hash"]
    question = by_partition["text", "paragraph"]
    assert (question["text"], question["context"]) == ("How do I lift the stone?", "")
    assert by_partition["image", "image"]["text"].startswith("A picture of a")
    assert " cat" in by_partition["image", "image"]["text"]
    assert sum(balance.units.values()) == len(everything)
    assert whole(mill)
    assert mill.ingest().unchanged == 3


def test_a_hit_on_a_text_shows_its_unit_and_nothing_twice(tmp_path):
    mill = filled(tmp_path, config(questions=ASKS, told=TELLS))
    mill.ingest()
    search = retriever(mill).search
    hit, *others = search("How do I lift the stone?", route="text/paragraph").hits
    assert (hit.path, hit.text) == ("guide.md", "Loosen both screws first.")
    assert hit.found_by == "How do I lift the stone?"
    assert "guide.md" not in [other.path for other in others]
    (description,) = (r for r in derived(mill).values() if r["modality"] == "image")
    hits = search(description["text"], route="image/image").hits
    assert [(hit.path, hit.unit_id) for hit in hits] == [("one.png", description["parent_id"])]


def test_same_sources_give_the_same_units_however_they_came(tmp_path):
    at_once = filled(tmp_path, config(questions=ASKS, told=TELLS))
    at_once.ingest()
    (tmp_path / "later").mkdir()
    later = filled(tmp_path / "later", config())
    later.ingest()
    later.config = config(told=TELLS)
    later.ingest()
    later.config = config(told=TELLS, questions=ASKS)
    later.ingest()

    def stored(mill: Mill) -> dict:
        return {k: {c: v for c, v in r.items() if c != "batch"} for k, r in units(mill).items()}

    assert stored(later) == stored(at_once)


def test_a_generator_that_comes_changes_or_goes_costs_no_decoding(tmp_path):
    mill = filled(tmp_path, config())
    mill.ingest()
    plain = set(units(mill))
    before = decoded(mill)

    mill.config = config(questions=ASKS)
    came = mill.ingest()
    assert (came.indexed, came.reembedded, came.units) == (0, 3, {"text/paragraph": 1})
    assert texts(mill) == ["How do I lift the stone?"]

    mill.config = config(questions=ASKS, told=TELLS)
    told = mill.ingest()
    assert (told.reembedded, told.units) == (3, {"image/image": 1})
    assert asked(mill) == 1  # the picture; nothing is asked again about passages

    mill.config = config(questions=Derivation(adapter="ask", partitions=("text/document",)))
    changed = mill.ingest()
    assert changed.reembedded == 3
    keys = {row["attributes"][GENERATOR] for row in derived(mill).values()}
    assert keys <= {wiring.generators(mill.config)[0].key}

    mill.config = config()
    assert mill.ingest().reembedded == 3
    assert set(units(mill)) == plain
    assert decoded(mill) == before
    assert mill.ingest().unchanged == 3
    assert whole(mill)


def test_pixels_that_were_not_kept_are_decoded_and_nothing_else(tmp_path):
    forgets = {"engine": Engine(), "recognition": QUIET}
    mill = filled(tmp_path, Config(**forgets))
    mill.ingest()
    mill.config = Config(**forgets, derive={"told": TELLS})
    again = mill.ingest()
    assert (again.indexed, again.reembedded) == (1, 2)
    assert len(texts(mill)) == 1


def test_what_a_generator_fails_on_is_lost_alone_and_retried(tmp_path):
    mill = filled(tmp_path, config(questions=ASKS))
    mill.write(
        "torn.md", "# Torn\n\n## How to read this\n\nIt is torn.\n\n## How to mend it\n\nGlue."
    )
    balance = mill.ingest()
    assert (balance.indexed, balance.rejected, balance.unit_rejects) == (4, {}, {"corrupt": 1})
    assert texts(mill) == ["How do I lift the stone?", "How do I mend it?"]
    (row,) = mill.lake.rejects().to_pylist()
    assert (row["stage"], row["path"]) == ("derive", "torn.md")
    assert "the paper is torn" in row["reason"]
    assert row["unit_id"] not in units(mill)
    assert mill.ingest().unchanged == 4

    mill.config = config(questions=ASKS, told=TELLS)  # its units are written anew; the reject stays
    mill.ingest()
    assert [row["path"] for row in mill.lake.rejects().to_pylist()] == ["torn.md"]
    assert mill.retry("torn.md").unit_rejects == {"corrupt": 1}
    assert whole(mill)


def test_other_cutting_gives_texts_for_the_new_units_only(tmp_path):
    keeps = config(questions=ASKS).model_copy(
        update={"engine": Engine(keep_payloads=True, keep_content=True)}
    )
    mill = filled(tmp_path, keeps)
    mill.ingest()
    shorter = Segmentation(paragraph_words=10)
    mill.config = keeps.model_copy(update={"segmentation": shorter})
    again = mill.ingest()
    assert (again.indexed, again.resegmented, decoded(mill)) == (0, 3, 0)
    assert texts(mill) == ["How do I lift the stone?"]
    assert {row["parent_id"] for row in derived(mill).values()} <= set(units(mill))
    assert whole(mill)


def test_maintenance_leaves_them_and_forgetting_leaves_none(tmp_path):
    mill = filled(tmp_path, config(questions=ASKS, told=TELLS))
    mill.ingest()
    mill.write("guide.md", GUIDE + "\n\nMore of it.")
    mill.ingest()
    mill.publish()
    before = units(mill)
    collect(mill.lake.url, mill.config, new_run_id(), dry_run=False, note=lambda _: None)
    assert units(mill).keys() == before.keys()
    assert mill.ingest().unchanged == 3
    mill.forget("guide.md")
    assert all(row["modality"] == "image" for row in derived(mill).values())
    assert mill.lake.counts()["units"][str(IMAGE_IMAGE)] == 2
    assert mill.lake.counts()["units"].get(str(TEXT_PARAGRAPH)) == 1
