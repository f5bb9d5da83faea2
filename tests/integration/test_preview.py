"""`gristmill preview`: a unit of a lake to a picture, from the bytes that it was cut from or not at all."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pymupdf
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from flows.preview import preview_unit
from schemas.config import Config, Recognition
from schemas.errors import ConfigError, UnreadableError, UnsupportedError
from tests.integration.mill import Mill
from tests.unit.stages.decode.media import clock_video

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = CliRunner()
CONFIG = Config(recognition=Recognition(ocr=False, speech=False, sound_tags=False))


def write_pdf(path: Path, words: str) -> None:
    with pymupdf.open() as document:
        page = document.new_page()
        page.insert_textbox((60, 80, 535, 300), words)
        file = io.BytesIO()
        Image.effect_noise((320, 240), 60).save(file, "PNG")
        page.insert_image((100, 400, 420, 640), stream=file.getvalue())
        document.save(path)


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Mill:
    made = Mill(tmp_path_factory.mktemp("preview"), CONFIG)
    write_pdf(made.corpus / "a.pdf", "The wheel turns. " * 20)
    write_pdf(made.corpus / "moved.pdf", "The wheel stood still. " * 20)
    write_pdf(made.corpus / "changed.pdf", "The wheel was sold. " * 20)
    clock_video(made.corpus / "clock.mkv", 2)
    Image.effect_noise((300, 200), 60).save(made.corpus / "noise.png")
    made.write("words.txt", "Nothing but words here.")
    made.ingest()
    return made


def unit_of(mill: Mill, path: str, partition: str) -> str:
    sources = {k.path: k.source_id for k in mill.lake.state().paths.values()}
    for row in mill.lake.live_units().to_pylist():
        if (
            row["source_id"] == sources[path]
            and f"{row['modality']}/{row['granularity']}" == partition
        ):
            return row["unit_id"]
    raise AssertionError(f"{path} has no unit in {partition}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "partition"),
    [
        ("a.pdf", "page/page"),
        ("a.pdf", "page/region"),
        ("a.pdf", "text/paragraph"),
        ("clock.mkv", "video/clip"),
        ("clock.mkv", "video/video"),
        ("noise.png", "image/image"),
    ],
)
def test_every_kind_is_drawn(mill: Mill, tmp_path: Path, path: str, partition: str) -> None:
    unit_id, out = unit_of(mill, path, partition), tmp_path / "unit.png"
    command = ["preview", unit_id, "--lake", mill.lake.url, "-o", str(out), "--json"]
    done = RUNNER.invoke(app, command)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["unit_id"], told["path"], told["partition"]) == (unit_id, path, partition)
    picture = Image.open(out)
    assert picture.size == (told["width"], told["height"])
    assert picture.convert("L").getextrema() != (255, 255)


@pytest.mark.slow
def test_the_start_of_an_id_is_enough_and_names_the_file(
    mill: Mill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    unit_id = unit_of(mill, "a.pdf", "page/page")
    done = RUNNER.invoke(app, ["preview", unit_id[:12], "--lake", mill.lake.url])
    assert done.exit_code == 0, done.output
    (written,) = tmp_path.iterdir()
    assert written.stem == unit_id
    assert "a.pdf" in done.stdout


@pytest.mark.slow
def test_ids_that_are_unknown_or_too_short(mill: Mill) -> None:
    with pytest.raises(ConfigError, match="no live unit"):
        preview_unit(mill.lake.url, "0" * 32, CONFIG)
    with pytest.raises(ConfigError, match="too short"):
        preview_unit(mill.lake.url, "0", CONFIG)


@pytest.mark.slow
def test_a_unit_of_text_has_none(mill: Mill) -> None:
    unit_id = unit_of(mill, "words.txt", "text/paragraph")
    with pytest.raises(UnsupportedError, match="read its text"):
        preview_unit(mill.lake.url, unit_id, CONFIG)


@pytest.mark.slow
def test_a_source_that_moved_is_said_to_have_moved(mill: Mill) -> None:
    unit_id = unit_of(mill, "moved.pdf", "page/page")
    (mill.corpus / "moved.pdf").rename(mill.corpus / "elsewhere.pdf")
    with pytest.raises(UnreadableError, match=r"moved.pdf is no longer there"):
        preview_unit(mill.lake.url, unit_id, CONFIG)


@pytest.mark.slow
def test_a_source_that_changed_is_said_so_by_digest(mill: Mill) -> None:
    unit_id = unit_of(mill, "changed.pdf", "page/page")
    write_pdf(mill.corpus / "changed.pdf", "The wheel was bought back. " * 20)
    with pytest.raises(UnreadableError, match=r"its bytes are sha256 \w{12}\.\.\., the unit was"):
        preview_unit(mill.lake.url, unit_id, CONFIG)


@pytest.mark.slow
def test_a_copy_under_another_name_does_as_well(mill: Mill) -> None:
    data = (mill.corpus / "a.pdf").read_bytes()
    (mill.corpus / "copy.pdf").write_bytes(data)
    mill.ingest()
    unit_id = unit_of(mill, "copy.pdf", "page/page")
    (mill.corpus / "a.pdf").unlink()
    try:
        found = preview_unit(mill.lake.url, unit_id, CONFIG)
    finally:
        (mill.corpus / "a.pdf").write_bytes(data)
    assert found.path == "copy.pdf"
    assert Image.open(io.BytesIO(found.preview.data)).format in ("PNG", "JPEG")
