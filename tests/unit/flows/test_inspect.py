"""`gristmill inspect` on a file of each kind, through the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pymupdf
import pytest
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from flows.cli import app
from flows.inspect import ADVICE
from schemas.errors import SourceError
from tests.unit.stages.decode.media import clock_video, lavfi, make

RUNNER = CliRunner()
ROOT = Path(__file__).parents[3]
SPEECH = ROOT / "samples" / "corpus" / "sound" / "guided_tour.ogg"
LEFT = "The miller opens the sluice at dawn and the wheel begins to turn while the grain runs down."
RIGHT = "Flour leaves the stone warm and is sifted twice before it is filled into sacks of linen."


class Page(HTMLParser):
    """What a browser would see of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def classes(self, tag: str) -> list[str]:
        return [attrs.get("class") or "" for name, attrs in self.tags if name == tag]

    @property
    def pictures(self) -> list[str]:
        return [attrs["src"] or "" for tag, attrs in self.tags if tag == "img"]


def inspected(path: Path, *options: str, code: int = 0) -> tuple[dict, Page]:
    """The document of --json and the page of --html."""
    page = path.with_suffix(".page.html")
    done = RUNNER.invoke(app, ["inspect", str(path), "--json", "--html", str(page), *options])
    assert done.exit_code == code, done.output
    document = json.loads(done.stdout)
    assert document["html"] == str(page)
    return document, Page(page.read_text(encoding="utf-8"))


def by_partition(document: dict) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for unit in document["units"]:
        found.setdefault(unit["partition"], []).append(unit)
    assert {name: len(units) for name, units in found.items()} == document["counts"]
    return found


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    """A page of two columns and a table."""
    path = tmp_path / "made.pdf"
    with pymupdf.open() as document:
        page = document.new_page(width=595, height=842)
        page.insert_text((60, 80), "How a mill works", fontsize=24)
        page.insert_textbox((60, 120, 280, 300), LEFT)
        page.insert_textbox((315, 120, 535, 300), RIGHT)
        for y in (400, 420, 440, 460):
            page.draw_line((60, y), (400, y))
        for x in (60, 230, 400):
            page.draw_line((x, 400), (x, 460))
        for row, cells in enumerate([("Grain", "Sacks"), ("Rye", "12"), ("Oats", "7")]):
            for column, cell in enumerate(cells):
                page.insert_text((64 + 170 * column, 414 + 20 * row), cell, fontsize=10)
        document.save(path)
    return path


def test_a_pdf_is_drawn_with_its_boxes_in_reading_order(pdf: Path) -> None:
    document, page = inspected(pdf, "--no-recognise")
    units = by_partition(document)
    assert document["media_type"] == "application/pdf"
    assert [unit["text"].split()[0] for unit in units["text/paragraph"]] == ["The"]
    assert len(units["table/row"]) == 2
    kinds = page.classes("g")
    assert {"k-heading", "k-paragraph", "k-table", "k-passage"} <= set(kinds)
    assert len(page.pictures) == 1
    assert "Grain is Rye" in page.text
    assert list(document["seconds"]) == ["set-up", "decode", "segment"]


def test_the_page_of_a_file_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>.md"
    path.write_text(
        '# <script src="http://evil.test/a.js"></script>\n\n<b onclick="x()">words</b> words\n'
    )
    _, page = inspected(path)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "link", "object", "embed"}
    sources = [
        value or ""
        for _, attrs in page.tags
        for key, value in attrs.items()
        if key in ("src", "href")
    ]
    assert all(source.startswith("data:") for source in sources)
    assert not [key for _, attrs in page.tags for key in attrs if key.startswith("on")]
    policy = next(
        attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs
    )
    assert policy.startswith("default-src 'none'")


def test_a_text_is_shown_by_its_passages_in_order(tmp_path: Path) -> None:
    path = tmp_path / "mills.md"
    path.write_text("# Mills\n\n## Water\n\nWheels turn.\n\n## Wind\n\nSails turn.\n")
    document, page = inspected(path)
    passages = by_partition(document)["text/paragraph"]
    assert [unit["text"] for unit in passages] == ["Wheels turn.", "Sails turn."]
    assert page.text.index("Wheels turn.") < page.text.index("Sails turn.")
    assert document["reject"] is None


def test_texts_that_generators_derive_are_shown_beside_their_units(tmp_path: Path) -> None:
    path, settings = tmp_path / "mills.md", tmp_path / "settings.toml"
    path.write_text("# Mills\n\n## How to lift the stone\n\nLoosen the screws.\n")
    settings.write_text('[derive.asked]\nadapter = "ask"\n')
    document, page = inspected(path, "--config", str(settings))
    passage, question = sorted(by_partition(document)["text/paragraph"], key=lambda u: u["words"])
    assert question["text"] == "How do I lift the stone?"
    assert question["parent_id"] == passage["unit_id"]
    assert question["attributes"]["derived"] == "question"
    assert "derive" in document["seconds"]
    assert "How do I lift the stone?" in page.text


def test_a_table_is_shown_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "grain.csv"
    path.write_text("grain,sacks\nrye,12\noats,\n")
    document, page = inspected(path)
    rows = by_partition(document)["table/row"]
    assert [unit["place"] for unit in rows] == ["table 1, row 1", "table 1, row 2"]
    assert re.search(r"grain\s*sacks", page.text)


def test_a_picture_is_shown_with_the_text_read_on_it(tmp_path: Path) -> None:
    path = tmp_path / "sign.png"
    sign = Image.new("RGB", (640, 240), "white")
    ImageDraw.Draw(sign).text((40, 80), "WATER MILL", fill="black", font=ImageFont.load_default(80))
    sign.save(path)
    document, page = inspected(path)
    (unit,) = by_partition(document)["image/image"]
    assert "MILL" in unit["text"]
    assert "MILL" in page.text
    assert len(page.pictures) == 2  # the picture, and what the encoder sees
    assert "recognise" in document["seconds"]


def test_a_recording_is_shown_with_segments_over_its_waveform(tmp_path: Path) -> None:
    path = tmp_path / SPEECH.name
    path.write_bytes(SPEECH.read_bytes())
    document, page = inspected(path)
    units = by_partition(document)
    assert len(units["audio/recording"]) == 1
    assert len(page.pictures) == 1
    assert sum(name.startswith("band segment") for name in page.classes("div")) == len(
        units["audio/segment"]
    )
    assert "wheel" in page.text


def test_without_recognition_a_recording_is_no_reject(tmp_path: Path) -> None:
    path = make(tmp_path / "tone.wav", *lavfi("sine=d=2:r=16000"))
    document, page = inspected(path, "--no-recognise")
    assert document["units"] == []
    assert document["notes"] == ["without recognition there is nothing in it to index"]
    assert document["media_type"] == "audio/wav"
    assert len(page.pictures) == 1


def test_a_video_is_shown_by_its_frames_with_their_times(tmp_path: Path) -> None:
    path = clock_video(tmp_path / "clock.mkv", 4)
    document, page = inspected(path, "--no-recognise")
    units = by_partition(document)
    assert [unit["place"] for unit in units["video/clip"]] == ["0:00-0:04"]
    times = units["video/clip"][0]["attributes"]["frames_s"].split()
    assert len(page.pictures) == len(times) + len(
        units["video/video"][0]["attributes"]["frames_s"].split()
    )
    assert f"{float(times[3]):.2f} s" in page.text


def test_a_rejected_file_says_why_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(b"%PDF-1.7\n" + b"nothing of a document" * 20)
    document, page = inspected(path, code=1)
    assert document["reject"]["code"] == "corrupt"
    assert document["reject"]["advice"] == ADVICE["corrupt"]
    assert "Rejected as corrupt" in page.text
    shown = RUNNER.invoke(app, ["inspect", str(path)])
    assert shown.exit_code == 1
    assert "REJECTED  corrupt" in shown.stdout


def test_a_partly_good_file_says_what_was_lost(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mkv", *lavfi("testsrc=s=64x64:d=10:r=10"), "-c:v", "ffv1")
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    document, page = inspected(path, "--no-recognise")
    (lost,) = document["rejects"]
    assert (lost["stage"], lost["code"]) == ("decode", "corrupt")
    assert "Lost:" in page.text


def test_people_see_a_table_of_some_units_or_of_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("n,square\n" + "".join(f"{n},{n * n}\n" for n in range(40)))
    some = RUNNER.invoke(app, ["inspect", str(path)]).stdout
    assert "and 30 more: --rows 0" in some
    assert "n is 39" not in some
    assert "n is 39" in RUNNER.invoke(app, ["inspect", str(path), "--rows", "0"]).stdout


@pytest.mark.parametrize(("name", "said"), [("", "is a folder"), ("none.txt", "does not exist")])
def test_what_is_no_file_is_a_usage_error(tmp_path: Path, name: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "inspect", str(tmp_path / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr


def test_there_is_advice_for_every_code() -> None:
    assert set(ADVICE) == {error.code for error in SourceError.__subclasses__()}
