"""Our transcription beside faster-whisper on the same recordings, model, precision and threads.

    python -m benchmarks.speech_speed FOLDER [--model NAME] [--each N] [--rounds N] [--threads N] [--json]

Two jobs, each from file to words with times:

- `each`: English recordings of FOLDER (its manifest says which; benchmarks/speech_corpus.py), one after the other;
- `joined`: the English ones after each other in one WAV file of some minutes.

Ours decodes with ffmpeg in a process of its own and reads as recognition does. Bare is `WhisperModel.transcribe` of the
path with its own decoding, with the voice detector on, greedy, `word_timestamps` as it must be to give the same, and no
second tries at a higher temperature. `share` is bare seconds by ours, medians of rounds that take turns: above 1 we are
faster. CPU seconds are those of the process and its children, and do not depend on what else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import wave
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import jiwer

from benchmarks.speech_corpus import join, recordings, samples_of, table
from benchmarks.speech_error import plain
from schemas.content import SAMPLE_RATE_HZ
from stages.recognise.speech import SpeechReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.speech_corpus import Recording

    Transcriber = Callable[[Recording], str]

_LANGUAGE: Final = "en"


def ours(reader: SpeechReader) -> Transcriber:
    """Decode and read as the stages do."""

    def transcribe(recording: Recording) -> str:
        words = reader.transcribe(samples_of(recording)).words
        return " ".join(word.text for word in words)

    return transcribe


def bare(reader: SpeechReader) -> Transcriber:
    """The library's own way, on the same loaded model."""
    model = reader.model

    def transcribe(recording: Recording) -> str:
        segments, _ = model.transcribe(
            str(recording.path),
            language=_LANGUAGE,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=True,
            word_timestamps=True,
        )
        return " ".join(word.word for segment in segments for word in segment.words)

    return transcribe


def timed(transcribe: Transcriber, found: Sequence[Recording]) -> tuple[float, float, list[str]]:
    """Wall seconds, CPU seconds and the texts."""
    wall_s, cpu_s = time.perf_counter(), _cpu_s()
    texts = [transcribe(recording) for recording in found]
    return time.perf_counter() - wall_s, _cpu_s() - cpu_s, texts


def _cpu_s() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def compare(
    name: str, found: Sequence[Recording], reader: SpeechReader, rounds: int
) -> dict[str, Any]:
    """One row of the table."""
    ways = {"ours": ours(reader), "bare": bare(reader)}
    runs: dict[str, list[tuple[float, float, list[str]]]] = {way: [] for way in ways}
    for transcribe in ways.values():
        transcribe(found[0])  # loads the voice detector
    for _ in range(rounds):
        for way, transcribe in ways.items():
            runs[way].append(timed(transcribe, found))
    wall = {way: median(run[0] for run in runs[way]) for way in ways}
    cpu = {way: median(run[1] for run in runs[way]) for way in ways}
    truth = [plain(one.text) for one in found]
    error = {way: jiwer.wer(truth, [plain(text) for text in runs[way][0][2]]) for way in ways}
    return {
        "job": name,
        "recordings": len(found),
        "ours, s": wall["ours"],
        "bare, s": wall["bare"],
        "share": wall["bare"] / wall["ours"],
        "share of CPU": cpu["bare"] / cpu["ours"],
        "word error, ours": error["ours"],
        "word error, bare": error["bare"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    reader = SpeechReader(given.threads, given.model)
    chosen = [
        one
        for one in recordings(given.folder, given.each)
        if (one.kind, one.language) == ("speech", _LANGUAGE)
    ]
    with tempfile.TemporaryDirectory() as folder:
        jobs = {"each": chosen, "joined": [_joined(chosen, Path(folder) / "joined.wav")]}
        rows = [compare(name, found, reader, given.rounds) for name, found in jobs.items()]
    if given.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    print(*table(rows), sep="\n")


def _joined(found: Sequence[Recording], path: Path) -> Recording:
    whole = join((one, samples_of(one)) for one in found)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(whole.samples.tobytes())
    return replace(found[0], path=path, text=" ".join(one.text for one in found))


if __name__ == "__main__":
    main()
