"""What decoding a video costs beside one bare ffmpeg that decodes and scales it, and how often a frame is decoded.

Bare is ``ffmpeg -threads 1 -i FILE -map 0:V:0 -vf scale=224:224 -pix_fmt rgb24 -f null -``: every frame decoded and
scaled once, no sound, nothing written. "With sound" it also decodes the first sound track to mono 16 kHz, which is
part of our work in any case. `decode` scores every frame for scenes, scales those that it keeps and
those that are to be read, decodes the sound, and builds clips. Rounds alternate (bare, ours, bare, ours, ...) and
medians are compared; seconds of CPU (children included) are shown beside those of the clock, which other work on the
machine makes longer. The share is bare / ours: 1 is as fast as bare.

Amplification is the number of frames that all of our ffmpeg processes decoded, as a share of those that bare did.
The peak is resident memory of this process at its highest, and of the largest ffmpeg.

    python -m benchmarks.media_decode FILE_OR_FOLDER... [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from schemas.errors import ConfigError, GristmillError
from stages.decode import _ffmpeg
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SUFFIXES: Final = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".mpg", ".ts", ".ogv"})
_DECODED: Final = re.compile(r"\(video\): \d+ packets read \(\d+ bytes\); (\d+) frames decoded")
_LEVEL: Final = "level+verbose"  # at which ffmpeg counts frames


def bare(path: Path, *, sound: bool = False, level: str = "error") -> str:
    """Decode and scale every frame, and throw it away; gives what ffmpeg said."""
    size = DecodeOptions().frame_size
    command = [_ffmpeg.find_ffmpeg(), "-nostdin", "-hide_banner", "-nostats", "-loglevel", level]
    command += ["-threads", "1", "-i", f"file:{path}", "-map", "0:V:0"]
    command += ["-map", "0:a:0?", "-ac", "1", "-ar", "16000"] if sound else ["-an"]
    command += ["-vf", f"scale={size}:{size}", "-pix_fmt", "rgb24", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    return done.stderr


def ours(path: Path) -> None:
    """Decode as an ingest does, without the engine."""
    decode(path, path.suffix.lower().lstrip("."), DecodeOptions())


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Seconds, shares and amplification of one file."""
    frames, ours_frames = _frames([bare(path, level=_LEVEL)]), _frames(_logs(path))
    work: dict[str, Callable[[], Any]] = {
        "bare": lambda: bare(path),
        "bare_with_sound": lambda: bare(path, sound=True),
        "ours": lambda: ours(path),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            times[name].append(_timed(do))
    row: dict[str, Any] = {"file": path.name, "frames": frames}
    for name, pairs in times.items():
        row[f"{name}_s"] = round(statistics.median(wall_s for wall_s, _ in pairs), 3)
        row[f"{name}_cpu_s"] = round(statistics.median(cpu_s for _, cpu_s in pairs), 3)
    row["amplification"] = round(ours_frames / frames, 4) if frames else None
    return row | _shares(row)


def _shares(row: dict[str, Any]) -> dict[str, float]:
    return {
        f"share_of_{name}{unit}": round(row[f"{name}{unit}_s"] / row[f"ours{unit}_s"], 3)
        for name in ("bare", "bare_with_sound")
        for unit in ("", "_cpu")
    }


def together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over all files, and the peak of memory since this process began."""
    sums = {
        f"{name}{unit}_s": round(sum(row[f"{name}{unit}_s"] for row in rows), 3)
        for name in ("bare", "bare_with_sound", "ours")
        for unit in ("", "_cpu")
    }
    frames = sum(row["frames"] for row in rows)
    decoded = sum(row["amplification"] * row["frames"] for row in rows if row["frames"])
    return {
        "files": len(rows),
        "frames": frames,
        "amplification": round(decoded / frames, 4) if frames else None,
        "peak_mib": _peak_mib(resource.RUSAGE_SELF),
        "ffmpeg_peak_mib": _peak_mib(resource.RUSAGE_CHILDREN),
        **sums,
        **_shares(sums),
    }


def _logs(path: Path) -> list[str]:
    """What each ffmpeg of one decoding said, at the level at which it counts."""
    logs: list[str] = []
    run, quiet = _ffmpeg.run, _ffmpeg._QUIET  # nobody else wants to hear it

    def listening(*arguments: Any) -> _ffmpeg.Run:
        done = run(*arguments)
        logs.append("\n".join(done.log.lines))
        return done

    loud = patch.object(_ffmpeg, "_QUIET", (*quiet[:-1], _LEVEL))
    with loud, patch.object(_ffmpeg, "run", listening):
        ours(path)
    return logs


def _frames(logs: Sequence[str]) -> int:
    return sum(int(match[1]) for log in logs for match in _DECODED.finditer(log))


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock and of CPU."""
    before_s, before_cpu_s = time.perf_counter(), _cpu_s()
    work()
    return time.perf_counter() - before_s, _cpu_s() - before_cpu_s


def _cpu_s() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _peak_mib(who: int) -> float:
    return round(resource.getrusage(who).ru_maxrss / 1024, 1)


def _videos(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (path for path in found if path.suffix.lower() in _SUFFIXES)


def main() -> None:
    """Measure files and folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("places", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for path in _videos(options.places):
        try:
            rows.append(measure(path, options.rounds))
        except (GristmillError, subprocess.CalledProcessError) as error:
            print(f"left out {path.name}: {error}")
            continue
        if not options.json:
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if not rows:
        raise ConfigError("no video that can be decoded in the places named")
    total = together(rows)
    print(json.dumps({"files": rows, "together": total}) if options.json else total)


if __name__ == "__main__":
    main()
