"""Media with known content, made by ffmpeg for the tests of audio and video."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from stages.decode._ffmpeg import find_ffmpeg

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

# A picture whose brightness tells the time: luma 40 at 0 s, 20 more each second.
CLOCK = "nullsrc=s=96x64:r=25:d={s},format=yuv420p,geq=lum=40+20*T:cb=128:cr=128"
LUMA_A_S = 20.0


def make(path: Path, *arguments: str) -> Path:
    """Run ffmpeg with these arguments and the path to write."""
    command = [find_ffmpeg(), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    subprocess.run([*command, str(path)], check=True, timeout=60)
    return path


def lavfi(*graphs: str) -> list[str]:
    """Inputs made by filter graphs."""
    return [word for graph in graphs for word in ("-f", "lavfi", "-i", graph)]


def clock_video(path: Path, seconds: float, *more: str) -> Path:
    """A video without sound that shows the clock, without loss in Matroska."""
    codec = "ffv1" if path.suffix == ".mkv" else "mpeg4"
    return make(path, *lavfi(CLOCK.format(s=seconds)), "-c:v", codec, "-q:v", "1", *more)


def shown_s(frame: np.ndarray) -> float:
    """The time that a frame of the clock shows."""
    return (float(frame.mean()) * 219 / 255 + 16 - 40) / LUMA_A_S
