"""Whisper by transformers, with the weights of the bundled model: both hear the same, at the same times."""

import re
from difflib import SequenceMatcher

import numpy as np
import pytest

from schemas.speech_config import SpeechConfig
from stages.recognise.speech import SpeechReader
from stages.recognise.speech_configured import make_reader, speech_contract
from tests import whisper_tiny_en
from tests.unit.stages.recognise.voices import INTERVIEW, TOUR, interview, silence, tour

pytestmark = pytest.mark.slow


def plain(word):
    return "".join(re.findall(r"[a-z0-9]+", word.text.lower()))


def matches(one, other):
    """Indices of words that are alike, in order."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]


def test_the_same_words_at_the_same_times(tmp_path):
    """The bundled reader computes in 8-bit integers and pads less, so some words differ."""
    folder = whisper_tiny_en.save(tmp_path / "tiny.en")
    own = speech_contract("own", {"own": SpeechConfig(model=str(folder))})
    reader = make_reader(own, threads=1)
    samples = np.concatenate([tour(), silence(1), interview()])
    ours, bundled = reader.transcribe(samples), SpeechReader(threads=1).transcribe(samples)
    assert (reader.reads, ours.language, ours.unread_s) == ("English only", "en", 0.0)
    one, other = [plain(word) for word in ours.words], [plain(word) for word in bundled.words]
    truth = f"{TOUR} {INTERVIEW}".split()
    assert len(matches(truth, one)) >= 0.85 * len(truth)
    both = matches(one, other)
    assert len(both) >= 0.9 * len(other)
    apart = [abs(ours.words[a].start_s - bundled.words[b].start_s) for a, b in both]
    assert np.median(apart) <= 0.02
    assert np.quantile(apart, 0.95) <= 0.1
