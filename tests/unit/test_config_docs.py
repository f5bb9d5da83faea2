import json
import tomllib
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from schemas.config import Config
from schemas.errors import ConfigError
from schemas.space_config import SpaceConfig
from schemas.speech_config import SpeechConfig

DOC = Path(__file__).parents[2] / "docs" / "config.md"


def documented() -> dict[str, str]:
    cells = [line.split("|") for line in DOC.read_text().splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[2].strip() for row in cells}


def test_every_key_is_documented_with_its_default():
    defaults = {
        f"{section}.{key}": "unset" if value is None else json.dumps(value)
        for section, values in Config().model_dump().items()
        for key, value in values.items()
    }
    defaults |= {
        f"spaces.NAME.{key}": default(field) for key, field in SpaceConfig.model_fields.items()
    }
    defaults |= {
        f"speech.NAME.{key}": default(field) for key, field in SpeechConfig.model_fields.items()
    }
    assert documented() == defaults


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "unset" if field.default is None else json.dumps(field.default)


def test_the_example_is_a_configuration(tmp_path: Path):
    example = DOC.read_text().partition("```toml\n")[2].partition("```")[0]
    file = tmp_path / "gristmill.toml"
    file.write_text(example)
    assert Config.load(file).engine.workers == tomllib.loads(example)["engine"]["workers"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[engine]\nworkerz = 2", "engine.workerz"),
        ("[engine]\nworkers = -1", "engine.workers"),
        ("[", "cannot read"),
    ],
)
def test_a_mistake_names_the_key(tmp_path: Path, text: str, named: str):
    file = tmp_path / "gristmill.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=named):
        Config.load(file)
