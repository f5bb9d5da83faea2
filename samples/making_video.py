"""The video of the sample corpus: four drawn scenes, each with its spoken sentences."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

import numpy as np
from making_report import draw_wheel
from making_sound import RATE_HZ, speak
from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SIZE: Final = (480, 270)
_FPS: Final = 12
_DOUGH: Final = (232, 206, 160)
_CRUST: Final = (150, 88, 40)
_SPOKEN: Final = (
    "This film shows how grain becomes flour. Water falls on the wheel, and the wheel begins to turn.",
    "Upstairs, two round stones lie on each other. Only the upper stone moves. The grain is crushed between them.",
    "The flour runs into a paper bag. The baker at the village collects it early on Monday morning.",
    "Four hours later the bread comes out of the oven. The crust is dark, and the whole street can smell it.",
)


def write_video(path: Path) -> None:
    """H.264 and AAC in MP4, 480x270, 12 frames a second; a scene lasts as long as its sentences."""
    speech = path.with_name("speech.wav")
    lengths_s = []
    for index, text in enumerate(_SPOKEN):
        part = path.with_name(f"speech{index}.wav")
        speak((text,), "slt", part)
        lengths_s.append(part.stat().st_size / 2 / RATE_HZ + 0.8)
        part.unlink()
    speak(_SPOKEN, "slt", speech)
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{_SIZE[0]}x{_SIZE[1]}", "-r", str(_FPS), "-i", "-", "-i", str(speech)]
    command += ["-c:v", "libx264", "-preset", "slow", "-crf", "28", "-pix_fmt", "yuv420p"]
    command += ["-threads", "1", "-c:a", "aac", "-b:a", "40k", "-fflags", "+bitexact"]
    command += ["-flags:v", "+bitexact", "-flags:a", "+bitexact", "-movflags", "+faststart"]
    command += ["-metadata", "title=From grain to bread", "-shortest", str(path)]
    frames = b"".join(
        scene(frame / _FPS).tobytes()
        for scene, length_s in zip(_SCENES, lengths_s, strict=True)
        for frame in range(round(length_s * _FPS))
    )
    subprocess.run(command, input=frames, check=True)
    speech.unlink()


def _wheel(time_s: float) -> Image.Image:
    picture = Image.new("RGB", _SIZE, (205, 226, 240))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 205, *_SIZE), fill=(86, 140, 84))
    draw.rectangle((330, 60, 480, 230), fill=(168, 160, 150))
    draw_wheel(picture, centre=(230, 145), radius=85, turn=0.9 * time_s)
    return picture


def _stones(time_s: float) -> Image.Image:
    picture = Image.new("RGB", _SIZE, (92, 70, 52))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((110, 20, 370, 250), fill=(176, 172, 164))
    for k in range(12):
        angle = 1.6 * time_s + k * np.pi / 6
        end = (240 + 125 * float(np.cos(angle)), 135 + 110 * float(np.sin(angle)))
        draw.line((240, 135, *end), fill=(110, 106, 100), width=4)
    draw.ellipse((220, 117, 260, 153), fill=(60, 44, 30))
    return picture


def _bag(time_s: float) -> Image.Image:
    picture = Image.new("RGB", _SIZE, (60, 78, 96))
    draw = ImageDraw.Draw(picture)
    draw.polygon(((150, 90), (330, 90), (350, 255), (130, 255)), fill=(204, 170, 120))
    fill_top = max(100.0, 240 - 18 * time_s)
    draw.polygon(((160, fill_top), (320, fill_top), (335, 245), (145, 245)), fill=(245, 240, 228))
    draw.rectangle((232, 0, 248, int(fill_top)), fill=(245, 240, 228))
    return picture


def _loaf(time_s: float) -> Image.Image:
    picture = Image.new("RGB", _SIZE, (36, 24, 20))
    draw = ImageDraw.Draw(picture)
    brown = min(1.0, time_s / 5)
    crust = tuple(round(a + (b - a) * brown) for a, b in zip(_DOUGH, _CRUST, strict=True))
    draw.rectangle((60, 215, 420, 240), fill=(110, 110, 112))
    draw.ellipse((120, 80, 360, 260), fill=crust)
    draw.rectangle((110, 216, 370, 262), fill=(110, 110, 112))
    for x in (175, 225, 275):
        draw.line((x, 150, x + 30, 105), fill=(240, 222, 186), width=7)
    return picture


_SCENES: Final[tuple[Callable[[float], Image.Image], ...]] = (_wheel, _stones, _bag, _loaf)
