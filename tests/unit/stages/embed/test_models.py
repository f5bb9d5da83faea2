"""Where models are found, which bytes they are, and what of them is refused."""

import hashlib
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch

from schemas.errors import ConfigError, ContractError, MissingExtraError
from schemas.space import SpaceContract
from schemas.space_config import SpaceConfig
from stages.embed import digests
from stages.embed.digests import cached_digest
from stages.embed.fixed_shapes import buckets
from stages.embed.licences import forbids_commercial_use, licence_of
from stages.embed.models import find_model
from stages.embed.registry import contract, make_encoder
from stages.embed.weights import packaged_file
from tests import tiny_models

COMMIT, OTHER = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return tiny_models.make("bert", tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch) -> Path:
    """A cache of Hugging Face with the tiny model in it: large files under their digest, links to them."""
    repo = tmp_path / "hub" / "models--org--tiny"
    snapshot = repo / "snapshots" / COMMIT
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True)
    (repo / "refs" / "main").write_text(COMMIT)
    for path in tiny.iterdir():
        name = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, repo / "blobs" / name)
        (snapshot / path.name).symlink_to(repo / "blobs" / name)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return repo


def words(model: str | Path, **keys: object) -> SpaceContract:
    return contract(
        "words", configured={"words": SpaceConfig(adapter="text", model=str(model), **keys)}
    )


def test_a_branch_becomes_its_commit_and_nothing_reaches_the_network(hub, monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("a model that is here needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    space = words("org/tiny")
    weights = (hub / "snapshots" / COMMIT / "model.safetensors").read_bytes()
    assert (space.model, space.revision, space.location) == ("org/tiny", COMMIT, "")
    assert space.weights_digest == hashlib.sha256(weights).hexdigest()
    assert space.licence == "apache-2.0"
    assert words("org/tiny", revision=COMMIT) == space
    again = SpaceContract.from_dict(space.as_dict())
    assert make_encoder(again).encode(["a mill"]).shape == (1, 32)


def test_what_is_not_here_says_how_to_fetch_it(hub):
    with pytest.raises(MissingExtraError, match=r"`hf download org/other` fetches it"):
        words("org/other")
    with pytest.raises(MissingExtraError, match=rf"hf download org/tiny --revision {OTHER}"):
        words("org/tiny", revision=OTHER)
    space = replace(words("org/tiny"), revision=OTHER)
    with pytest.raises(MissingExtraError, match=f"org/tiny --revision {OTHER}"):
        make_encoder(space)


def test_a_folder_may_move(tiny, tmp_path, monkeypatch):
    first = shutil.copytree(tiny, tmp_path / "one" / "words")
    space = words(first)
    assert space.location == str(first)
    monkeypatch.setenv("GRISTMILL_MODELS", f"/nowhere:{tmp_path / 'two'}")
    (tmp_path / "two").mkdir()
    moved = first.rename(tmp_path / "two" / "words")
    assert make_encoder(space).contract == space
    assert words(moved).key == space.key
    moved.rename(tmp_path / "gone")
    with pytest.raises(MissingExtraError, match=rf"words is not at {first} \(any more\)"):
        make_encoder(space)


def test_other_settings_beside_the_weights_are_another_space(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "words")
    space = words(folder)
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 64}')
    with pytest.raises(ContractError, match="revision: 'files"):
        make_encoder(space)


def test_pickled_weights_are_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "words")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"no file there ends in \.safetensors"):
        words(folder)
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(
        ConfigError, match=r"only as pytorch_model\.bin, a format that can run code"
    ):
        words(folder)


def test_code_of_a_repository_runs_for_those_who_asked(tiny, monkeypatch):
    space = words(tiny, trust_remote_code=True)
    assert space.remote_code
    with pytest.raises(ContractError, match="GRISTMILL_TRUST_REMOTE_CODE=bert"):
        make_encoder(space)
    assert make_encoder(space, trusted=True)
    monkeypatch.setenv("GRISTMILL_TRUST_REMOTE_CODE", "org/other,bert")
    assert make_encoder(space)


def test_a_bare_transformer_is_no_late_interaction_or_sparse_model(tiny):
    for adapter, said in (
        ("late_text", "no late-interaction model"),
        ("sparse", "no sparse encoder"),
    ):
        wish = SpaceConfig(adapter=adapter, model=str(tiny))
        with pytest.raises(ConfigError, match=said):
            contract("words", configured={"words": wish})


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"adapter": "texts"}, "there are text, image"),
        ({"truncate_dim": 32}, "have 32 dims"),
        ({"matryoshka": (8, 32)}, "not below 32"),
    ],
)
def test_what_a_model_cannot_give_names_the_key(tiny, keys, said):
    wish = SpaceConfig(**{"adapter": "text", "model": str(tiny), **keys})
    with pytest.raises(ConfigError, match=rf"spaces\.words\.{next(iter(keys))}.*{said}"):
        contract("words", configured={"words": wish})


def test_pooling_that_the_files_fix_cannot_be_chosen(tmp_path):
    with pytest.raises(ConfigError, match=r"pooling = 'mean': the files of .* say 'cls'"):
        words(tiny_models.make("dense", tmp_path), pooling="mean")


def test_a_digest_is_computed_once(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    found = cached_digest(path)
    assert found == hashlib.sha256(b"weights").hexdigest()
    with monkeypatch.context() as patch:
        patch.setattr(digests, "digest_file", lambda _: pytest.fail("read again"))
        assert cached_digest(path) == found
    path.write_bytes(b"other weights")
    assert cached_digest(path) == hashlib.sha256(b"other weights").hexdigest()


def test_several_files_of_weights_have_one_digest(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "words")
    one = find_model("words", location=str(folder)).weights_digest
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    two = find_model("words", location=str(folder)).weights_digest
    assert len(one) == len(two) == 64
    assert one != two


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("cc-by-nc-4.0", True), ("cc-by-nc-sa-4.0", True), ("qwen-research", True), ("apache-2.0", False),
        ("mit", False), ("gemma", False), ("", False), ("openrail++", False),
    ],
)  # fmt: skip
def test_licences_by_their_names(licence, forbidden):
    assert forbids_commercial_use(licence) == forbidden


def test_the_card_says_the_licence(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(
        "---\ntags:\n- a\nlicense: other\nlicense_name: 'qwen-research'\n---\nlicense: mit\n"
    )
    assert licence_of(tmp_path) == "qwen-research"
    card.write_text("license: mit\n")
    assert licence_of(tmp_path) == ""


def test_buckets_waste_little():
    for longest in (8, 100, 512, 8192):
        lengths = buckets(longest)
        assert lengths[-1] == longest
        assert list(lengths) == sorted(set(lengths))
    lengths = buckets(512)
    padded = sum(next(b for b in lengths if n <= b) for n in range(60, 180))
    assert padded / sum(range(60, 180)) < 1.05


@pytest.fixture
def graph(tmp_path) -> Path:
    return tiny_models.make("onnx", tmp_path / "minilm")


def test_an_onnx_file_gives_almost_the_vectors_of_the_weights(graph):
    texts = ["The mill grinds grain.", "Water drives the wheel.", "A cat sleeps. " * 20]
    quantised = make_encoder(words(graph, onnx="onnx/model.onnx")).encode(texts)
    whole = make_encoder(contract("minilm")).encode(texts)
    assert (quantised * whole).sum(axis=1).min() > 0.99


def test_an_onnx_file_is_pinned_by_its_digest(graph):
    space = words(graph, onnx="onnx/model.onnx")
    file = graph / "onnx" / "model.onnx"
    assert space.weights_digest == hashlib.sha256(file.read_bytes()).hexdigest()
    changed = file.read_bytes()[:-1] + b"\0"
    file.unlink()
    file.write_bytes(changed)
    with pytest.raises(ContractError, match="weights_digest"):
        make_encoder(space)


@pytest.mark.parametrize("file", ["model.onnx", "../onnx/model.onnx", "onnx/config.json"])
def test_an_onnx_file_that_is_not_in_the_folder_is_refused(graph, file):
    with pytest.raises(ConfigError, match=r"it has onnx/model\.onnx"):
        words(graph, onnx=file)


def test_onnx_is_for_texts_in_its_own_types(graph):
    with pytest.raises(ConfigError, match=r"spaces\.words\.onnx: .* leave dtype out"):
        words(graph, onnx="onnx/model.onnx", dtype="bfloat16")


def test_a_file_that_is_no_text_encoder_is_refused(graph):
    letters = packaged_file("rapidocr", "models/PP-OCRv6_det_small.onnx", "rapidocr")
    (graph / "onnx" / "letters.onnx").symlink_to(letters)
    with pytest.raises(ContractError, match="a text encoder gives last_hidden_state"):
        make_encoder(words(graph, onnx="onnx/letters.onnx")).encode(["a mill"])
