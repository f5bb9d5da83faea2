from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.config import Config, Derivation
from schemas.errors import ConfigError, ContractError
from stages.derive.models import weights_digest
from stages.derive.registry import contract, make_generator
from tests.tiny_generators import save_t5

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"adapter": "text-to-text", "model": "someone/writer", "revision": COMMIT, "licence": "mit"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"adapter": "draw"}, r"derive\.one\.adapter: there is no 'draw'; there are tell, ask"),
        ({"partitions": ("text/line",)}, r"derive\.one\.partitions: there is no partition"),
        ({"model": ""}, r"derive\.one\.model is missing"),
        ({"revision": ""}, r"derive\.one\.revision is missing"),
        ({"licence": ""}, r"derive\.one\.licence is missing"),
        ({"revision": "main"}, r"derive\.one\.revision = 'main': give the commit"),
    ],
)
def test_what_is_not_pinned_is_refused_by_name(changed, said):
    with pytest.raises(ConfigError, match=said):
        contract("one", Derivation(**(HUB | changed)))


def test_a_name_must_be_fit_for_a_key():
    with pytest.raises(ValidationError, match="derive"):
        Config.model_validate({"derive": {"a/b": HUB}})


def test_the_fingerprint_has_all_that_texts_depend_on():
    first = contract("one", Derivation(**HUB))
    assert first.key.startswith("one-")
    for key, value in {
        "prompt": "ask: ",
        "max_new_tokens": 9,
        "texts": 3,
        "dtype": "bfloat16",
        "revision": COMMIT[::-1],
        "partitions": ("text/document",),
    }.items():
        assert contract("one", Derivation(**(HUB | {key: value}))).fingerprint != first.fingerprint
    assert contract("one", Derivation(**(HUB | {"licence": "apache-2.0"}))).key == first.key


def test_a_folder_is_pinned_by_its_weights(tmp_path: Path):
    settings = HUB | {"model": str(save_t5(tmp_path))}
    digest = weights_digest(tmp_path)
    with pytest.raises(ConfigError, match=digest):
        contract("one", Derivation(**settings))
    pinned = contract("one", Derivation(**(settings | {"revision": digest})))
    weights = tmp_path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(ContractError, match=digest):
        make_generator(pinned).load()


def test_weights_that_may_run_code_are_not_loaded(tmp_path: Path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    pinned = contract("one", Derivation(**(HUB | {"model": str(tmp_path), "revision": "0" * 64})))
    with pytest.raises(ConfigError, match="safetensors"):
        make_generator(pinned).load()


def test_a_model_of_another_kind_is_refused(tmp_path: Path):
    save_t5(tmp_path)
    settings = {"model": str(tmp_path), "revision": weights_digest(tmp_path), "licence": "mit"}
    made = make_generator(contract("one", Derivation(adapter="image-text-to-text", **settings)))
    with pytest.raises(ConfigError, match=r"derive\.one: .* cannot be loaded"):
        made.load()
