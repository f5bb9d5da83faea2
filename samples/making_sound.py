"""The sounds of the sample corpus: speech by flite's free voices, and a bell, a siren and a stream by formulas."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ: Final = 16_000

TOUR: Final = (
    "Welcome to Gristmill Hollow. You are standing beside the water wheel, which is five metres high and turns"
    " nine times a minute. The water comes down a wooden channel from the mill pond and fills the buckets at the"
    " top of the wheel.",
    "Please put your hand on the wall to your left. You can feel the gears turning on the other side. Mind your head"
    " at the next door, because it was built for people of the eighteenth century.",
)
INTERVIEW: Final = (
    "My grandfather was the last miller here. When the mill closed, he became a postman and walked eighteen miles"
    " every day. He never ate bread from a shop in his life, because he said that it tasted of paper.",
)


def speak(paragraphs: tuple[str, ...], voice: str, path: Path, pause_s: float = 0.8) -> None:
    """Write speech to `path`; its suffix picks the format. Paragraphs are parted by a pause."""
    spoken = [_synthesise(text, voice, path.with_suffix(".part.wav")) for text in paragraphs]
    pause = np.zeros(round(pause_s * RATE_HZ), dtype=np.float64)
    parts = [piece for samples in spoken for piece in (samples, pause)]
    write_sound(np.concatenate(parts[:-1]), path)


def write_sound(samples: np.ndarray, path: Path) -> None:
    """Encode mono samples in -1..1; bitexact, so that the same ffmpeg gives the same bytes."""
    pcm = (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()
    quality = {".ogg": ["-c:a", "libvorbis", "-q:a", "2"], ".mp3": ["-b:a", "40k"]}
    command = ["ffmpeg", "-v", "error", "-y", "-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1"]
    command += ["-i", "-", *quality.get(path.suffix, []), "-fflags", "+bitexact"]
    command += ["-flags:a", "+bitexact", "-map_metadata", "-1", str(path)]
    subprocess.run(command, input=pcm, check=True)


def bell(duration_s: float = 6.0) -> np.ndarray:
    """Three strokes of a church bell: partials hum, prime, tierce, quint, nominal and above, each dying away.

    Ratios of the partials after Lehr, "The Designing of Swinging Bells and Carillon Bells" (1987).
    """
    partials = ((0.5, 0.6, 4.0), (1.0, 0.8, 2.8), (1.2, 0.7, 2.2), (1.5, 0.35, 1.6)) + (
        (2.0, 1.0, 1.5),
        (2.67, 0.5, 0.7),
        (3.0, 0.4, 0.6),
        (4.1, 0.3, 0.35),
        (5.4, 0.2, 0.2),
    )
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for stroke_s in (0.05, 2.05, 4.05):
        since_s = time_s - stroke_s
        for ratio, loudness, decay_s in partials:
            wave = np.sin(2 * np.pi * 330 * ratio * np.maximum(since_s, 0))
            sound += np.where(since_s >= 0, loudness * np.exp(-since_s.clip(0) / decay_s) * wave, 0)
    return _loud(sound)


def siren(duration_s: float = 6.0) -> np.ndarray:
    """A fire engine: two tones in turn, with overtones."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    pitch_hz = np.where(np.floor(time_s / 0.6) % 2 == 0, 440.0, 585.0)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    return _loud(sum((np.sin(n * phase) / n for n in range(1, 9)), np.zeros_like(phase)))


def stream(duration_s: float = 8.0) -> np.ndarray:
    """Running water: soft noise and thousands of bubbles, each a sine that rises as it dies away.

    After van den Doel, "Physically based models for liquid sounds", ACM TAP 2(4), 2005.
    """
    rng = np.random.default_rng(1427)
    count = round(duration_s * RATE_HZ)
    sound = 0.02 * rng.standard_normal(count)
    for _ in range(round(duration_s * 420)):
        start = int(rng.integers(0, count))
        radius_m = float(rng.gamma(2.0, 0.0011)) + 0.0012
        pitch_hz = min(3.0 / radius_m, 6_500.0)
        damping = 0.13 / radius_m + 0.0072 * radius_m**-1.5
        time_s = np.arange(min(round(4 / damping * RATE_HZ), count - start)) / RATE_HZ
        rise = pitch_hz * (1 + 0.1 * damping * time_s)
        bubble = np.sin(2 * np.pi * rise * time_s) * np.exp(-damping * time_s)
        sound[start : start + bubble.size] += rng.uniform(0.1, 1.0) * radius_m**0.7 * 60 * bubble
    return _loud(sound)


def _loud(samples: np.ndarray) -> np.ndarray:
    return 0.7 * samples / np.abs(samples).max()


def _synthesise(text: str, voice: str, scratch: Path) -> np.ndarray:
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(scratch)], check=True)
    command = ["ffmpeg", "-v", "error", "-i", str(scratch), "-f", "s16le", "-ac", "1"]
    decoded = subprocess.run([*command, "-ar", str(RATE_HZ), "-"], check=True, capture_output=True)
    scratch.unlink()
    return np.frombuffer(decoded.stdout, dtype="<i2") / 32_768
