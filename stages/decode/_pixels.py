"""Pictures at model size, and the arrays that travel beside a `Content`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from schemas.errors import LimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# ImageNet evaluation looks at the central 87.5 % of a picture (256 -> 224): the crop of the AlexNet, VGG and
# EfficientNet evaluation code, and what the starter model was measured with.
_CROP_SHARE: Final = 0.875
_WHITE: Final = 255
OCR_SIDE_PX: Final = 1600  # more does not help the text detector, which scales to 1280
_MIN_OCR_SIDE_PX: Final = 16  # nothing legible is lower


@dataclass(slots=True)
class ArrayStore:
    """Collects the arrays of one file under a limit on their summed size.

    Attributes:
        limit_bytes: Most that all arrays together may take.
        arrays: In the order they were added.
    """

    limit_bytes: int
    arrays: list[np.ndarray] = field(default_factory=list)
    nbytes: int = 0

    def add(self, array: np.ndarray) -> int:
        """Keep an array and give its index.

        Raises:
            LimitError: The file would hold more than `limit_bytes`.
        """
        if self.nbytes + array.nbytes > self.limit_bytes:
            raise LimitError(
                f"its pictures take more than {self.limit_bytes} bytes (half of limits.decode_memory_bytes):"
                " raise it, or split the file"
            )
        self.nbytes += array.nbytes
        self.arrays.append(array)
        return len(self.arrays) - 1


def centre_crop(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """The centre of an RGB picture at model size.

    The short side is scaled to ``round(side / 0.875)`` and the centre is cut out (ImageNet evaluation).

    Returns:
        uint8 [1, side, side, 3].
    """
    short = round(side / _CROP_SHARE)
    # Only the square that will be seen is scaled, so a picture of 1 x 100,000 costs no more than its square.
    edge = min(picture.size) * side / short
    x, y = (picture.width - edge) / 2, (picture.height - edge) / 2
    crop = picture.resize(
        (side, side), Image.Resampling.BICUBIC, box=(x, y, x + edge, y + edge), reducing_gap=3.0
    )
    return np.asarray(crop, dtype=np.uint8)[np.newaxis]


def letterbox(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A whole picture on a white square.

    Pages and figures are letterboxed and not cropped or squashed: what they say reaches to their edges, a squashed
    chart looks like another chart, and white is what a page is made of.

    Args:
        picture: uint8 [h, w, 3] with h, w at most `side`; what is over is cut off.
        side: Side of the square in pixels.

    Returns:
        uint8 [1, side, side, 3].
    """
    inner = picture[:side, :side]
    height, width = inner.shape[:2]
    top, left = (side - height) // 2, (side - width) // 2
    square = np.full((1, side, side, 3), _WHITE, dtype=np.uint8)
    square[0, top : top + height, left : left + width] = inner
    return square


def could_hold_text(picture: Image.Image) -> bool:
    """Neither too small nor of one colour."""
    if min(picture.size) < _MIN_OCR_SIDE_PX:
        return False
    return picture.getcolors(maxcolors=1) is None


def for_ocr(picture: Image.Image) -> NDArray[np.uint8]:
    """A whole picture with its long side at most 1600, uint8 [H, W, 3] or, of a grey one, [H, W]."""
    scale = OCR_SIDE_PX / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return np.asarray(picture, dtype=np.uint8)
