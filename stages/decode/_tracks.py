"""Tracks beside the picture and the first sound: which are taken, and what is said of the others.

Which tracks there are is known when ffmpeg has read the header, and by then its outputs are fixed: one for a track
of pictures or of nothing would end the run. So a file that has subtitles as text, or marks another sound track than
the first as the one to play, is read by a second ffmpeg, which opens neither the picture nor any other track: what
was decoded once is not decoded again. Files without either never get there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import ffmpeg

from schemas.content import SAMPLE_RATE_HZ, PartialReject, SpokenWords, SubtitleTrack
from schemas.errors import GristmillError
from stages.decode import _ffmpeg
from stages.decode._sinks import SoundSink

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from stages.decode._fflog import MediaInfo, Track
    from stages.decode.options import DecodeOptions

# Keeps the samples at the clock of the video, whenever the track begins and where it has holes.
SOUND_FORMAT: Final = {
    "acodec": "pcm_s16le",
    "ac": 1,
    "ar": SAMPLE_RATE_HZ,
    "af": "aresample=async=1:first_pts=0",
}
_TEXT_CODECS: Final = frozenset(
    {"subrip", "srt", "text", "ass", "ssa", "webvtt", "mov_text", "microdvd", "subviewer"}
)
_MAX_SUBTITLES: Final = 8  # a disc has up to 32; each is a pipe
_TRACK_BYTES: Final = 4 << 20  # ten hours of talk
_READ_BYTES: Final = 1 << 16
_TIMES: Final = re.compile(
    r"(\d{1,4}):(\d\d):(\d\d)[,.](\d{3}) --> (\d{1,4}):(\d\d):(\d\d)[,.](\d{3})[^\n]*"
)
_STYLE: Final = re.compile(r"<[^<>]{1,200}>|\{\\[^{}]{1,200}\}")


@dataclass(frozen=True, slots=True)
class Tracks:
    """What the second run gave.

    Attributes:
        samples: Of the sound track to hear, int16 [n] at 16 kHz; None if that is the first one.
        subtitles: Those that are text and not empty, the one to show first.
        notes: Which tracks there are besides.
        rejects: That they could not be read.
    """

    samples: NDArray[np.int16] | None = None
    subtitles: tuple[SubtitleTrack, ...] = ()
    notes: tuple[str, ...] = ()
    rejects: tuple[PartialReject, ...] = field(default=())

    @property
    def last_s(self) -> float:
        """End of the last subtitle, 0 without any."""
        return max((line.end_s for track in self.subtitles for line in track.lines), default=0.0)


class TextSink:
    """Collects text up to a number of bytes; what is beyond is read and let go."""

    def __init__(self) -> None:
        self._data = bytearray()

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        self._data += data[: _TRACK_BYTES - len(self._data)]
        return bool(data)

    @property
    def text(self) -> str:
        """As UTF-8; what is none is replaced."""
        return self._data.decode("utf-8", "replace")


def read_tracks(path: Path, media_type: str, info: MediaInfo, options: DecodeOptions) -> Tracks:
    """Read subtitles, and the sound if not the first track is the one to hear.

    The sound track to hear is the first that is marked as default, else the first.

    Args:
        path: The file.
        media_type: What sniffing found.
        info: What the first run said of the tracks.
        options: Limits, and whether anything will listen.

    Returns:
        What is there. That this fails costs the subtitles and that sound track, nothing else.
    """
    heard = heard_track(info.of_kind("audio"))
    other = heard if heard is not None and heard.number and _listens(options) else None
    texts = _texts(info.of_kind("subtitle"))
    notes = _notes(info, heard, texts)
    if other is None and not texts:
        return Tracks(notes=notes)
    sound = SoundSink(path, options.limits.media_s)
    sinks = [TextSink() for _ in texts]

    def graph(urls: Sequence[str]) -> Any:
        media = _ffmpeg.source(path, media_type)
        outputs = [
            ffmpeg.output(media[f"s:{track.number}"], url, format="srt", **{"c:s": "text"})
            for track, url in zip(texts, urls, strict=False)
        ]
        if other is not None:
            track = media[f"a:{other.number}"]
            outputs.append(ffmpeg.output(track, urls[-1], format="s16le", **SOUND_FORMAT))
        return ffmpeg.merge_outputs(*outputs)

    try:
        _ffmpeg.run(path, graph, [*sinks, *([sound] if other else [])], options.limits)
    except GristmillError as error:
        reason = f"subtitles and further sound tracks: {error.message}"
        return Tracks(notes=notes, rejects=(PartialReject("decode", error.code, reason),))
    found = (
        SubtitleTrack(t.language, parse_srt(s.text)) for t, s in zip(texts, sinks, strict=True)
    )
    return Tracks(
        samples=sound.samples() if other is not None else None,
        subtitles=tuple(track for track in found if track.lines),
        notes=notes,
    )


def parse_srt(text: str) -> tuple[SpokenWords, ...]:
    r"""Subtitles in SubRip as ffmpeg writes it: times in seconds, lines joined, styles left out, by start.

    Example:
        >>> parse_srt("1\n00:00:01,000 --> 00:00:02,500\n<i>Good\nmorning</i>\n\n")
        (SpokenWords(start_s=1.0, end_s=2.5, text='Good morning'),)
    """
    found: dict[SpokenWords, None] = {}
    marks = list(_TIMES.finditer(text))
    for place, mark in enumerate(marks, start=1):
        end = marks[place].start() if place < len(marks) else len(text)
        said = text[mark.end() : end]
        if end < len(text):
            said = said.rstrip().rpartition("\n")[0]  # the number of the next one
        words = " ".join(_STYLE.sub(" ", said).split())
        start_s, end_s = _seconds(mark.groups()[:4]), _seconds(mark.groups()[4:])
        if end_s > start_s and any(letter.isalnum() for letter in words):
            found[SpokenWords(start_s, end_s, words)] = None
    return tuple(sorted(found, key=lambda line: (line.start_s, line.end_s, line.text)))


def _seconds(clock: Iterable[str]) -> float:
    hours, minutes, seconds, thousandths = map(int, clock)
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000


def _listens(options: DecodeOptions) -> bool:
    return options.recognition.speech or options.recognition.sound_tags


def heard_track(tracks: Sequence[Track]) -> Track | None:
    """The sound track to hear: the first that is marked as default, else the first."""
    return next((track for track in tracks if track.default), tracks[0] if tracks else None)


def _texts(tracks: Sequence[Track]) -> list[Track]:
    """Those that are text: not the forced ones first, as they have a few words only, then the default one."""
    texts = [track for track in tracks if track.codec in _TEXT_CODECS]
    texts.sort(key=lambda track: (track.forced, not track.default, track.number))
    return texts[:_MAX_SUBTITLES]


def _notes(info: MediaInfo, heard: Track | None, texts: Sequence[Track]) -> tuple[str, ...]:
    notes = []
    sounds, subtitles = info.of_kind("audio"), info.of_kind("subtitle")
    if heard is not None and len(sounds) > 1:
        others = _names(track for track in sounds if track is not heard)
        notes.append(f"of {len(sounds)} sound tracks {_name(heard)} is heard; not heard: {others}")
    pictures = [track for track in subtitles if track.codec not in _TEXT_CODECS]
    if pictures:
        kinds = ", ".join(sorted({track.codec for track in pictures}))
        notes.append(f"subtitles that are no text are not read: {_names(pictures)} ({kinds})")
    left = len(subtitles) - len(pictures) - len(texts)
    if left:
        notes.append(f"{left} more subtitle tracks are not read")
    return tuple(notes)


def _names(tracks: Iterable[Track]) -> str:
    return ", ".join(map(_name, tracks))


def _name(track: Track) -> str:
    """Counted from 1, with its language: ``2 (deu)``."""
    return f"{track.number + 1} ({track.language})" if track.language else f"{track.number + 1}"
