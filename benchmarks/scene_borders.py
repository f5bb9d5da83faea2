"""How well cuts are found in videos that were composed of known scenes: precision, recall, and error in time.

The folder has a `manifest.jsonl`; its lines that name ``scenes`` are used: ``{"path": "a.mp4", "scenes": [{"t":
[start_s, end_s]}, ...]}``, paths from the folder. Every border between two scenes is a cut to find. A cut that was
found and one that is known belong together if they are at most half a second apart, each to one other at most.
Besides cuts, the borders of clips are looked at: one is right if it is on a known cut, or if it divides a scene that
is longer than a clip may be.

    python -m benchmarks.scene_borders FOLDER [--json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from schemas.config import Recognition
from schemas.errors import ConfigError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NEAR_S: Final = 0.5


@dataclass(slots=True)
class Tally:
    """Counts over all videos; errors in seconds, found minus known."""

    videos: int = 0
    known: int = 0
    found: int = 0
    borders: int = 0
    right_borders: int = 0
    errors_s: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """What is printed."""
        sizes_s = [abs(error) for error in self.errors_s]
        return {
            "videos": self.videos,
            "cuts": self.known,
            "found": self.found,
            "precision": _share(len(sizes_s), self.found),
            "recall": _share(len(sizes_s), self.known),
            "median_error_s": round(median(sizes_s), 3) if sizes_s else None,
            "largest_error_s": round(max(sizes_s), 3) if sizes_s else None,
            "clip_borders": self.borders,
            "right_clip_borders": _share(self.right_borders, self.borders),
            "missed": self.missed,
            "invented": self.invented,
        }


def measure(folder: Path) -> Tally:
    """Decode every composed video of a folder.

    Raises:
        ConfigError: There is none.
    """
    options = DecodeOptions(recognition=Recognition(ocr=False, speech=False, sound_tags=False))
    longest_s = options.segmentation.clip_s + options.segmentation.tail_s
    tally = Tally()
    for name, known_s in _composed(folder):
        path = folder / name
        video = decode(path, path.suffix.lower().lstrip("."), options)[0].video
        found_s = video.scene_cuts_s if video else ()
        pairs = matched(known_s, found_s)
        tally.videos += 1
        tally.known += len(known_s)
        tally.found += len(found_s)
        tally.errors_s += [found - known for known, found in pairs]
        tally.missed += [
            f"{name} {cut:.2f}" for cut in sorted(set(known_s) - {k for k, _ in pairs})
        ]
        tally.invented += [
            f"{name} {cut:.2f}" for cut in sorted(set(found_s) - {f for _, f in pairs})
        ]
        clips = video.clips if video else ()
        for border_s in (clip.start_s for clip in clips[1:]):
            tally.borders += 1
            tally.right_borders += _is_right(border_s, known_s, longest_s)
    if not tally.videos:
        raise ConfigError(f"{folder}/manifest.jsonl names no composed video")
    return tally


def matched(known_s: Sequence[float], found_s: Sequence[float]) -> list[tuple[float, float]]:
    """(known, found) pairs at most half a second apart, the nearest first, each time in one pair."""
    near = sorted((abs(f - k), k, f) for k in known_s for f in found_s if abs(f - k) <= _NEAR_S)
    pairs: dict[float, float] = {}
    for _, known, found in near:
        if known not in pairs and found not in pairs.values():
            pairs[known] = found
    return sorted(pairs.items())


def _is_right(border_s: float, known_s: Sequence[float], longest_s: float) -> bool:
    if any(abs(border_s - cut_s) <= _NEAR_S for cut_s in known_s):
        return True
    scenes = pairwise([0.0, *known_s, float("inf")])
    return any(start < border_s < end and end - start > longest_s for start, end in scenes)


def _composed(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """(path, times of its inner borders) of each composed video."""
    with (folder / "manifest.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if entry.get("scenes"):
                yield entry["path"], [float(scene["t"][0]) for scene in entry["scenes"][1:]]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def main() -> None:
    """Measure a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.folder).figures()
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:20} {', '.join(value) if isinstance(value, list) else value}")


if __name__ == "__main__":
    main()
