"""Near-duplicates of a lake, through its tables and the command."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.near import near_duplicates
from flows.rows import BatchRows
from infra.lake import CommitBatch, Lake, SourceFacts
from schemas.errors import LakeError
from schemas.partition import IMAGE_IMAGE, PAGE_REGION, TEXT_PARAGRAPH
from schemas.source import SourceFile
from schemas.unit import Locator, Unit
from stages.messages import Milled

ONE, NEAR, FAR = "00000000000000ff", "000000000000000f", "ffffffff00000000"


def picture(name, phash, width=10, partition=IMAGE_IMAGE, locator=None):
    attributes = {"width": str(width), "height": "10"} | ({"phash": phash} if phash else {})
    file = SourceFile(f"file:///c/{name}", "file:///c", name, 1, 0, content_hash=f"{name:0<64}")
    unit = Unit(
        file.source_id, partition, locator or Locator(), pixels_hash=name, attributes=attributes
    )
    return file, unit


@pytest.fixture
def lake(tmp_path):
    found = Lake.open(str(tmp_path / "lake"), create=True)
    pictures = [
        picture("small.jpg", NEAR, width=5),
        picture("large.png", ONE, width=900),
        picture("other.png", FAR),
        picture("blank.png", ""),
        picture("report.pdf", ONE, 0, PAGE_REGION, Locator(page=3, bbox=(1.0, 2.0, 3.0, 4.0))),
    ]
    rows = BatchRows("run-000000", "run", "fp")
    for file, unit in pictures:
        rows.add_path(file, "indexed", SourceFacts("image/png", "", (), 1))
        words = Unit(file.source_id, TEXT_PARAGRAPH, Locator(), text="words")
        milled = Milled(file.source_id, "image/png", "", (), (), (unit, words))
        rows.add_units(milled, [])
    sealed: CommitBatch = rows.seal()
    with found.writer("run"):
        found.commit(sealed, run_id="run")
    return found


def test_groups_have_the_best_copy_first(lake):
    found = near_duplicates(lake.url)
    assert found.units == 4
    ((best, *rest),) = found.groups
    assert (best.paths, best.bits, best.partition) == (("large.png",), 0, "image/image")
    assert {(look.paths, look.bits) for look in rest} == {(("small.jpg",), 4), (("report.pdf",), 0)}
    (region,) = [look for look in rest if look.partition == "page/region"]
    assert region.locator == {"page": 3, "bbox": [1.0, 2.0, 3.0, 4.0]}


def test_the_command_prints_groups(lake):
    runner = CliRunner()
    said = json.loads(runner.invoke(app, ["near-duplicates", "--lake", lake.url, "--json"]).stdout)
    assert [len(group) for group in said["groups"]] == [3]
    assert said["groups"][0][0]["paths"] == ["large.png"]
    shown = runner.invoke(app, ["near-duplicates", "--lake", lake.url])
    assert shown.exit_code == 0
    assert "3 look the same" in shown.output
    assert "report.pdf  page 3" in shown.output
    assert "other.png" not in shown.output


def test_no_lake(tmp_path):
    with pytest.raises(LakeError, match="no lake"):
        near_duplicates(str(tmp_path / "nothing"))
