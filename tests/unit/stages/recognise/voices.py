"""Sounds for the tests of recognition: noise and tones by formula, and the speech of the sample corpus."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from stages.decode.audio import decode_audio
from stages.decode.options import DecodeOptions

HERTZ = 16000
_SOUNDS = Path(__file__).parents[4] / "samples" / "corpus" / "sound"
# What the two voices were given to say (samples/making_sound.py), in words as they are heard.
TOUR = (
    "welcome to gristmill hollow you are standing beside the water wheel which is five metres high and turns nine"
    " times a minute the water comes down a wooden channel from the mill pond and fills the buckets at the top of the"
    " wheel please put your hand on the wall to your left you can feel the gears turning on the other side mind your"
    " head at the next door because it was built for people of the eighteenth century"
)
INTERVIEW = (
    "my grandfather was the last miller here when the mill closed he became a postman and walked eighteen miles every"
    " day he never ate bread from a shop in his life because he said that it tasted of paper"
)


def noise(seconds: float, level: int) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal(int(seconds * HERTZ))
    return (level * values).astype(np.int16)


def chord(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * HERTZ)) / HERTZ
    tones = sum(np.sin(2 * np.pi * hertz * times) for hertz in (220, 277, 330))
    return (3000 * tones * (1 + np.sin(4 * np.pi * times)) / 2).astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * HERTZ), np.int16)


@cache
def sample(name: str) -> np.ndarray:
    media_type = {".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".wav": "audio/wav"}
    path = _SOUNDS / name
    _, (samples,) = decode_audio(path, media_type[path.suffix], DecodeOptions())
    samples.flags.writeable = False
    return samples


def tour() -> np.ndarray:
    """23 s of a man's voice, two paragraphs with a pause of 0.8 s between them."""
    return sample("guided_tour.ogg")


def interview() -> np.ndarray:
    """13 s of another voice."""
    return sample("interview_pell.mp3")
