"""What a configured speech model changes in a run."""

import pytest

from flows.wiring import content_fingerprint, fingerprint, speech_model, stage_specs
from schemas.config import Config, Engine, Recognition
from schemas.errors import MissingExtraError
from schemas.speech_config import SpeechConfig
from stages.recognise.options import RecogniseOptions
from tests import tiny_speech


def config_of(folder, *, speech=True, engine=None, **keys):
    return Config(
        recognition=Recognition(speech=speech, speech_model="own"),
        speech={"own": SpeechConfig(model=str(folder), **keys)},
        engine=engine or Engine(workers=2),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_speech.make("whisper", tmp_path_factory.mktemp("speech") / "own")


def test_what_was_read_depends_on_the_model_s_files_and_settings(folder):
    prints = {
        (fingerprint(config), content_fingerprint(config))
        for config in (
            config_of(folder),
            config_of(folder, language="de"),
            config_of(folder, dtype="bfloat16"),
            config_of(folder, speech=False),
        )
    }
    assert len(prints) == 4
    before = fingerprint(config_of(folder))
    assert fingerprint(config_of(folder, licence="mit")) == before
    weights = folder / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(kept + b"\0")
    try:
        assert fingerprint(config_of(folder)) != before
    finally:
        weights.write_bytes(kept)


def test_a_section_that_nothing_names_changes_nothing(folder):
    spare = {"own": SpeechConfig(model=str(folder))}
    assert fingerprint(Config(speech=spare)) == fingerprint(Config())


def test_a_model_that_is_not_here_ends_the_run_before_it_begins():
    with pytest.raises(MissingExtraError, match="hf download nobody/whispers"):
        stage_specs(config_of("nobody/whispers"))


def test_recognisers_get_the_model_its_memory_and_its_gpu(folder):
    config = config_of(folder, engine=Engine(workers=2, embed_gpus=0.5, recognise_gpus=0.25))
    pools = {spec.name: spec for spec in stage_specs(config)}
    recognise = pools["recognise"]
    assert recognise.factory.args[0] == RecogniseOptions(
        config.recognition, speech=speech_model(config)
    )
    size = (folder / "model.safetensors").stat().st_size
    limit = config.limits.decode_memory_bytes
    assert recognise.resources.memory_bytes == limit + 2 * size
    assert pools["decode"].resources.memory_bytes == limit
    assert recognise.resources.gpus == 0.25
    without = config.model_copy(update={"recognition": Recognition()})
    assert {spec.name: spec for spec in stage_specs(without)}["recognise"].resources.gpus == 0
