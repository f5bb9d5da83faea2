"""Speech models in folders, as users have them."""

import shutil

import pytest

from schemas.errors import ConfigError, MissingExtraError
from stages.recognise.speech_models import SPEECH_MODELS, speech_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The model of the package, laid out as CTranslate2 wants it."""
    folder = tmp_path_factory.mktemp("whisper") / "tiny"
    folder.mkdir()
    for name, data in SPEECH_MODELS["tiny.en"].load().items():
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_gives_what_the_package_gives(folder):
    model = speech_model(str(folder))
    assert model.load() == SPEECH_MODELS["tiny.en"].load()
    assert model.multilingual is False


def test_a_vocabulary_of_one_more_token_is_of_many_languages(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "base")
    with (copy / "vocabulary.txt").open("a") as file:
        file.write(
            "\n<|one more|>"
            if not (copy / "vocabulary.txt").read_text().endswith("\n")
            else "<|one more|>\n"
        )
    assert speech_model(str(copy)).multilingual is True


def test_a_folder_without_its_files_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "less")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"has no tokenizer\.json; wanted is a Whisper model"):
        speech_model(str(copy))


def test_what_is_nowhere_says_what_there_is_and_how_to_fetch_it():
    with pytest.raises(ConfigError, match=r"there are tiny\.en, base, folders"):
        speech_model("gigantic")
    with pytest.raises(MissingExtraError, match="hf download org/whisper"):
        speech_model("org/whisper")


def test_a_model_in_a_folder_transcribes(folder):
    import numpy as np

    from stages.recognise.speech import SpeechReader

    reader = SpeechReader(model=str(folder))
    assert reader.transcribe(np.zeros(16_000, dtype=np.int16)).words == ()
