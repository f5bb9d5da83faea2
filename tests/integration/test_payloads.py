"""Kept payloads: another space is embedded without decoding, and nothing of them is left behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pymupdf
import pytest

from flows import forget, kept
from flows.maintain import collect
from flows.repair import repair_lake
from flows.snapshots import lake_status
from flows.surroundings import new_run_id
from flows.verify import contracts_of, verify_lake
from infra.lake import paths
from infra.lake.invariants import check_invariants
from infra.payloads import PAYLOADS, Payloads, hash_in
from schemas.config import Config, Engine, Profile, Recognition
from schemas.errors import LakeError
from schemas.partition import IMAGE_IMAGE, PAGE_PAGE
from schemas.pixels import hash_pixels
from stages.decode import pdf
from stages.embed import conse, minilm, registry
from tests.chaos.lakes import write_pdf, write_png
from tests.integration.mill import Mill
from tests.live_vectors import live_vectors

pytestmark = pytest.mark.slow

QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
KEEPS = Config(engine=Engine(keep_payloads=True), recognition=QUIET)
FORGETS = Config(recognition=QUIET)
OTHER, OTHER_TEXT = "conse-other", "minilm-other"


@pytest.fixture(autouse=True)
def _other_space(monkeypatch: pytest.MonkeyPatch):
    """A second space of pixels: the same encoder under another name, so that its vectors are known."""

    def contract(**options):
        return replace(conse.contract(**options), name=OTHER, encoder=OTHER)

    row = registry.SpaceRow(contract, registry.SPACES["conse"].encoder)
    monkeypatch.setitem(registry.SPACES, OTHER, row)


def in_other_space(config: Config) -> Config:
    return config.model_copy(update={"profile": Profile(spaces=("minilm", OTHER))})


def filled(folder: Path, config: Config) -> Mill:
    """Two pictures, one of them twice, a page, and a text."""
    mill = Mill(folder, config)
    write_png(mill.corpus / "one.png", "one")
    write_png(mill.corpus / "copy.png", "one")
    write_png(mill.corpus / "two.png", "two")
    write_pdf(mill.corpus / "page.pdf", "Flour is ground between two stones.")
    mill.write("mill.txt", "The mill has a wheel.")
    return mill


def vectors(mill: Mill) -> dict[str, list[list[float]]]:
    """Live vectors of pictures and pages in the space of pixels of the profile."""
    space = mill.spaces_of(mill.config)[1].key
    return {
        str(partition): live_vectors(mill.lake, space, partition, "pixels_hash")[1].tolist()
        for partition in (IMAGE_IMAGE, PAGE_PAGE)
    }


def payloads_of(mill: Mill) -> list[str]:
    return mill.lake.blobs.list(PAYLOADS)


def taken_by_gc(mill: Mill, config: Config, *, dry_run: bool = False) -> int:
    found = collect(mill.lake.url, config, new_run_id(), dry_run=dry_run, note=lambda _: None)
    return found.payloads


def test_another_space_of_pixels_decodes_nothing(tmp_path):
    mill = filled(tmp_path, KEEPS)
    first = mill.ingest()
    expected = vectors(mill)
    assert first.kept_bytes == sum(Payloads(mill.lake.blobs).sizes().values()) > 0
    assert len(payloads_of(mill)) == 3
    units = mill.lake.live_units().num_rows

    mill.config = in_other_space(KEEPS)
    decoded = mill.session().stats()["decode"].items
    again = mill.ingest()
    assert mill.session().stats()["decode"].items == decoded
    assert (again.found, again.indexed, again.reembedded, again.duplicate) == (5, 0, 4, 1)
    assert again.vectors == {f"image/image @ {OTHER}": 2, f"page/page @ {OTHER}": 1}
    assert again.units == {}
    assert vectors(mill) == expected
    assert mill.lake.live_units().num_rows == units
    assert mill.ingest().unchanged == 5
    published = mill.publish()
    assert {index.space for index in published.indexes} == {
        s.key for s in mill.spaces_of(mill.config)
    }


def test_the_pictures_of_a_long_book_are_kept_range_by_range(tmp_path):
    mill = Mill(tmp_path, KEEPS)
    with pymupdf.open() as book:
        for number in range(200):  # read in two ranges
            page = book.new_page(width=60, height=60)
            page.insert_text((5, 30), "Grist." if 0 < number < 199 else f"{number}")
        book.save(mill.corpus / "book.pdf")
    first = mill.ingest()
    assert first.kept_bytes == sum(Payloads(mill.lake.blobs).sizes().values()) > 0
    assert len(payloads_of(mill)) == 3
    expected = vectors(mill)

    mill.config = in_other_space(KEEPS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded) == (0, 1)
    assert vectors(mill) == expected


def test_without_payloads_what_has_pixels_is_decoded_again(tmp_path):
    mill = filled(tmp_path, FORGETS)
    assert mill.ingest().kept_bytes == 0
    expected = vectors(mill)
    assert payloads_of(mill) == []
    mill.config = in_other_space(FORGETS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded, again.duplicate) == (
        3,
        1,
        1,
    )  # the text alone is spared
    assert vectors(mill) == expected


def test_units_come_out_of_the_table_as_they_went_in(tmp_path, monkeypatch):
    """In parts as small as can be, read a source at a time: what is embedded again is all that there is."""
    for name in ("_PIXELS", "_TEXTS", "_UNITS"):
        monkeypatch.setattr(kept, name, 1)
    mill = filled(tmp_path, KEEPS)
    mill.write("wheel.md", "# The wheel\n\nIt has nine paddles.\n\n## The stones\n\nThere are two.")
    mill.ingest()
    expected = vectors(mill)
    columns = ["modality", "granularity", "input_hash", "vector"]
    text_space = mill.spaces_of(KEEPS)[0].key
    rows = mill.lake.view().all_rows(paths.embeddings(text_space), columns)

    def contract(**options):
        return replace(minilm.contract(**options), name=OTHER_TEXT, encoder=OTHER_TEXT)

    row = registry.SpaceRow(contract, registry.SPACES["minilm"].encoder)
    monkeypatch.setitem(registry.SPACES, OTHER_TEXT, row)
    mill.config = KEEPS.model_copy(update={"profile": Profile(spaces=(OTHER_TEXT, OTHER))})
    again = mill.ingest()
    assert (again.indexed, again.reembedded, again.duplicate, again.unit_rejects) == (0, 5, 1, {})
    assert vectors(mill) == expected
    other = mill.lake.view().all_rows(paths.embeddings(mill.spaces_of(mill.config)[0].key), columns)
    order = [(name, "ascending") for name in columns[:3]]
    assert other.sort_by(order).to_pylist() == rows.sort_by(order).to_pylist()
    known = contracts_of(mill.lake, mill.config, {}) | contracts_of(mill.lake, KEEPS, {})
    assert check_invariants(mill.lake.view(), known).holds


def test_of_what_is_missing_only_its_source_is_decoded(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    expected = vectors(mill)
    key, *_ = before = payloads_of(mill)
    mill.lake.blobs.delete(key)
    mill.config = in_other_space(KEEPS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded) == (1, 3)
    assert vectors(mill) == expected
    assert payloads_of(mill) == before  # and it is kept again


def test_a_flipped_bit_is_found_and_mended(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    mill.publish()
    expected = vectors(mill)
    key = payloads_of(mill)[0]
    flip(mill, key)

    def verified():
        return verify_lake(mill.lake, KEEPS, lambda *_: None)

    (finding,) = verified().findings
    assert (finding.what, finding.file) == ("payload", key)
    repaired = repair_lake(mill.lake.url, KEEPS, lambda *_: None, lambda _: None)
    assert repaired.ok
    assert [line.partition(":")[0] for line in repaired.repaired] == [f"deleted {key}"]
    assert key not in payloads_of(mill)
    mill.config = in_other_space(KEEPS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded) == (1, 3)
    assert key in payloads_of(mill)
    assert vectors(mill) == expected
    assert verified().ok


def test_damage_that_nobody_looked_for_costs_decoding_and_no_unit(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    expected = vectors(mill)
    flip(mill, payloads_of(mill)[0])
    mill.config = in_other_space(KEEPS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded, again.unit_rejects) == (1, 3, {})
    assert vectors(mill) == expected
    assert mill.ingest().unchanged == 5


def flip(mill: Mill, key: str) -> None:
    data = bytearray(mill.lake.blobs.get(key))
    data[len(data) // 2] ^= 1
    mill.lake.blobs.put(key, bytes(data))


def test_gc_takes_what_no_live_unit_has(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    assert taken_by_gc(mill, KEEPS) == 0
    (mill.corpus / "one.png").unlink()
    (mill.corpus / "two.png").unlink()
    mill.ingest()
    orphan = np.zeros((1, 8, 8, 3), np.uint8)
    Payloads(mill.lake.blobs).keep({hash_pixels(orphan): orphan})
    assert taken_by_gc(mill, KEEPS, dry_run=True) == 2
    assert len(payloads_of(mill)) == 4
    assert taken_by_gc(mill, FORGETS) == 2
    names = {unit for unit in live_hashes(mill) if unit}
    assert {hash_in(key) for key in payloads_of(mill)} == names
    assert len(names) == 2  # of the copy, and of the page


def live_hashes(mill: Mill) -> list[str]:
    return mill.lake.live_units(columns=["pixels_hash"])["pixels_hash"].to_pylist()


def test_what_a_run_wrote_before_it_died_is_taken(tmp_path, monkeypatch):
    mill = filled(tmp_path, KEEPS)

    def die(*_, **__):
        raise LakeError("killed before its first commit")

    with monkeypatch.context() as patched:
        patched.setattr(type(mill.lake), "commit", die)
        with pytest.raises(LakeError, match="killed"):
            mill.ingest()
    assert len(payloads_of(mill)) == 3
    assert mill.lake.counts()["units"] == {}
    assert taken_by_gc(mill, KEEPS) == 3
    assert payloads_of(mill) == []
    mill.ingest()
    assert len(payloads_of(mill)) == 3


def test_a_purge_leaves_no_pixels(tmp_path):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    mill.publish()
    state = mill.lake.state().paths.values()
    (source_id,) = {known.source_id for known in state if known.path == "two.png"}
    units = mill.lake.live_units(IMAGE_IMAGE, ["source_id", "pixels_hash"]).to_pylist()
    (gone,) = (row["pixels_hash"] for row in units if row["source_id"] == source_id)
    orphan = np.zeros((1, 8, 8, 3), np.uint8)
    Payloads(mill.lake.blobs).keep({hash_pixels(orphan): orphan})
    proof = mill.forget("two.png")
    assert (proof.found, proof.needles["pixels_hash"]) == ([], 1)
    left = {hash_in(key) for key in payloads_of(mill)}
    assert len(left) == 2
    assert gone not in left
    files = (path for path in Path(mill.lake.url).rglob("*") if path.is_file())
    assert [path for path in files if gone in str(path) or gone.encode() in path.read_bytes()] == []


def test_the_proof_finds_pixels_that_were_left(tmp_path, monkeypatch):
    mill = filled(tmp_path, KEEPS)
    mill.ingest()
    mill.publish()
    before = payloads_of(mill)
    monkeypatch.setattr(forget, "unneeded_payloads", lambda _: [])
    proof = mill.forget("two.png")
    (key,) = {found.partition(":")[0] for found in proof.found}
    assert key in before
    assert {found.rpartition(": ")[2] for found in proof.found} == {"pixels_hash"}


def test_a_lake_that_does_not_take_them_ends_the_run(tmp_path, monkeypatch):
    mill = filled(tmp_path, KEEPS)

    def refuse(*_):
        raise LakeError("no space is left on the file system")

    with monkeypatch.context() as patched:
        patched.setattr(Payloads, "_put", refuse)
        with pytest.raises(LakeError, match="no space is left"):
            mill.ingest()
    while mill.session().pending():
        mill.session().poll(1.0)
    assert mill.ingest().indexed == 4
    assert lake_status(mill.lake.url)["payloads"]["files"] == 3


def test_pictures_of_a_file_read_in_ranges_are_kept_too(tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "_SPAN_PAGES", 2)
    mill = Mill(tmp_path, KEEPS)
    with pymupdf.open() as document:
        for number in range(5):
            page = document.new_page(width=200, height=100)
            page.insert_text((20, 50), f"Page {number} tells of the mill.", fontsize=9)
        document.save(mill.corpus / "long.pdf", no_new_id=True)
    first = mill.ingest()
    assert (first.indexed, first.units["page/page"], len(payloads_of(mill))) == (1, 5, 5)
    assert mill.session().stats()["decode"].items > 2  # ranges, and their joining
    assert first.kept_bytes == sum(Payloads(mill.lake.blobs).sizes().values())
    expected = vectors(mill)
    mill.config = in_other_space(KEEPS)
    again = mill.ingest()
    assert (again.indexed, again.reembedded) == (0, 1)
    assert vectors(mill) == expected
    assert taken_by_gc(mill, KEEPS) == 0
