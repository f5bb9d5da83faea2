"""Spaces by configuration, from the files to an answer: tiny models of the real classes in a real lake."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from flows.manifests import manifest_key
from flows.wiring import contracts, fingerprint, frame_size, open_retriever
from schemas.config import Config, Profile, Recognition
from schemas.errors import ConfigError, ContractError
from schemas.space_config import SpaceConfig
from stages.embed.rerank import CrossReranker
from tests import tiny_models
from tests.integration.mill import Mill

RUNNER = CliRunner()
SIDE = 48
QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
TEXTS = {
    "grain.txt": "The mill grinds grain.",
    "water.txt": "Water drives the wheel, the wheel drives the stone.",
}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    folder = tmp_path_factory.mktemp("models")

    def space(name: str, **keys: object) -> SpaceConfig:
        return SpaceConfig(model=str(tiny_models.make(name, folder / name)), **keys)

    spaces = {
        "words": space("bert", adapter="text", matryoshka=(8, 16)),
        "pictures": space("clip", adapter="image", frame_size=SIDE),
        "tokens": space("colbert", adapter="late_text", partitions=("text/paragraph",)),
        "terms": space("splade", adapter="sparse"),
        "clips": space("xclip", adapter="clip", frame_size=SIDE, partitions=("video/clip",)),
    }
    return Config(recognition=QUIET, profile=Profile(spaces=tuple(spaces)), spaces=spaces)


@pytest.fixture(scope="module")
def mill(config, tmp_path_factory) -> Mill:
    mill = Mill(tmp_path_factory.mktemp("mill"), config)
    for name, text in TEXTS.items():
        mill.write(name, text)
    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(mill.corpus / "noise.png")
    mill.ingest()
    mill.publish()
    return mill


def test_every_space_has_the_vectors_of_its_units(mill, config):
    view = mill.lake.view()
    found = {space.name: len(view.embedded(space.key)) for space in contracts(config)}
    # A text is a paragraph and a document with the same content, each in its partition.
    assert found == {"words": 4, "pictures": 1, "tokens": 2, "terms": 4, "clips": 0}


def test_questions_find_their_texts_from_the_manifest_alone(mill):
    retriever = open_retriever(mill.lake.url)
    for name, text in TEXTS.items():
        hits = retriever.search(text, 1, route="text/paragraph").hits
        assert [hit.path for hit in hits] == [name]
    assert len(retriever.search("a picture", 1, route="image/image").hits) == 1


def test_the_snapshot_keeps_the_self_checks_and_its_id_does_not_depend_on_them(mill):
    again = mill.publish()
    manifest = json.loads((Path(mill.lake.url) / manifest_key(again.snapshot_id)).read_text())
    names = {key.rpartition("-")[0] for key in manifest["probes"]}
    assert names == {"words", "pictures", "tokens", "terms"}
    for found in manifest["probes"].values():
        assert {side: len(numbers) for side, numbers in found.items()} == dict.fromkeys(
            ("query", "document"), len(found["query"])
        )


def test_an_encoder_that_computes_otherwise_is_refused(mill, tmp_path):
    manifest = mill.publish()
    path = Path(mill.lake.url) / manifest_key(manifest.snapshot_id)
    kept = path.read_text()
    raw = json.loads(kept)
    for found in raw["probes"].values():
        found["query"] = found["query"][::-1]
    path.write_text(json.dumps(raw))
    try:
        with pytest.raises(ContractError, match=r"self-check of the space words-\w+: .* cosine"):
            open_retriever(mill.lake.url).search("grain")
    finally:
        path.write_text(kept)


def test_another_model_in_the_folder_is_refused_by_its_digest(mill, config, tmp_path):
    space = contracts(config)[0]
    model = Path(space.location) / "model.safetensors"
    kept = model.read_bytes()
    changed = bytearray(kept)
    changed[-1] ^= 1
    model.write_bytes(changed)
    try:
        with pytest.raises(
            ContractError, match=f"weights_digest: '.*' != '{space.weights_digest}'"
        ):
            open_retriever(mill.lake.url)
    finally:
        model.write_bytes(kept)


def test_pixel_spaces_share_their_pictures(config):
    assert frame_size(contracts(config)) == SIDE
    assert fingerprint(config) != fingerprint(Config(recognition=QUIET))
    mixed = config.model_copy(update={"profile": Profile(spaces=("words", "conse", "pictures"))})
    with pytest.raises(ConfigError, match="conse takes 224, pictures takes 48"):
        frame_size(contracts(mixed))


def test_a_search_can_be_read_again_by_a_cross_encoder(mill, tmp_path):
    model = str(tiny_models.make("cross", tmp_path))
    asked = ["search", "the mill", "--lake", mill.lake.url, "--k", "2", "--json"]
    asked += ["--route", "text/paragraph"]
    shown = RUNNER.invoke(app, [*asked, "--rerank", model])
    assert shown.exit_code == 0, shown.output
    hits = json.loads(shown.output)["hits"]
    scores = CrossReranker(model).score("the mill", [hit["text"] for hit in hits])
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert list(scores) == sorted(scores, reverse=True)
