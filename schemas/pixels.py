"""Identity of pixels: the same for a decoder that makes them and a lake that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemas.ids import digest, digest_buffer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hash_pixels(array: NDArray[np.uint8]) -> str:
    """Digest of shape, dtype and values (32 hex characters), whatever the layout in memory."""
    values = digest_buffer(np.ascontiguousarray(array).data)
    return digest("pixels", "x".join(map(str, array.shape)), array.dtype.str, values)
