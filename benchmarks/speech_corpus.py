"""Recordings with known words: a folder with ``manifest.jsonl``, and long recordings joined from it.

A line of the manifest is a JSON object with `path` (in the folder), `modality` ("audio" here), `kind` ("speech", or
"sfx" for effects without words), `lang` (ISO 639-1, perhaps with a country) and `transcript`, or the same as the
first of `labels`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import SourceError
from stages.decode.audio import decode_audio
from stages.decode.options import DecodeOptions
from stages.decode.sniff import sniff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_GAP_S: Final = 0.5
_GAP_LEVEL: Final = 8  # of 32768: rooms are not digitally silent


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of the manifest; `text` is empty for effects."""

    path: Path
    kind: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Recordings after each other with half a second between.

    Attributes:
        samples: int16 [n] at 16 kHz.
        spans: Start and end in seconds of each, with the recording.
    """

    samples: NDArray[np.int16]
    spans: tuple[tuple[float, float, Recording], ...]


def recordings(folder: Path, each: int) -> list[Recording]:
    """Speech with a transcript and effects, at most `each` of a language and kind, chosen by a hash of their path."""
    with (folder / "manifest.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found = [_recording(folder, row) for row in rows if row.get("modality") == "audio"]
    usable = (one for one in found if one.kind == "sfx" or (one.kind == "speech" and one.text))
    groups: dict[tuple[str, str], list[Recording]] = {}
    for one in sorted(usable, key=lambda one: hashlib.sha256(one.path.name.encode()).digest()):
        groups.setdefault((one.kind, one.language), []).append(one)
    return [one for key in sorted(groups) for one in groups[key][:each]]


def _recording(folder: Path, row: dict[str, Any]) -> Recording:
    labels = row.get("labels") or [""]
    text = row.get("transcript") or labels[0]
    language = (row.get("lang") or "").partition("_")[0]
    kind = row.get("kind") or ""
    return Recording(folder / row["path"], kind, language, "" if kind == "sfx" else text)


def samples_of(recording: Recording) -> NDArray[np.int16]:
    """Decoded, int16 [n] at 16 kHz; nothing if it cannot be."""
    try:
        media_type = sniff(recording.path, recording.path.suffix[1:])
        _, (samples,) = decode_audio(recording.path, media_type, DecodeOptions())
    except SourceError:
        return np.zeros(0, np.int16)
    return samples


def join(found: Iterable[tuple[Recording, NDArray[np.int16]]]) -> Joined:
    """Put recordings after each other."""
    rng = np.random.default_rng(0)
    parts: list[NDArray[np.int16]] = []
    spans = []
    at = 0
    for recording, samples in found:
        gap = rng.integers(-_GAP_LEVEL, _GAP_LEVEL, int(_GAP_S * SAMPLE_RATE_HZ), np.int16)
        spans.append((at / SAMPLE_RATE_HZ, (at + len(samples)) / SAMPLE_RATE_HZ, recording))
        parts += [samples, gap]
        at += len(samples) + len(gap)
    return Joined(np.concatenate(parts or [np.zeros(0, np.int16)]), tuple(spans))


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Lines of a Markdown table with the keys of the first row as its head."""
    if not rows:
        return
    yield f"| {' | '.join(rows[0])} |"
    yield "|---" * len(rows[0]) + "|"
    for row in rows:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        yield f"| {' | '.join(cells)} |"
