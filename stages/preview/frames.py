"""Frames of a clip in a grid, each at its time."""

from __future__ import annotations

import io
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, ImageDraw, ImageFont

from schemas.errors import LimitError
from schemas.unit import clock
from stages.decode import _ffmpeg
from stages.decode._damage import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemas.unit import Locator
    from stages.preview.options import PreviewOptions

_MOST_FRAMES: Final = 16
_COLUMNS: Final = 4
_MOST_HEIGHTS: Final = 3  # of a tile, in its widths: a film on its side, not a strip
_GAP_PX: Final = 4
_READ_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 64 << 20
# Times of frames are rounded to a millisecond; ffmpeg gives the first frame that does not begin before the time.
_EARLY_S: Final = 0.002
_GROUND, _LABEL = (24, 24, 24), (255, 255, 255)


def draw_frames(
    path: Path, media_type: str, locator: Locator, options: PreviewOptions
) -> Image.Image:
    """Up to 16 frames, whole ones and not the square that an encoder sees, each with its time.

    ffmpeg jumps to each, so the place in a long film does not matter. A frame that cannot be had is left dark.

    Raises:
        CorruptError: Not one frame could be decoded.
        LimitError: The frames are larger than allowed, or ffmpeg needs more memory than allowed.
        TimeoutExceededError: Past the deadline.
        UnsupportedError: Not a type for ffmpeg.
    """
    times_s = _times(locator, options.frames_s)
    columns = min(len(times_s), _COLUMNS)
    width = max(16, (options.side_px - _GAP_PX * (columns - 1)) // columns)
    until_s = time.monotonic() + options.timeout_s
    tiles = []
    for at_s in times_s:
        limits = options.limits_within(until_s - time.monotonic())
        sink = _BytesSink(path)
        graph = partial(_graph, path, media_type, at_s, width, limits.pixels)
        run = _ffmpeg.run(path, graph, [sink], limits)
        tiles.append(sink.picture())
    if not any(tiles):
        refuse(path, run, "frame")
    return _grid(times_s, tiles, columns, width)


def _times(locator: Locator, frames_s: Sequence[float]) -> list[float]:
    """The unit's own, or spread over its span; evenly thinned to 16."""
    times_s = list(frames_s)
    if not times_s:
        start_s = locator.start_s or 0.0
        part_s = ((locator.end_s or start_s) - start_s) / _MOST_FRAMES
        times_s = [start_s + (i + 0.5) * part_s for i in range(_MOST_FRAMES if part_s > 0 else 1)]
    count = min(len(times_s), _MOST_FRAMES)
    return [times_s[i * len(times_s) // count] for i in range(count)]


def _graph(
    path: Path, media_type: str, at_s: float, width: int, pixels: int, urls: Sequence[str]
) -> Any:
    seek: dict[str, Any] = {"ss": f"{at_s - _EARLY_S:.3f}"} if at_s > _EARLY_S else {}
    frame = _ffmpeg.source(path, media_type, max_pixels=pixels, **seek)["V:0"]
    height = f"clip(trunc(ow/dar),1,{_MOST_HEIGHTS * width})"
    return frame.filter("scale", width, height).output(
        urls[0], format="image2pipe", vcodec="ppm", vframes=1
    )


class _BytesSink:
    """One small picture as ffmpeg wrote it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = bytearray()

    def read(self, fd: int) -> bool:
        """Read once; False at the end."""
        data = os.read(fd, _READ_BYTES)
        self._data += data
        if len(self._data) > _MOST_BYTES:
            raise LimitError(f"{self._path}: a frame takes more than {_MOST_BYTES} bytes")
        return bool(data)

    def picture(self) -> Image.Image | None:
        """None where ffmpeg gave no frame, or half of one."""
        if not self._data:
            return None
        try:
            with Image.open(io.BytesIO(self._data), formats=("PPM",)) as image:
                return image.convert("RGB")
        except (OSError, ValueError):
            return None


def _grid(
    times_s: Sequence[float], tiles: Sequence[Image.Image | None], columns: int, width: int
) -> Image.Image:
    height = max(tile.height for tile in tiles if tile)
    rows = -(-len(tiles) // columns)
    size = (
        columns * (width + _GAP_PX) - _GAP_PX,
        rows * (height + _GAP_PX) - _GAP_PX,
    )
    canvas = Image.new("RGB", size, _LABEL)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(max(10, width // 18))
    for number, (at_s, tile) in enumerate(zip(times_s, tiles, strict=True)):
        row, column = divmod(number, columns)
        x, y = column * (width + _GAP_PX), row * (height + _GAP_PX)
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=_GROUND)
        if tile:
            canvas.paste(tile, (x, y))
        label = told(at_s)
        box = draw.textbbox((x + 4, y + 3), label, font=font)
        draw.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill=_GROUND)
        draw.text((x + 4, y + 3), label, fill=_LABEL, font=font)
    return canvas


def told(at_s: float) -> str:
    """``75.24`` as ``1:15.2``."""
    tenths = int(at_s * 10 + 1e-6)
    return f"{clock(tenths // 10)}.{tenths % 10}"
