"""Every reader of speech keeps the same contract: the bundled one, and one of each family by configuration."""

from itertools import pairwise

import numpy as np
import pytest
from transformers import AutoProcessor, ParakeetForCTC, ParakeetForRNNT, ParakeetForTDT

from schemas.config import Config, Recognition
from schemas.errors import ConfigError, ContractError, MissingExtraError
from schemas.speech_config import SpeechConfig
from stages.recognise._windows import windows
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.recognise.speech import SpeechReader
from stages.recognise.speech_configured import READERS, make_reader, speech_contract
from stages.recognise.transcript import Speech
from tests import tiny_speech
from tests.unit.stages.recognise.voices import HERTZ, chord, interview, noise, silence

BUNDLED = "tiny.en"
LIBRARY = {
    "parakeet_ctc": ParakeetForCTC,
    "parakeet_tdt": ParakeetForTDT,
    "parakeet_rnnt": ParakeetForRNNT,
}


def reader_of(name, folder):
    if name == BUNDLED:
        return SpeechReader(threads=1)
    model = tiny_speech.make(name, folder / name)
    return make_reader(speech_contract("own", {"own": SpeechConfig(model=str(model))}), threads=1)


@pytest.fixture(scope="module", params=[BUNDLED, *READERS])
def reader(request, tmp_path_factory):
    return reader_of(request.param, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def heard(reader):
    return reader.transcribe(interview())


def test_every_family_has_a_tiny_model():
    assert set(tiny_speech.MAKERS) == set(READERS)


def test_words_ascend_and_stay_inside_the_recording(heard):
    assert heard.words
    for before, after in pairwise(heard.words):
        assert before.start_s <= before.end_s <= after.end_s
        assert before.start_s <= after.start_s
    assert heard.words[0].start_s >= 0
    assert heard.words[-1].end_s <= len(interview()) / HERTZ
    assert all(word.text and word.text == "".join(word.text.split()) for word in heard.words)


def test_words_are_all_over_what_is_said(heard):
    middles = [(word.start_s + word.end_s) / 2 for word in heard.words]
    assert max(middles) - min(middles) > len(interview()) / HERTZ / 3


def test_equal_samples_give_equal_words(reader, heard):
    assert reader.transcribe(interview().copy()) == heard


def test_times_count_from_the_start_of_the_recording(reader, heard):
    """After so much silence the same window begins elsewhere, and what is read in it is the same.

    32 s are a whole number of the steps of the voice detector.
    """
    lone = reader.transcribe(np.concatenate([silence(20), interview()]))
    later = reader.transcribe(np.concatenate([silence(52), interview()]))
    assert [word.text for word in later.words] == [word.text for word in lone.words]
    for one, other in zip(lone.words, later.words, strict=True):
        assert other.start_s == pytest.approx(one.start_s + 32, abs=0.011)
    assert later.words[0].start_s >= 51


@pytest.mark.parametrize(
    "samples", [silence(0), silence(3), noise(12, 300), chord(4)], ids=["none", "0", "~", "chord"]
)
def test_what_is_no_speech_is_not_read(reader, samples):
    assert reader.transcribe(samples) == Speech()


def test_what_is_not_believed_is_counted(reader, heard):
    backwards = reader.transcribe(np.ascontiguousarray(interview()[::-1]))
    both = reader.transcribe(np.concatenate([interview(), silence(40), interview()]))
    assert backwards.unread_s > 5 or backwards.words
    assert both.unread_s >= heard.unread_s
    assert len(both.words) >= len(heard.words)


def test_the_reader_says_what_it_reads(reader):
    assert "only" in reader.reads or reader.reads == "many languages"


def wish(folder, name="whisper", **keys):
    model = tiny_speech.make(name, folder / name)
    return {"own": SpeechConfig(model=str(model), **keys)}


def test_a_configured_language_is_the_one_that_is_read(tmp_path):
    for language in ("en", "de"):
        own = speech_contract("own", wish(tmp_path, language=language))
        spoken = make_reader(own, threads=1).transcribe(interview())
        assert spoken.words
        assert spoken.language == language


def test_a_language_that_the_model_lacks_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"speech\.own\.language = 'fr'"):
        speech_contract("own", wish(tmp_path, language="fr"))


def test_parakeet_has_the_configured_language(tmp_path):
    own = speech_contract("own", wish(tmp_path, "parakeet_ctc", language="de"))
    assert make_reader(own, threads=1).transcribe(interview()).language == "de"


def test_a_model_that_is_not_here_names_the_command_that_fetches_it():
    for model in ("org/whisper-of-mine", "./nowhere"):
        missing = {"own": SpeechConfig(model=model)}
        with pytest.raises(MissingExtraError, match=r"hf download .*(of-mine|nowhere)"):
            speech_contract("own", missing)


def test_weights_that_changed_since_the_run_began_are_refused(tmp_path):
    own = speech_contract("own", wish(tmp_path))
    with (tmp_path / "whisper" / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ContractError, match="the run began with"):
        make_reader(own, threads=1)


def test_pickled_weights_are_refused(tmp_path):
    own = wish(tmp_path)
    weights = tmp_path / "whisper" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(ConfigError, match="format that can run code"):
        speech_contract("own", own)


def test_another_kind_of_model_is_refused(tmp_path):
    from tests import tiny_models

    bert = {"own": SpeechConfig(model=str(tiny_models.make("bert", tmp_path)))}
    with pytest.raises(ConfigError, match=r"of the kind 'bert'; there are readers for whisper"):
        speech_contract("own", bert)


def test_a_name_that_comes_with_gristmill_is_not_configured():
    with pytest.raises(ConfigError, match=r"speech\.base: a model of that name"):
        speech_contract("base", {"base": SpeechConfig(model="org/other")})
    assert speech_contract("base", {}) is None


def test_a_licence_against_commercial_use_is_logged(tmp_path, caplog):
    own = speech_contract("own", wish(tmp_path, licence="cc-by-nc-4.0"))
    make_reader(own, threads=1)
    assert "speech.own: the weights of whisper are under cc-by-nc-4.0" in caplog.text


def test_a_recogniser_reads_with_the_configured_model(tmp_path):
    from schemas.content import Content, SoundContent

    recognition = Recognition(speech_model="own", sound_tags=False)
    config = Config(recognition=recognition, speech=wish(tmp_path, language="de"))
    own = speech_contract("own", config.speech)
    recogniser = Recogniser(RecogniseOptions(recognition, speech=own))
    content = Content("audio/wav", sound=SoundContent(13.0, 0))
    read, arrays = recogniser.recognise(content, (interview(),))
    assert read.sound is not None
    assert read.sound.language == "de"
    assert read.sound.words == make_reader(own, threads=1).transcribe(interview()).words
    assert arrays == ()


@pytest.mark.parametrize("name", ["parakeet_ctc", "parakeet_tdt", "parakeet_rnnt"])
def test_parakeet_s_text_is_that_of_the_library_s_own_decoding(tmp_path, name):
    """The library is given the window as it is, the reader pads it: what is padded is not read."""
    own = wish(tmp_path, name)
    spoken = make_reader(speech_contract("own", own), threads=1).transcribe(interview())
    windows_of_it = windows(interview())
    model = LIBRARY[name].from_pretrained(own["own"].model).eval()
    processor = AutoProcessor.from_pretrained(own["own"].model)
    texts = []
    for window in windows_of_it:
        heard = processor([window.audio], sampling_rate=HERTZ)
        longest = {} if name == "parakeet_ctc" else {"max_new_tokens": 900}
        written = model.generate(**heard, **longest)
        ids = written if name == "parakeet_ctc" else written.sequences
        texts += processor.batch_decode(ids, skip_special_tokens=True)
    assert " ".join(word.text for word in spoken.words) == " ".join(texts)
