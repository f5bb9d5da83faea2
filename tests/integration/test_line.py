"""The whole line on a small corpus made here: files to a published snapshot to hits, through the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pymupdf
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from flows.cli import app

pytestmark = [pytest.mark.ray, pytest.mark.slow]

WHEEL = "The overshot water wheel drives the millstones by means of a wooden gear train."
BREAD = "Sourdough bread rises slowly because wild yeast ferments the dough overnight."
STARS = "Astronomers measure the distance of nearby stars by their parallax."


def gristmill(*arguments: str, expect: int = 0) -> dict:
    """Run the command line as a user would; the JSON it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout.strip() else {}


def asked(*arguments: str) -> dict:
    """The same in this process, for commands that start no engine: what they load is loaded once."""
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def make_corpus(folder: Path) -> None:
    folder.mkdir()
    (folder / "wheel.txt").write_text(f"THE WHEEL\n\n{WHEEL}\n")
    (folder / "bread.md").write_text(f"# Baking\n\n{BREAD}\n")
    (folder / "copy of bread.md").write_text(f"# Baking\n\n{BREAD}\n")
    (folder / "visitors.csv").write_text("month,visitors\nMay,120\nJune,340\nJuly,\n")
    with pymupdf.open() as pdf:
        pdf.new_page().insert_text((72, 100), STARS, fontsize=11)
        pdf.new_page().insert_text((72, 100), "The second page is about telescopes.", fontsize=11)
        pdf.save(folder / "stars.pdf")
    picture = Image.new("RGB", (320, 240), "white")
    ImageDraw.Draw(picture).ellipse((60, 20, 260, 220), fill="orange")
    picture.save(folder / "orange.png")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is no more a PDF\n")
    (folder / "empty.txt").write_bytes(b"")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict]:
    """A corpus, a lake, and what the first run said."""
    folder = tmp_path_factory.mktemp("line")
    make_corpus(folder / "corpus")
    said = gristmill("run", str(folder / "corpus"), "--lake", str(folder / "lake"))
    return folder / "corpus", folder / "lake", said


def segments(said: dict) -> dict:
    return {(i["partition"], i["space"]): i["segments"] for i in said["published"]}


def test_another_number_of_workers_publishes_equal_segments(first, tmp_path):
    corpus, _, said = first
    other = gristmill("run", str(corpus), "--lake", str(tmp_path / "other"), "--workers", "1")
    assert segments(other) == segments(said)


def test_the_balance_adds_up_and_names_every_outcome(first):
    balance = first[2]["balance"]
    assert balance["found"] == 8
    assert balance["indexed"] == 5
    assert balance["duplicate"] == 1
    assert balance["rejected"] == {"corrupt": 1, "empty": 1}
    assert balance["units"]["table/row"] == 3
    assert balance["units"]["page/page"] == 2
    assert balance["peak_memory_bytes"] > 0
    assert balance["stages"]["decode"]["items"] == 7


def test_what_is_published_reached_its_recall(first):
    published = first[2]["published"]
    assert {"text/paragraph", "text/document", "table/row", "page/page", "image/image"} <= {
        entry["partition"] for entry in published
    }
    assert all(entry["recall_at_10"] >= 0.95 for entry in published)
    assert Path(first[2]["report"]).read_text().count("corrupt") >= 1


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("what drives the millstones", "wheel.txt"),
        pytest.param("why does bread dough rise slowly", "bread.md", marks=pytest.mark.long),
        pytest.param("how is the distance of a star measured", "stars.pdf", marks=pytest.mark.long),
    ],
)
def test_a_question_finds_its_file(first, query, path):
    found = asked("search", query, "--lake", str(first[1]), "--k", "3")
    assert path in found["hits"][0]["path"]
    assert abs(sum(route["weight"] for route in found["routes"]) - 1) < 1e-6
    assert found["snapshot"] == first[2]["snapshot"]


def test_one_partition_can_be_asked_alone(first):
    found = asked("search", "visitors in June", "--lake", str(first[1]), "--route", "table/row")
    assert {hit["partition"] for hit in found["hits"]} == {"table/row"}
    assert found["hits"][0]["locator"]["row"] == 2


def test_status_and_rejects_tell_the_same_story(first):
    status = asked("status", "--lake", str(first[1]))
    assert status["snapshot"] == first[2]["snapshot"]
    assert status["rows"]["page/page"]["units"] == 2
    rejects = asked("rejects", "--lake", str(first[1]))["rejects"]
    assert [(row["path"], row["code"]) for row in rejects] == [
        ("broken.pdf", "corrupt"),
        ("empty.txt", "empty"),
    ]
    assert all(row["reason"] for row in rejects)


def test_verify_finds_nothing_wrong_and_then_the_damage(first):
    assert asked("verify", "--lake", str(first[1]))["ok"]
    victim = next((first[1] / "segments").glob("*/index.faiss"))
    whole = victim.read_bytes()
    try:
        victim.chmod(0o644)
        victim.write_bytes(whole[:-4] + b"\0\1\2\3")
        damaged = gristmill("verify", "--lake", str(first[1]), expect=1)
        assert not damaged["ok"]
        assert [found["what"] for found in damaged["findings"]] == [f"segment {victim.parent.name}"]
    finally:
        victim.write_bytes(whole)


ONE = ("--workers", "1")  # fewer processes start sooner, and change nothing


def test_the_second_run_does_nothing_and_a_change_only_what_changed(first):
    corpus, lake, said = first
    again = gristmill("run", str(corpus), "--lake", str(lake), *ONE)
    assert again["snapshot"] == said["snapshot"]
    assert again["balance"]["unchanged"] == 6
    assert again["balance"]["rejected"] == {"corrupt": 1, "empty": 1}
    assert "decode" not in again["balance"]["stages"] or (
        again["balance"]["stages"]["decode"]["items"] == 0
    )

    (corpus / "wheel.txt").write_text("THE WHEEL\n\nNow it is a turbine that makes electricity.\n")
    (corpus / "bread.md").unlink()
    (corpus / "stars.pdf").rename(corpus / "renamed.pdf")
    changed = gristmill("run", str(corpus), "--lake", str(lake), *ONE)
    assert changed["balance"]["stages"]["decode"]["items"] == 1
    assert changed["balance"]["gone"] == 2
    assert (
        segments(changed)["page/page", segment_space(said, "page/page")]
        == (segments(said)["page/page", segment_space(said, "page/page")])
    )
    hits = asked("search", "electricity turbine", "--lake", str(lake), "--k", "1")["hits"]
    assert hits[0]["path"] == "wheel.txt"
    hits = asked("search", "sourdough yeast", "--lake", str(lake), "--k", "1")["hits"]
    assert hits[0]["path"] == "copy of bread.md"
    hits = asked("search", "parallax of stars", "--lake", str(lake), "--k", "1")["hits"]
    assert hits[0]["path"] == "renamed.pdf"

    back = asked("rollback", "--lake", str(lake))
    assert back["snapshot"] == said["snapshot"]
    listed = asked("snapshots", "--lake", str(lake))["snapshots"]
    assert [row["snapshot"] for row in listed if row["current"]] == [said["snapshot"]]
    assert asked("publish", "--lake", str(lake))["snapshot"] == changed["snapshot"]


def segment_space(said: dict, partition: str) -> str:
    return next(i["space"] for i in said["published"] if i["partition"] == partition)


def test_evaluate_prints_the_three_ways(first, tmp_path):
    queries = tmp_path / "queries.jsonl"
    rows = [
        {"query": "sourdough bread", "modality": "text", "relevant": ["copy of bread.md"]},
        {"query": "distance of stars", "modality": "page", "relevant": ["stars.pdf#page=1"]},
    ]
    queries.write_text("\n".join(json.dumps(row) for row in rows))
    table = asked("evaluate", "--lake", str(first[1]), "--queries", str(queries))
    assert {"routed", "unified", "oracle"} <= set(json.dumps(table).replace('"', " ").split())


ALONE = """
import sys

class Block:
    allowed = {"faiss", "numpy", "pyarrow", "packaging", "gristmill", "schemas", "stages", "infra", "flows"}

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        if top not in self.allowed and not known:
            raise ImportError(f"{name} is not among what a serving process has")

sys.meta_path.insert(0, Block())
import gristmill
import numpy as np

snapshot = gristmill.open_snapshot(sys.argv[1])
space = next(space for partition, space in snapshot.indexes if str(partition) == "text/paragraph")
(text,) = (s for s in snapshot.segments(gristmill.Partition("text", "paragraph"), space))
hits = snapshot.search(gristmill.Partition("text", "paragraph"), space, text.vectors()[:1], 1)
print(hits[0][0].unit_id == text.row(0)["unit_id"], round(hits[0][0].similarity, 3))
"""


def test_the_facade_opens_a_snapshot_with_faiss_numpy_and_pyarrow_alone(first):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(first[1])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["True", "1.0"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "/nowhere/at/all", "--lake", "{lake}"], 2),
        (["search", "x", "--lake", "/nowhere/at/all"], 2),
        (["search", "x", "--lake", "{lake}", "--way", "sideways"], 2),
        (["status"], 2),
    ],
)
def test_mistakes_have_exit_codes_and_one_line(first, arguments, code):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *(a.format(lake=first[1]) for a in arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM]
)
def test_an_interrupted_run_says_so_and_leaves_nothing_running(first, tmp_path, number):
    corpus, _, _ = first
    run = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", str(corpus), "--lake", str(tmp_path / "lake")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.stdout is not None
    told = ""
    for line in run.stdout:
        told += line
        if "waiting: decode" in line:  # the engine is up and at work
            break
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(number)
    told += run.communicate(timeout=60)[0]
    assert run.returncode == 130, told
    assert told.count("run it again to go on") == 1
    assert "Traceback" not in told
    assert not psutil.wait_procs(children, timeout=20)[1]
