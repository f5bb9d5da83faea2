"""The sounds of the sample corpus: speech by flite's free voices, and a bell, a siren and a stream by formulas."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

RATE_HZ: Final = 16_000
_BELL_PARTIALS: Final = (  # frequency ratio, loudness, seconds to die down to 37 %
    (0.5, 0.5, 5.0),
    (1.0, 0.7, 3.0),
    (1.183, 0.8, 2.6),
    (1.506, 0.4, 2.0),
    (2.0, 1.0, 2.0),
    (2.514, 0.5, 1.2),
    (2.662, 0.5, 1.1),
    (3.011, 0.6, 1.0),
    (4.166, 0.4, 0.6),
    (5.433, 0.3, 0.4),
    (6.796, 0.2, 0.3),
    (8.215, 0.15, 0.2),
)

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
    """Strokes of a church bell: pairs of partials that beat against each other and die away.

    Ratios hum, prime, tierce, quint, nominal and above after Lehr, "The Designing of Swinging Bells and
    Carillon Bells" (1987).
    """
    rng = np.random.default_rng(1583)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = np.zeros_like(time_s)
    for stroke_s in np.arange(0.05, duration_s - 0.5, 1.6):
        begin = round(float(stroke_s) * RATE_HZ)
        since_s = time_s[: time_s.size - begin]
        for ratio, loudness, decay_s in _BELL_PARTIALS:
            phase = 2 * np.pi * 440 * ratio * since_s
            wave = np.sin(phase) + 0.6 * np.sin(1.003 * phase)
            sound[begin:] += loudness * np.exp(-since_s / decay_s) * wave
        sound[begin:] += 0.3 * np.exp(-since_s / 0.01) * rng.standard_normal(since_s.size)
    return _loud(_echo(sound, 2.0, 0.6, rng))


def siren(duration_s: float = 6.0) -> np.ndarray:
    """A fire engine: a tone that rises quickly and falls slowly between 500 and 1350 Hz, in a street."""
    rng = np.random.default_rng(1911)
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    pitch_hz = np.interp(time_s % 4.0, [0, 1.6, 4.0], [500, 1350, 500])
    tone = np.tanh(3 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ))
    return _loud(_echo(tone + 0.02 * rng.standard_normal(time_s.size), 1.2, 0.5, rng))


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


def _echo(dry: np.ndarray, length_s: float, mix: float, rng: np.random.Generator) -> np.ndarray:
    """Add the sound of a room: convolution with noise that dies away."""
    count = round(length_s * RATE_HZ)
    room = rng.standard_normal(count) * np.exp(-6 * np.arange(count) / count)
    size = dry.size + count
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)[: dry.size]
    return np.asarray(dry + mix * wet / np.linalg.norm(room))


def _loud(samples: np.ndarray) -> np.ndarray:
    return 0.7 * samples / np.abs(samples).max()


def _synthesise(text: str, voice: str, scratch: Path) -> np.ndarray:
    command = ["flite", "-voice", voice, "-t", text, "-o", str(scratch)]
    subprocess.run(command, check=True)
    command = ["ffmpeg", "-v", "error", "-i", str(scratch), "-f", "s16le", "-ac", "1"]
    decoded = subprocess.run([*command, "-ar", str(RATE_HZ), "-"], check=True, capture_output=True)
    scratch.unlink()
    return np.frombuffer(decoded.stdout, dtype="<i2") / 32_768
