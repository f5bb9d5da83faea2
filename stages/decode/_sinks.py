"""Where ffmpeg's output goes: samples into one buffer, frames into a bounded, evenly thinned collection."""

from __future__ import annotations

import math
import mmap
import os
import re
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import LimitError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from schemas.config import Limits

_READ_BYTES: Final = 1 << 20
_PAGE_FLAGS: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)
_BYTES_A_SAMPLE: Final = 2
FRAMES_OVER: Final = ("frames", "over")  # key and value of the mark
_OVER_LINE: Final = "=".join(FRAMES_OVER).encode()
_PTS: Final = re.compile(rb"pts_time:(-?[\d.]+(?:e[+-]?\d+)?)")


class SoundSink:
    """Collects s16le samples at 16 kHz.

    Args:
        path: For messages.
        limit_s: More than this raises LimitError (115 MB are an hour).
    """

    def __init__(self, path: Path, limit_s: float) -> None:
        self._path = path
        self._limit_s = limit_s
        self._data = bytearray()  # grows by an eighth, in place where the system can

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        self._data += data
        check_length(
            self._path, len(self._data) / (_BYTES_A_SAMPLE * SAMPLE_RATE_HZ), self._limit_s
        )
        return bool(data)

    def samples(self) -> NDArray[np.int16]:
        """int16 [n], without a copy; call it once, at the end."""
        whole = len(self._data) // _BYTES_A_SAMPLE * _BYTES_A_SAMPLE
        return np.frombuffer(memoryview(self._data)[:whole], dtype="<i2")


class PrintedSink(ABC):
    """Reads what the filter ``metadata=print`` writes: a line with the time of each frame, and lines about it."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"frame:"):
                match = _PTS.search(line)
                self._frame(float(match[1]) if match else 0.0)
            else:
                self._mark(line)
        return bool(data)

    @abstractmethod
    def _frame(self, time_s: float) -> None:
        """A frame begins."""

    @abstractmethod
    def _mark(self, line: bytes) -> None:
        """``key=value`` of the last frame."""


class LineSink(PrintedSink):
    """Collects times, in seconds.

    Attributes:
        times_s: One for each frame.
        over: Whether a frame was marked with `FRAMES_OVER`: it is more than are allowed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.times_s: deque[float] = deque()
        self.over = False

    def _frame(self, time_s: float) -> None:
        self.times_s.append(time_s)

    def _mark(self, line: bytes) -> None:
        self.over |= line == _OVER_LINE


class TimedFrames(ABC):
    """Reads frames of one size from a pipe and joins them to the times that come through another.

    Args:
        path: For messages.
        limits: A frame later than `media_s`, or one marked as more than `frames`, raises LimitError.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.times = LineSink()
        self._path = path
        self._limits = limits
        self._waiting: deque[NDArray[np.uint8]] = deque()
        self._last_s = -1.0

    def _begin(self, shape: tuple[int, ...]) -> None:
        """Frames of this shape will come, uint8."""
        self._shape = shape
        self._frame = pages_of(shape)
        self._filled = 0

    def read(self, fd: int) -> bool:
        """Read once into the frame that is being filled; False at the end."""
        count = os.readv(fd, [self._frame.data.cast("B")[self._filled :]])
        self._filled += count
        if self._filled == self._frame.nbytes:
            self._waiting.append(self._frame)
            self._begin(self._shape)
        self._join()
        return bool(count)

    @property
    def last_s(self) -> float:
        """Time of the last frame seen, kept or not; -1 without any."""
        return self._last_s

    @abstractmethod
    def _keep(self, time_s: float, frame: NDArray[np.uint8]) -> None:
        """Take a frame that is later than all before; `last_s` is still that of the one before."""

    def _join(self) -> None:
        if self.times.over:
            raise LimitError(
                f"{self._path} has more frames than limits.frames = {self._limits.frames}"
            )
        while self._waiting and self.times.times_s:
            time_s = max(0.0, self.times.times_s.popleft())
            frame = self._waiting.popleft()
            check_length(self._path, time_s, self._limits.media_s)
            if time_s > self._last_s:  # else the clock of the stream jumped back
                self._keep(time_s, frame)
                self._last_s = time_s


class FrameSink(TimedFrames):
    """Keeps an even selection of frames in bounded memory.

    Time is divided into equal steps, and the first frame of each step is kept. When `capacity` is passed, the step
    doubles and the frames that are no longer first are let go; so the kept frames are always evenly spread, and
    which they are depends on the frames alone.

    Args:
        path: For messages.
        size: Side of the frames in pixels.
        step_s: Length of a step to begin with.
        capacity: Frames kept at most, at least 1.
        limits: As of :class:`TimedFrames`.
    """

    def __init__(
        self, path: Path, *, size: int, step_s: float, capacity: int, limits: Limits
    ) -> None:
        super().__init__(path, limits)
        self._begin((size, size, 3))
        self.step_s = step_s
        self._capacity = capacity
        self._kept: list[tuple[float, NDArray[np.uint8]]] = []
        self._longest_s = 0.0

    def frames(self) -> tuple[NDArray[np.float64], dict[int, NDArray[np.uint8]]]:
        """Times in seconds, ascending, and the frames, uint8 [S, S, 3], by index; given away once, at the end."""
        self._join()
        kept, self._kept = self._kept, []
        times = np.array([time for time, _ in kept])
        return times, {i: frame for i, (_, frame) in enumerate(kept)}

    @property
    def longest_s(self) -> float:
        """Longest time that a frame was shown until the next one."""
        return self._longest_s

    def _keep(self, time_s: float, frame: NDArray[np.uint8]) -> None:
        if self._last_s >= 0:
            self._longest_s = max(self._longest_s, time_s - self._last_s)
        if self._kept and self._step(time_s) == self._step(self._kept[-1][0]):
            return
        self._kept.append((time_s, frame))
        while len(self._kept) > self._capacity:
            self._thin()

    def _step(self, time_s: float) -> int:
        return int(time_s / self.step_s)

    def _thin(self) -> None:
        self.step_s *= 2
        kept: list[tuple[float, NDArray[np.uint8]]] = []
        for time_s, frame in self._kept:
            if not kept or self._step(time_s) != self._step(kept[-1][0]):
                kept.append((time_s, frame))
        self._kept = kept


def pages_of(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory that goes back to the system as soon as the frames in it are let go.

    That of malloc stays with the process, so that clips, which are copies, would come on top of all frames. All of it
    is going to be written: to be given it at once (Linux) takes half as long as a page at a time.
    """
    pages = mmap.mmap(-1, math.prod(shape), flags=_PAGE_FLAGS)
    return np.frombuffer(pages, dtype=np.uint8).reshape(shape)


def check_length(path: Path, seconds: float, limit_s: float) -> None:
    """Raise when a medium is longer than allowed.

    Raises:
        LimitError: Names the file and the limit.
    """
    if seconds > limit_s:
        raise LimitError(f"{path} is longer than limits.media_s = {limit_s:g}", second=limit_s)
