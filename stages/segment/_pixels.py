"""What pixels look like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from stages.near import phash_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def hash_looks(array: NDArray[np.uint8], width: float, height: float) -> str:
    """Perceptual hash of a picture that stands whole on a white square (see stages/near.py); empty if it has none.

    Args:
        array: uint8 [1, S, S, 3].
        width: Of the picture, in any unit.
        height: In the same unit.
    """
    side = array.shape[1]
    scale = side / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - inner_width) // 2, (side - inner_height) // 2
    inner = array[0, top : top + inner_height, left : left + inner_width]
    return phash_of(Image.fromarray(inner))
