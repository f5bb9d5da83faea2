"""Cutting anew from kept content: what a full run would give, without decoding; and nothing of it is left behind."""

from pathlib import Path

import pytest

from flows.maintain import collect
from flows.reindex import Reindexing
from flows.reindex_cost import foresee
from flows.repair import repair_lake
from flows.surroundings import new_run_id
from flows.verify import verify_lake
from infra.contents import CONTENT, KeptContents
from infra.lake import paths
from infra.payloads import PAYLOADS
from schemas.config import Config, Engine, Profile, Recognition, Segmentation
from schemas.content import Block, Content
from tests.chaos.lakes import write_pdf, write_png
from tests.integration import other_spaces
from tests.integration.mill import Mill
from tests.integration.other_spaces import PIXELS

pytestmark = pytest.mark.slow

QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
KEEPS = Config(engine=Engine(keep_content=True, keep_payloads=True), recognition=QUIET)
FORGETS = Config(recognition=QUIET)
ALL = Reindexing("", publish=False)
LONG = "\n\n".join(
    f"Paragraph {n} of the miller's diary says that the wheel turned for {n} hours without a stop."
    for n in range(12)
)


def cut_short(config: Config) -> Config:
    return config.model_copy(
        update={"segmentation": Segmentation(paragraph_words=20, document_tokens=64)}
    )


def filled(folder: Path, config: Config) -> Mill:
    """A long text, one of them twice, one that is cut the same either way, a table, a picture and a page."""
    folder.mkdir(exist_ok=True)
    mill = Mill(folder, config)
    mill.write("diary.txt", LONG)
    mill.write("copy.txt", LONG)
    mill.write("short.md", "# Bread\n\nSourdough rises slowly.")
    mill.write("visitors.csv", "month,visitors\nMay,120\nJune,340\n")
    write_png(mill.corpus / "one.png", "one")
    write_pdf(mill.corpus / "page.pdf", "Flour is ground between two stones.")
    mill.ingest()
    return mill


def units(mill: Mill) -> list[dict]:
    """All that is told of live units, but for when."""
    return mill.lake.live_units().drop_columns("batch").to_pylist()


def vectors(mill: Mill) -> dict[str, list]:
    """Of live units, by space and unit."""
    found = {}
    view = mill.lake.view()
    for space in mill.spaces_of(mill.config):
        rows = view.all_rows(paths.embeddings(space.key), ["input_hash", "vector"]).to_pylist()
        by_input = {row["input_hash"]: row["vector"] for row in rows}
        for unit in units(mill):
            if vector := by_input.get(unit[space.input_column]):
                found[f"{space.name} {unit['unit_id']}"] = vector
    return found


def decoded(mill: Mill) -> int:
    return mill.session(mill.spaces_of(mill.config)).stats()["decode"].items


def contents(mill: Mill) -> list[str]:
    return mill.lake.blobs.list(CONTENT)


def test_what_is_cut_anew_is_what_a_full_run_gives(tmp_path):
    mill = filled(tmp_path, KEEPS)
    assert len(contents(mill)) == 5
    whole = filled(tmp_path / "whole", cut_short(FORGETS))
    assert units(mill) != units(whole)

    mill.config = cut_short(KEEPS)
    cost = foresee(mill.lake.url, mill.config, ALL)
    assert (cost.files, cost.recut, cost.decode, cost.vectors) == (6, 5, 0, None)
    balance = mill.reindex(ALL)
    assert decoded(mill) == 0
    assert (balance.found, balance.resegmented, balance.duplicate) == (6, 5, 1)
    assert set(balance.vectors) <= {"text/paragraph @ minilm", "text/document @ minilm"}
    assert balance.reused["image/image @ conse"] == 1  # pixels are not looked at again
    assert balance.reused["table/row @ minilm"] == 2
    # Roots are where the files lie, which is another folder.
    assert [u["unit_id"] for u in units(mill)] == [u["unit_id"] for u in units(whole)]
    assert units(mill) == units(whole)
    assert vectors(mill) == vectors(whole)
    again = mill.reindex(ALL)
    assert (again.unchanged, again.resegmented) == (6, 0)
    assert mill.ingest().unchanged + mill.ingest().duplicate == 6
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []


def test_a_run_cuts_anew_what_is_kept_too(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.config = cut_short(KEEPS)
    mill.write("new.txt", "This one is new.")
    balance = mill.ingest()
    assert (balance.indexed, balance.resegmented, balance.duplicate) == (1, 5, 1)
    assert mill.session().stats()["decode"].items == 1


def test_what_is_not_kept_or_is_damaged_is_decoded_again(tmp_path):
    mill = filled(tmp_path, KEEPS)
    whole = filled(tmp_path / "whole", cut_short(FORGETS))
    first, second, *_ = contents(mill)
    mill.lake.blobs.delete(first)
    damage(mill, second)
    mill.config = cut_short(KEEPS)
    assert foresee(mill.lake.url, mill.config, ALL).decode == 1  # damage shows when it is read
    balance = mill.reindex(ALL)
    assert (balance.resegmented, balance.redecoded) == (3, 2)
    assert units(mill) == units(whole)
    assert vectors(mill) == vectors(whole)


def damage(mill: Mill, key: str) -> None:
    data = bytearray(mill.lake.blobs.get(key))
    data[len(data) // 2] ^= 1
    mill.lake.blobs.put(key, bytes(data))


def test_nothing_kept_means_all_is_decoded_and_what_is_gone_stays_as_it_is(tmp_path):
    mill = filled(tmp_path, FORGETS)
    before = [unit for unit in units(mill) if unit["modality"] == "table"]
    (mill.corpus / "visitors.csv").unlink()
    mill.config = cut_short(FORGETS)
    balance = mill.reindex(ALL)
    assert (balance.redecoded, balance.rejected, balance.kept) == (4, {"unreadable": 1}, 1)
    assert [unit for unit in units(mill) if unit["modality"] == "table"] == before
    assert [row["path"] for row in mill.lake.rejects().to_pylist()] == ["visitors.csv"]
    mill.publish()


def test_recognition_that_changed_is_another_content(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.config = cut_short(KEEPS).model_copy(
        update={"recognition": QUIET.model_copy(update={"speech_model": "base.en"})}
    )
    assert foresee(mill.lake.url, mill.config, ALL).decode == 5


def test_cut_anew_into_another_space_its_pixels_are_read_where_they_are_kept(tmp_path, monkeypatch):
    other_spaces.add(monkeypatch)
    mill = filled(tmp_path, KEEPS)
    one = {k.split()[1]: v for k, v in vectors(mill).items() if k.startswith("conse ")}
    mill.lake.blobs.delete(mill.lake.blobs.list(PAYLOADS)[0])
    mill.config = cut_short(KEEPS).model_copy(
        update={"profile": Profile(spaces=("minilm", PIXELS))}
    )
    balance = mill.ingest()
    assert (balance.resegmented, balance.indexed) == (4, 1)
    assert {k.split()[1]: v for k, v in vectors(mill).items() if k.startswith(PIXELS)} == one


def test_gc_takes_what_is_of_no_live_source_or_superseded(tmp_path):
    mill = filled(tmp_path, KEEPS)
    (mill.corpus / "short.md").unlink()
    mill.ingest()
    KeptContents(mill.lake.blobs, "0" * 32).keep(
        next(k.source_id for k in mill.lake.state().paths.values()),
        Content("text/plain", blocks=(Block("paragraph", "As it was read once."),)),
    )
    assert taken(mill, dry_run=True) == 2
    assert len(contents(mill)) == 6
    assert taken(mill) == 2
    assert len(contents(mill)) == 4
    assert taken(mill) == 0


def taken(mill: Mill, *, dry_run: bool = False) -> int:
    found = collect(mill.lake.url, KEEPS, new_run_id(), dry_run=dry_run, note=lambda _: None)
    return found.contents


def test_a_purge_leaves_no_content(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.publish()
    proof = mill.forget("short.md")
    assert proof.found == []
    assert len(contents(mill)) == 4


def test_a_purge_looks_into_what_is_left(tmp_path, monkeypatch):
    mill = filled(tmp_path, KEEPS)
    mill.publish()
    monkeypatch.setattr(KeptContents, "unneeded", lambda *_: [])  # so nothing is taken
    found = {line.rpartition(": ")[2] for line in mill.forget("diary.txt", "copy.txt").found}
    assert found == {"source_id", "text"}


def test_verify_finds_damage_and_repair_deletes_it(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.publish()
    key = contents(mill)[0]
    damage(mill, key)
    (finding,) = verify_lake(mill.lake, mill.config, lambda *_: None).findings
    assert (finding.what, finding.file) == ("content", key)
    repaired = repair_lake(mill.lake.url, KEEPS, lambda *_: None, lambda _: None)
    assert repaired.ok
    assert [line.partition(":")[0] for line in repaired.repaired] == [f"deleted {key}"]
    assert key not in contents(mill)
