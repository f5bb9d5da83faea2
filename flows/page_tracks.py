"""Sound and video on a line of time: waveforms with the borders of segments, clips with their frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from schemas.partition import AUDIO_SEGMENT, VIDEO_CLIP, VIDEO_VIDEO
from schemas.unit import Locator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from flows.inspect import Inspected
    from schemas.content import Content, SoundContent, SpokenWords
    from schemas.partition import Partition
    from schemas.unit import Unit

_ROW_S: Final = 90.0
_ROWS: Final = 60
_LEAST_S: Final = 0.01  # what rounding leaves is no row
_ROW_PX: Final = 1000
_FRAME_PX: Final = 168


class Drawer(Protocol):
    """Draws previews and pixels; see :class:`flows.inspect_page.Pictures`."""

    def preview(self, partition: Partition, locator: Locator, side_px: int) -> str:
        """As a data URI."""

    def array(self, pixels: np.ndarray, side_px: int) -> str:
        """As a data URI."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of a row, in shares of its width: a segment, a pause."""

    kind: str
    label: str
    left: float
    width: float


@dataclass(slots=True)
class Row:
    """A stretch of the recording."""

    start_s: float
    end_s: float
    picture: str
    bands: list[Band] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heard:
    """A segment and what was said in it."""

    name: str
    unit: Unit
    words: Sequence[SpokenWords]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip or the whole video: its frames as data URIs, with their times."""

    name: str
    unit: Unit
    frames: list[tuple[float, str]]


def sound_of(
    found: Inspected, pictures: Drawer, watch: Callable[[str], None]
) -> tuple[list[Row], list[Heard]] | None:
    """Rows of at least 90 s, at most 60 of them; and the segments. None without sound."""
    content = found.content
    sound = content.sound if content else None
    if sound is None:
        return None
    units = [unit for unit in found.units if unit.partition == AUDIO_SEGMENT]
    segments = [(f"S{i}", unit) for i, unit in enumerate(units, 1)]
    row_s = max(_ROW_S, sound.duration_s / _ROWS)
    rows = []
    start_s = 0.0
    while sound.duration_s - start_s > _LEAST_S:
        end_s = min(start_s + row_s, sound.duration_s)
        watch(f"draw sound at {start_s:.0f} s of {sound.duration_s:.0f} s")
        place = Locator(start_s=start_s, end_s=end_s)
        row = Row(start_s, end_s, pictures.preview(AUDIO_SEGMENT, place, _ROW_PX))
        row.bands = _bands(row, sound, segments)
        rows.append(row)
        start_s = end_s
    return rows, [Heard(name, unit, _said(sound, unit)) for name, unit in segments]


def _bands(row: Row, sound: SoundContent, segments: Sequence[tuple[str, Unit]]) -> list[Band]:
    bands = [_band(row, "pause", "", start_s, end_s) for start_s, end_s in sound.silences]
    for number, (name, unit) in enumerate(segments):
        kind = "segment even" if number % 2 else "segment"
        bands.append(_band(row, kind, name, *_span(unit)))
    return [band for band in bands if band.width > 0]


def _band(row: Row, kind: str, label: str, start_s: float, end_s: float) -> Band:
    length_s = row.end_s - row.start_s
    left = max(0.0, (start_s - row.start_s) / length_s)
    right = min(1.0, (end_s - row.start_s) / length_s)
    goes_on = label and start_s < row.start_s - _LEAST_S
    return Band(kind, f"{label} ..." if goes_on else label, left, max(0.0, right - left))


def _span(unit: Unit) -> tuple[float, float]:
    return unit.locator.start_s or 0.0, unit.locator.end_s or 0.0


def _said(sound: SoundContent, unit: Unit) -> list[SpokenWords]:
    """Passages whose middle is in a segment; the last one may be said to end after the recording does."""
    start_s, end_s = _span(unit)
    last_s = sound.duration_s - 0.001
    return [w for w in sound.words if start_s <= min((w.start_s + w.end_s) / 2, last_s) < end_s]


def clips_of(found: Inspected, pictures: Drawer) -> list[Clip]:
    """The clips in order, then the whole."""
    clips = [unit for unit in found.units if unit.partition == VIDEO_CLIP]
    wholes = [unit for unit in found.units if unit.partition == VIDEO_VIDEO]
    named = [(f"Clip {i}", unit) for i, unit in enumerate(clips, 1)]
    named += [("The whole", unit) for unit in wholes]
    return [Clip(name, unit, _frames(unit, found, pictures)) for name, unit in named]


def _frames(unit: Unit, found: Inspected, pictures: Drawer) -> list[tuple[float, str]]:
    if unit.pixels_array is None:
        return []
    times_s = map(float, unit.attributes.get("frames_s", "").split())
    frames = found.arrays[unit.pixels_array]
    return [
        (time_s, pictures.array(frame, _FRAME_PX))
        for time_s, frame in zip(times_s, frames, strict=False)
    ]


def timeline_of(content: Content) -> dict[str, list[float]] | None:
    """Borders of clips and changes of scene in shares of the video; None without one."""
    video = content.video
    if video is None or video.duration_s <= 0:
        return None
    return {
        "clips": [clip.start_s / video.duration_s for clip in video.clips],
        "cuts": [cut_s / video.duration_s for cut_s in video.scene_cuts_s],
    }
