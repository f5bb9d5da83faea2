"""Frames that are large enough to be read: a few, where the picture changed, in bounded memory."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.errors import CorruptError
from stages.decode._sinks import TimedFrames

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from schemas.config import Limits

SCREEN_PX: Final = 1280  # what the text detector looks at
SCREEN_STEP_S: Final = 2.0  # what is to be read stays at least as long
# A word of ten letters changes about a thousandth of 1280 x 720 pixels by more than this; noise of codecs does not.
_CHANGED_LEVELS: Final = 48
_CHANGED_SHARE: Final = 0.0005
_FLAT_LEVELS: Final = 16  # what differs by less in all of a frame is noise
_MARGIN_PX: Final = 8
_MARGIN_LEVEL: Final = 16  # nearly black
# https://wiki.multimedia.cx/index.php/YUV4MPEG2
_HEADER: Final = re.compile(rb"YUV4MPEG2 W(\d+) H(\d+) [^\n]*Cmono\b[^\n]*\n")
_LONGEST_HEADER: Final = 1000
_FRAME: Final = b"FRAME\n"


class ScreenSink(TimedFrames):
    """Keeps frames that differ from the one before, evenly thinned to a number of bytes.

    Frames come as YUV4MPEG2 (grey): a line that tells their size, then each after a line of its own. They are kept
    with a margin of 8 pixels at the right and at the bottom, and one of one colour is not kept. In a talk with slides
    each slide is kept once; where everything moves there is a frame every 2 s, and when they take more than
    `budget_bytes`, every 4 s, 8 s, ...

    Args:
        path: For messages.
        limits: A frame later than `media_s` raises LimitError.
        budget_bytes: What the kept frames may take.
    """

    def __init__(self, path: Path, limits: Limits, budget_bytes: int) -> None:
        super().__init__(path, limits)
        self._header = b""
        self._size = (0, 0)
        self._budget_bytes = budget_bytes
        self._step_s = SCREEN_STEP_S
        self._last: NDArray[np.uint8] | None = None
        self._changes_s: list[float] = []
        self._kept: list[tuple[float, NDArray[np.uint8]]] = []
        self._kept_bytes = 0

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        return super().read(fd) if self._header.endswith(b"\n") else self._read_header(fd)

    def _read_header(self, fd: int) -> bool:
        """Up to the end of the first line, byte by byte: what follows belongs to a frame."""
        try:
            while not self._header.endswith(b"\n") and len(self._header) <= _LONGEST_HEADER:
                byte = os.read(fd, 1)
                self._header += byte
                if not byte:
                    return False  # no frame came
        except BlockingIOError:
            return True
        told = _HEADER.match(self._header)
        if told is None:
            raise CorruptError(f"{self._path}: ffmpeg did not tell the size of its pictures")
        self._size = (int(told[2]), int(told[1]))
        self._begin((len(_FRAME) + math.prod(self._size),))
        return True

    def screens(self, end_s: float) -> list[tuple[float, float, NDArray[np.uint8]]]:
        """(start_s, end_s, grey picture, uint8 [H, W]) in order; given away once, at the end.

        A picture stands for the time until the next change, also where that one was let go for want of memory.
        """
        self._join()
        kept, self._kept = self._kept, []
        changes_s = np.array(self._changes_s)
        found = []
        for start_s, picture in kept:
            after = int(np.searchsorted(changes_s, start_s, side="right"))
            until_s = float(changes_s[after]) if after < len(changes_s) else end_s
            found.append((start_s, max(start_s, until_s), picture))
        return found

    def _keep(self, time_s: float, frame: NDArray[np.uint8]) -> None:
        picture = _margined(frame[len(_FRAME) :].reshape(self._size))
        if not _changed(self._last, picture):
            return
        self._last = picture
        self._changes_s.append(time_s)
        if not picture.size or (self._kept and self._step(time_s) == self._step(self._kept[-1][0])):
            return
        self._kept.append((time_s, picture))
        self._kept_bytes += picture.nbytes
        while len(self._kept) > 1 and self._kept_bytes > self._budget_bytes:
            self._thin()

    def _step(self, time_s: float) -> int:
        return int(time_s / self._step_s)

    def _thin(self) -> None:
        self._step_s *= 2
        firsts: dict[int, tuple[float, NDArray[np.uint8]]] = {}
        for time_s, picture in self._kept:
            firsts.setdefault(self._step(time_s), (time_s, picture))
        self._kept = list(firsts.values())
        self._kept_bytes = sum(picture.nbytes for _, picture in self._kept)


def _margined(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy with a margin at the right and at the bottom, no larger than what is looked at; empty if of one colour."""
    if np.ptp(frame) < _FLAT_LEVELS:
        return np.empty((0, 0), dtype=np.uint8)
    height, width = frame.shape
    sides = (min(height + _MARGIN_PX, SCREEN_PX), min(width + _MARGIN_PX, SCREEN_PX))
    picture = np.full(sides, _MARGIN_LEVEL, dtype=np.uint8)
    picture[:height, :width] = frame
    return picture


def _changed(before: NDArray[np.uint8] | None, now: NDArray[np.uint8]) -> bool:
    if before is None or before.shape != now.shape:
        return True
    if not now.size:
        return False
    # Every fourth pixel will do.
    levels = np.abs(before[::2, ::2].astype(np.int16) - now[::2, ::2])
    return float((levels > _CHANGED_LEVELS).mean()) > _CHANGED_SHARE
