"""What holds of the repository as a whole: version, lock, samples, and nothing of the machine it was made on."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORPUS = ROOT / "samples" / "corpus"
MAX_SAMPLE_BYTES = 8_000_000
# Written in pieces, so that this file does not name them itself.
MACHINE_PATHS = tuple(
    "/".join(parts) for parts in (("", "work", ""), ("", "tmp", "gm"), ("", "root", ""))
)


def committed_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607 - the git of whoever made the checkout
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_version_is_the_newest_in_the_changelog():
    versions = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


def test_nothing_committed_names_the_machine_it_was_made_on():
    named = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in committed_files()
        for text in MACHINE_PATHS
        if text.encode() in path.read_bytes()
    ]
    assert named == []


def test_lock_pins_everything_and_names_no_index():
    text = (ROOT / "requirements.lock").read_text() + (
        ROOT / "requirements-nodeps.lock"
    ).read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def test_lock_has_every_dependency_of_the_project_and_one_faiss():
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["dev"], *extras["cpu"]]
    names = {normal(re.split(r"[<>=\[]", requirement)[0]) for requirement in wanted}
    assert names - pins().keys() == set()
    assert [name for name in pins() if name.startswith("faiss")] == ["faiss-cpu"]


def test_samples_are_small_and_each_query_has_an_answer_there():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MAX_SAMPLE_BYTES
    there = {path.relative_to(CORPUS).as_posix() for path in files}
    photos = re.findall(r'"([a-z]+\.(?:png|jpg))"', (ROOT / "samples" / "photos.py").read_text())
    queries = (ROOT / "samples" / "queries.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in queries]
    named = {
        path.partition("#")[0]
        for query in asked
        for path in [*query["relevant"], *query.get("also_relevant", [])]
    }
    assert named - there - set(photos) == set()
    assert {query["modality"] for query in asked} == {
        "text",
        "table",
        "page",
        "image",
        "audio",
        "video",
    }


def test_the_lock_is_within_the_ranges_of_the_project():
    extras = PROJECT["optional-dependencies"]
    wanted = map(Requirement, [*PROJECT["dependencies"], *extras["dev"], *extras["cpu"]])
    pinned = pins()
    assert [
        f"{r} but {pinned[normal(r.name)]}"
        for r in wanted
        if not r.specifier.contains(pinned[normal(r.name)])
    ] == []


def test_every_dependency_says_what_it_is_for():
    text = (ROOT / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|dev) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for part in lists for line in part.splitlines()]
    assert len(lines) > 40
    assert [line for line in lines if not re.search(r"#\s*\w+", line)] == []


def test_what_is_installed_without_its_dependencies_says_why():
    lines = (ROOT / "requirements-nodeps.lock").read_text().splitlines()
    said = " ".join(line for line in lines if line.startswith("#"))
    names = [line.partition("==")[0] for line in lines if not line.startswith("#")]
    assert names
    assert [name for name in names if f"{name}:" not in said] == []
