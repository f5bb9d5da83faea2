"""What ffmpeg says on stderr: the description of its input, and what went wrong."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

_HEAD_BYTES: Final = 1 << 18
_TAIL_BYTES: Final = 1 << 14
_READ_BYTES: Final = 1 << 16
_TAGS: Final = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "genre", "date", "comment"}
    | {"description", "synopsis", "show", "track", "language"}
)
_EXPECTED: Final = ("Slave '", "Slave muxer", "No streams to mux")  # a video without a sound track
_TAG_CHARS: Final = 1000
_LEVEL: Final = re.compile(
    r"^((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)\[(info|warning|error|fatal|panic)\] "
)
_DURATION: Final = re.compile(r"^\s+Duration: (\d+):(\d\d):(\d\d\.\d+)")
_STREAM: Final = re.compile(
    r"^\s+Stream #0:\d+(?:\[[^\]]*\])?(?:\(([^)]*)\))?\S*: (Video|Audio|Subtitle): (.*)"
)
_UNKNOWN_LANGUAGE: Final = "und"
_CODEC: Final = re.compile(r"\w+")
_TAG: Final = re.compile(r"^\s+(\w[\w -]*?)\s*: (.*)")
_SIZE: Final = re.compile(r"[ ,](\d{1,6})x(\d{1,6})(?=[ ,]|$)")
_FPS: Final = re.compile(r"([\d.]+)(k?) fps")
_CHAPTER: Final = re.compile(r"^\s+(Chapter|Program) ")
_COVER: Final = "(attached pic)"
_ROTATION: Final = re.compile(r"rotation of (-?[\d.]+) degrees")


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of a container.

    Attributes:
        kind: ``video``, ``audio`` or ``subtitle``.
        number: 0-based among those of its kind, as in ffmpeg's ``s:0``.
        codec: ffmpeg's name of it.
        language: As the container has it (ISO 639-2 mostly), empty if unknown.
        default: Marked as the one to play.
        forced: Marked as to be shown in any case: translates only what is foreign.
    """

    kind: str
    number: int
    codec: str
    language: str = ""
    default: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What the container says of itself; any of it may be a lie.

    Attributes:
        duration_s: Announced length, None where none is; see `estimated`.
        estimated: The length was guessed from the bit rate.
        width: Of the picture as shown (rotation applied), 0 without one.
        height: The same.
        fps: Average frames per second, 0 if unknown.
        has_video: There is a moving picture (a cover is none).
        tracks: All streams of picture, sound and subtitles, covers too.
        tags: Known tags in lower case, sorted; the file's before its streams', not those of chapters and covers.
    """

    duration_s: float | None = None
    estimated: bool = False
    width: int = 0
    height: int = 0
    fps: float = 0.0
    has_video: bool = False
    tracks: tuple[Track, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return bool(self.of_kind("audio"))

    def of_kind(self, kind: str) -> tuple[Track, ...]:
        """The tracks of one kind, in order."""
        return tuple(track for track in self.tracks if track.kind == kind)


class LogSink:
    """Keeps the head and the tail of the log in bounded memory.

    Args:
        secret: Text to leave out of messages (the path), so that equal files give equal notes.
    """

    def __init__(self, secret: str = "") -> None:
        self._secret = secret
        self._head = bytearray()
        self._tail = bytearray()

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        room = _HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        del self._tail[:-_TAIL_BYTES]
        return bool(data)

    @property
    def lines(self) -> list[str]:
        """Lines of the head, then of the tail."""
        return (self._head + b"\n" + self._tail).decode("utf-8", "replace").splitlines()

    @property
    def errors(self) -> tuple[str, ...]:
        """Messages of level error and worse, each once, in order, without addresses and paths."""
        found: dict[str, None] = {}
        for line in self.lines:
            match = _LEVEL.match(line)
            if not match or match[2] in ("info", "warning"):
                continue
            message = self._clean(line[match.end() :])
            if not message.startswith(_EXPECTED):
                found[message] = None
        return tuple(found)

    @property
    def has_input(self) -> bool:
        """Whether the header could be read."""
        return any(_plain(line).startswith("Input #0") for line in self.lines)

    @property
    def out_of_memory(self) -> bool:
        """Whether an allocation failed."""
        return any("Cannot allocate memory" in error for error in self.errors)

    def _clean(self, message: str) -> str:
        text = message.replace(f"file:{self._secret}", "input").replace(self._secret, "input")
        return re.sub(r"0x[0-9a-f]{6,}", "0x?", text).strip()[:200]


def media_info(log: LogSink) -> MediaInfo:
    """Read the description of the input that ffmpeg prints before it starts."""
    lines = [_plain(line) for line in log.lines]
    begin = next((i for i, line in enumerate(lines) if line.startswith("Input #0")), len(lines))
    lines = lines[begin:]
    end = next((i for i, line in enumerate(lines) if not line.startswith(" ") and i), len(lines))
    estimated = any("Estimating duration from bitrate" in line for line in log.lines)
    return _describe(lines[1:end], estimated)


def _plain(line: str) -> str:
    return _LEVEL.sub("", line)


def _describe(lines: list[str], estimated: bool) -> MediaInfo:
    tags: dict[str, str] = {}
    duration_s: float | None = None
    tracks: list[Track] = []
    video, rotation, tags_count = "", 0.0, True
    for line in lines:
        if _CHAPTER.match(line):
            tags_count = False
        elif match := _DURATION.match(line):
            duration_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
        elif match := _STREAM.match(line):
            video = video or (match[3] if _is_film(match) else "")
            tags_count = _COVER not in match[3]
            tracks.append(_track(match, tracks))
        elif match := _ROTATION.search(line):
            rotation = rotation or float(match[1])
        elif tags_count and (match := _TAG.match(line)):
            _note_tag(tags, match[1], match[2])
    width, height = _size(video, rotation)
    return MediaInfo(
        duration_s=duration_s,
        estimated=estimated,
        width=width,
        height=height,
        fps=_fps(video),
        has_video=bool(video),
        tracks=tuple(tracks),
        tags=tuple(sorted(tags.items())),
    )


def _track(stream: re.Match[str], before: list[Track]) -> Track:
    language, kind, rest = stream[1] or "", stream[2].lower(), stream[3]
    codec = _CODEC.match(rest)
    return Track(
        kind=kind,
        number=sum(track.kind == kind for track in before),
        codec=codec[0] if codec else "",
        language="" if language == _UNKNOWN_LANGUAGE else language,
        default="(default)" in rest,
        forced="(forced)" in rest,
    )


def _is_film(stream: re.Match[str]) -> bool:
    return stream[2] == "Video" and _COVER not in stream[3]


def _note_tag(tags: dict[str, str], name: str, value: str) -> None:
    name, value = name.lower(), " ".join(value.split())[:_TAG_CHARS]
    if name in _TAGS and value:
        tags.setdefault(name, value)


def _size(video: str, rotation: float) -> tuple[int, int]:
    match = _SIZE.search(video)
    if not match:
        return 0, 0
    width, height = int(match[1]), int(match[2])
    upright = round(abs(rotation) / 90) % 2 == 0
    return (width, height) if upright else (height, width)


def _fps(video: str) -> float:
    match = _FPS.search(video)
    return float(match[1]) * (1000 if match[2] else 1) if match else 0.0
