import re
from pathlib import Path

from flows.wiring import contracts
from schemas.config import Config
from stages.decode.registry import DECODERS
from stages.embed.registry import make_encoder
from tests import tiny_models
from tests.contracts.decoder_examples import MAKERS

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "extending.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", DOC, re.S)


def test_every_file_and_folder_that_is_named_exists():
    named = set(re.findall(r"`((?:stages|schemas|tests|infra|docs)/[\w./]*)`", DOC))
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    linked = re.findall(r"\]\(([\w.-]+\.md)\)", DOC)
    assert all((ROOT / "docs" / name).exists() for name in linked)


def test_the_example_is_the_code_as_it_stands():
    signature, row, case = (block.rstrip("\n") for block in CODE[:3])
    assert signature in (ROOT / "stages" / "decode" / "epub.py").read_text()
    assert row in (ROOT / "stages" / "decode" / "registry.py").read_text()
    assert case in (ROOT / "tests" / "contracts" / "decoder_examples.py").read_text()
    assert DECODERS["application/epub+zip"] == "stages.decode.epub:decode_epub"
    assert "epub" in MAKERS


def test_the_encoder_is_the_code_as_it_stands():
    signature, row, case = (block.rstrip("\n") for block in CODE[3:])
    assert signature in (ROOT / "stages" / "embed" / "clip_video.py").read_text()
    assert row in (ROOT / "stages" / "embed" / "registry.py").read_text()
    assert case in (ROOT / "tests" / "contracts" / "encoder_cases.py").read_text()


def test_an_encoder_by_configuration_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_models.make("bert", tmp_path / "models" / "words")
    (example,) = re.findall(r"```toml\n(.*?)```", DOC, re.S)
    (tmp_path / "gristmill.toml").write_text(example)
    config = Config.load(tmp_path / "gristmill.toml")
    words = contracts(config)[1]
    assert (words.dim, words.pooling) == (16, "cls")
    assert make_encoder(words).encode(["a mill"]).shape == (1, 16)
