"""How well speech is written down, by language and length, and how often words are invented where there are none.

    python -m benchmarks.speech_error FOLDER [--model NAME] [--each N] [--json]

FOLDER has recordings and a ``manifest.jsonl`` (benchmarks/speech_corpus.py says what is in it). Word and character
error are those of jiwer over all recordings of a row, after case, punctuation and accents of writing have been taken
away; a recording without a transcript counts as all words missed. Rows:

- one for each language and length;
- `joined`: English recordings after each other as one long recording. `in place` is the share of its right words whose
  middle lies in the recording that they were said in (so whether a cut at a pause keeps them in their segment);
- `effects`: sounds without words, each on its own and joined; `transcribed` is the share with any word;
- `made`: a minute each of noises, tones and clicks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jiwer
import numpy as np

from benchmarks.speech_corpus import join, recordings, samples_of, table
from schemas.content import SAMPLE_RATE_HZ
from stages.recognise.speech import SpeechReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.speech_corpus import Joined, Recording
    from stages.recognise.speech import Speech

_LENGTHS: Final = ((3.0, "under 3 s"), (30.0, "3 to 30 s"), (float("inf"), "over 30 s"))
_MADE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Read:
    """A recording and what was read in it."""

    recording: Recording
    seconds: float
    speech: Speech

    @property
    def text(self) -> str:
        """The transcript."""
        return " ".join(word.text for word in self.speech.words)

    @property
    def length(self) -> str:
        """Its class of length."""
        return next(name for limit_s, name in _LENGTHS if self.seconds < limit_s)


def plain(text: str) -> str:
    """Words in lower case without punctuation and accents."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    marks = (c for c in letters if not unicodedata.category(c).startswith("M"))
    kept = (c if c.isalnum() else " " for c in marks)
    return " ".join("".join(kept).split())


def errors(reads: Sequence[Read], language: str, length: str) -> dict[str, Any]:
    """One row: word and character error, how many were not transcribed, and in which languages."""
    pairs = [(plain(read.recording.text), plain(read.text)) for read in reads]
    truth, heard = zip(*(pair for pair in pairs if pair[0]), strict=True)
    transcribed = [read for read in reads if read.speech.words]
    languages = Counter(read.speech.language for read in transcribed)
    return {
        "what": language,
        "length": length,
        "recordings": len(reads),
        "seconds": round(sum(read.seconds for read in reads)),
        "word error": jiwer.wer(list(truth), list(heard)),
        "character error": jiwer.cer(list(truth), list(heard)),
        "transcribed": len(transcribed) / len(reads),
        "as its language": languages[language] / max(1, len(transcribed)),
        "as English": languages["en"] / max(1, len(transcribed)),
    }


def placed(joined: Joined, speech: Speech) -> dict[str, Any]:
    """Errors of a joined recording, and whether its right words are where they were said."""
    truth = " ".join(plain(one.text) for _, _, one in joined.spans)
    right, inside = 0, 0
    for start_s, end_s, one in joined.spans:
        said = Counter(plain(one.text).split())
        near = [
            ((word.start_s + word.end_s) / 2, part)
            for word in speech.words
            if start_s - 3 <= (word.start_s + word.end_s) / 2 <= end_s + 3
            for part in plain(word.text).split()
        ]
        near.sort(key=lambda at: not start_s <= at[0] <= end_s)  # its own first
        for middle_s, part in near:
            if said[part] > 0:
                said[part] -= 1
                right += 1
                inside += start_s - 0.25 <= middle_s <= end_s + 0.25  # half of the gap
    heard = plain(" ".join(word.text for word in speech.words))
    return {
        "what": "joined",
        "recordings": len(joined.spans),
        "seconds": round(len(joined.samples) / SAMPLE_RATE_HZ),
        "word error": jiwer.wer(truth, heard),
        "in place": inside / max(1, right),
    }


def made() -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Sounds without speech, made by formula: float -1..1 to int16 at 16 kHz."""
    rng = np.random.default_rng(0)
    count = _MADE_S * SAMPLE_RATE_HZ
    times = np.arange(count) / SAMPLE_RATE_HZ
    white = rng.standard_normal(count)
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(np.arange(len(spectrum)), 1.0)
    beat = (times % 0.5 < 0.1).astype(float)
    notes = 220 * 2 ** (rng.integers(0, 13, _MADE_S * 4) / 12)
    tune = np.sin(2 * np.pi * np.cumsum(np.repeat(notes, SAMPLE_RATE_HZ // 4)) / SAMPLE_RATE_HZ)
    sounds = {
        "silence": np.zeros(count),
        "white noise": white / 8,
        "faint noise": white / 2000,
        "pink noise": np.fft.irfft(spectrum / np.sqrt(frequency), count) * 8,
        "brown noise": np.fft.irfft(spectrum / frequency, count) * 100,
        "hum": 0.3 * np.sign(np.sin(2 * np.pi * 50 * times)),
        "sweep": 0.5 * np.sin(2 * np.pi * (100 + 30 * times) * times),
        "tune": 0.4 * tune,
        "drums": 0.5 * white * beat / 3,
        "tune and drums": 0.3 * tune + 0.2 * white * beat,
        "clicks": (rng.random(count) < 0.0005) * 0.9,
        "wobble": 0.4 * np.sin(2 * np.pi * 200 * times + 5 * np.sin(2 * np.pi * 4 * times)),
    }
    for name, sound in sounds.items():
        yield name, (np.clip(sound, -1, 1) * 32767).astype(np.int16)


def measure(folder: Path, reader: SpeechReader, each: int) -> dict[str, Any]:
    """All tables of one model, and what was invented."""
    chosen = recordings(folder, each)
    samples = {one: samples_of(one) for one in chosen}
    started_s = time.perf_counter()
    reads = [
        Read(one, len(samples[one]) / SAMPLE_RATE_HZ, reader.transcribe(samples[one]))
        for one in chosen
        if len(samples[one])
    ]
    seconds = time.perf_counter() - started_s
    speech = [read for read in reads if read.recording.kind == "speech"]
    keys = sorted({(read.recording.language, read.length) for read in speech})
    by_language = [
        errors([r for r in speech if (r.recording.language, r.length) == key], *key) for key in keys
    ]
    english = [
        r.recording for r in speech if (r.recording.language, r.length) == ("en", "under 3 s")
    ]
    long = join((one, samples[one]) for one in english)
    effects = [read for read in reads if read.recording.kind == "sfx"]
    silent = [("effects", join((r.recording, samples[r.recording]) for r in effects).samples)]
    heard = [(name, reader.transcribe(sound)) for name, sound in (*silent, *made())]
    return {
        "seconds": seconds,
        "by language": by_language,
        "joined": [placed(long, reader.transcribe(long.samples))],
        "without words": [
            _share("effects, each", [read.speech for read in effects]),
            _share("effects, joined", [speech for name, speech in heard if name == "effects"]),
            _share("made", [speech for name, speech in heard if name != "effects"]),
        ],
        "invented": [f"{read.recording.path.name}: {read.text}" for read in effects if read.text]
        + [f"{name}: {' '.join(w.text for w in s.words)}" for name, s in heard if s.words],
    }


def _share(what: str, heard: Sequence[Speech]) -> dict[str, Any]:
    return {
        "what": what,
        "recordings": len(heard),
        "transcribed": sum(bool(speech.words) for speech in heard) / max(1, len(heard)),
        "words": sum(len(speech.words) for speech in heard),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--each", type=int, default=60, help="recordings of a language at most")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.folder, SpeechReader(given.threads, given.model), given.each)
    if given.json:
        json.dump(found, sys.stdout, ensure_ascii=False, indent=1)
        return
    for name in ("by language", "joined", "without words"):
        print(*table(found[name]), sep="\n", end="\n\n")
    print(*found["invented"], sep="\n")


if __name__ == "__main__":
    main()
