"""A stretch of a sound track as a waveform."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from schemas.content import SAMPLE_RATE_HZ
from schemas.errors import UnsupportedError
from schemas.unit import clock
from stages.decode import _ffmpeg
from stages.decode._damage import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

_ASPECT: Final = 6  # width to height
_AXIS_PX: Final = 16
_READ_BYTES: Final = 1 << 20
_FULL: Final = 32768.0
# A voice at a distance has a hundredth of full scale: amplitudes are shown by this power, or it would be a line.
_POWER: Final = 0.6
_TICKS_S: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200)
_TICK_PX: Final = 90
_WAVE, _LINE, _INK, _PAPER = (45, 100, 145), (205, 212, 218), (110, 118, 126), (255, 255, 255)


def draw_waveform(
    path: Path, media_type: str, locator: Locator, options: PreviewOptions
) -> Image.Image:
    """Loudest and softest sample of each column, above a line of times. Memory does not grow with the length.

    Raises:
        UnsupportedError: The locator has no span of time, or ffmpeg does not read the type.
        CorruptError: Nothing of it could be decoded.
        LimitError: ffmpeg needs more memory than allowed.
        TimeoutExceededError: Past the deadline.
    """
    start_s, end_s = locator.start_s or 0.0, locator.end_s or 0.0
    if end_s <= start_s:
        raise UnsupportedError(f"{path}: the unit has no span of time to draw")
    span_s = min(end_s - start_s, options.limits.media_s)
    columns = options.side_px
    sink = PeakSink(columns, max(1, round(span_s * SAMPLE_RATE_HZ / columns)))
    run = _ffmpeg.run(
        path,
        lambda urls: _graph(path, media_type, (start_s, span_s), urls),
        [sink],
        options.limits_within(options.timeout_s),
    )
    peaks = sink.peaks()
    if not len(peaks):
        refuse(path, run, "sound")
    return _drawn(peaks, (start_s, span_s), columns)


def _graph(path: Path, media_type: str, span: tuple[float, float], urls: Sequence[str]) -> Any:
    start_s, span_s = span
    seek: dict[str, Any] = {"ss": f"{start_s:.3f}"} if start_s else {}
    sound = _ffmpeg.source(path, media_type, **seek, t=f"{span_s:.3f}")["a:0"]
    return sound.output(
        urls[0],
        f="s16le",
        ac=1,
        ar=SAMPLE_RATE_HZ,
        acodec="pcm_s16le",
        af="aresample=async=1:first_pts=0",  # as the sound of a video is decoded: on its clock
    )


class PeakSink:
    """Keeps the lowest and highest of every `step` samples, s16le.

    Args:
        columns: What comes after so many steps is let go.
        step: Samples in a column.
    """

    def __init__(self, columns: int, step: int) -> None:
        self._columns = columns
        self._step = step
        self._rest = bytearray()
        self._peaks: list[NDArray[np.int16]] = []
        self._count = 0

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        self._rest += data
        self._take(len(self._rest) // (2 * self._step))
        return bool(data)

    def peaks(self) -> NDArray[np.int16]:
        """int16 [n, 2], n at most `columns`; a column that is not full counts."""
        if len(self._rest) >= 2 and self._count < self._columns:
            even = len(self._rest) // 2 * 2
            last = np.frombuffer(bytes(self._rest[:even]), dtype="<i2")
            self._peaks.append(np.array([[last.min(), last.max()]], dtype=np.int16))
            self._rest.clear()
        return np.concatenate(self._peaks) if self._peaks else np.empty((0, 2), dtype=np.int16)

    def _take(self, count: int) -> None:
        if not count:
            return
        kept = min(count, self._columns - self._count)
        size = 2 * self._step
        if kept > 0:
            whole = np.frombuffer(bytes(self._rest[: kept * size]), dtype="<i2")
            rows = whole.reshape(kept, self._step)
            self._peaks.append(np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1))
            self._count += kept
        del self._rest[: count * size]


def _drawn(peaks: NDArray[np.int16], span: tuple[float, float], columns: int) -> Image.Image:
    height = max(48, columns // _ASPECT)
    share = peaks.astype(np.float32) / _FULL
    shown = np.sign(share) * np.abs(share) ** _POWER
    middle = (height - 1) / 2
    top = np.full(columns, np.inf)
    bottom = np.full(columns, -np.inf)
    top[: len(peaks)] = np.floor(middle - shown[:, 1] * middle)
    bottom[: len(peaks)] = np.ceil(middle - shown[:, 0] * middle)
    rows = np.arange(height)[:, np.newaxis]
    canvas = np.full((height + _AXIS_PX, columns, 3), _PAPER, dtype=np.uint8)
    canvas[round(middle)] = _LINE
    canvas[:height][(rows >= top) & (rows <= bottom)] = _WAVE
    picture = Image.fromarray(canvas)
    _axis(picture, height, span)
    return picture


def _axis(picture: Image.Image, y: int, span: tuple[float, float]) -> None:
    """Ticks at round times of the recording, with at least 90 pixels from one to the next."""
    start_s, span_s = span
    pixels_a_s = picture.width / span_s
    step_s = next((s for s in _TICKS_S if s * pixels_a_s >= _TICK_PX), _TICKS_S[-1])
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    draw.line((0, y, picture.width, y), fill=_LINE)
    number = int(np.ceil(start_s / step_s))
    while (at_s := number * step_s) < start_s + span_s:
        x = (at_s - start_s) * pixels_a_s
        draw.line((x, y, x, y + 4), fill=_INK)
        label = clock(round(at_s)) if step_s >= 1 else f"{at_s:.1f}"
        if x + 4 + draw.textlength(label, font=font) <= picture.width:
            draw.text((x + 3, y + 2), label, fill=_INK, font=font)
        number += 1
