"""Pictures that look the same: a perceptual hash of each, and groups of hashes that differ in a few bits.

The hash is pHash (Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions", chapter 3.2) of
64 bits, as the package imagehash makes it: the signs of the 8 x 8 lowest frequencies of the picture squashed to 32 x 32
grey levels, against their median. Copies that were scaled, recompressed or cropped a little differ in a few bits,
other pictures in about half of them.

Groups are found with multi-index hashing (Norouzi, Punjani and Fleet 2012, "Fast Search in Hamming Space with
Multi-Index Hashing") by faiss: two hashes within d bits have one of five blocks of 12 bits within d // 5 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

# Measured on photos and drawings (docs/quality.md, benchmarks/near.py): up to here no pair of unrelated pictures was
# taken for the same; at 10 the first were. Distances are even: half of the signs lie above the median.
NEAR_BITS: Final = 8
_HASH_BITS: Final = 64
_BLOCKS: Final = 5
_BLOCK_BITS: Final = (
    12  # blocks of 16 bits, with two bits to turn over, take eight times as many look-ups
)
_ASKED_AT_ONCE: Final = 32  # a ball may hold the whole lake: 12 bytes a hit
_MIN_SPREAD: Final = 4.0  # standard deviation in grey levels; below it the signs are those of noise
_GLANCE_PX: Final = 32


def phash_of(picture: Image.Image) -> str:
    """Perceptual hash of a whole picture.

    Args:
        picture: Mode RGB or L, upright.

    Returns:
        16 hex digits; empty for a picture that is all but of one colour, which looks like every other such.
    """
    import imagehash  # with scipy, and Pillow, which a search does without
    from PIL.Image import Resampling

    small = picture.convert("L").resize(
        (_GLANCE_PX, _GLANCE_PX), Resampling.LANCZOS, reducing_gap=3.0
    )
    if float(np.asarray(small, dtype=np.float32).std()) < _MIN_SPREAD:
        return ""
    return str(imagehash.phash(small))


def distance_bits(one: str, other: str) -> int:
    """Bits in which two hashes differ, 0 to 64.

    >>> distance_bits("00000000000000ff", "000000000000000f")
    4
    """
    return (int(one, 16) ^ int(other, 16)).bit_count()


def is_near(one: str, other: str) -> bool:
    """Whether two pictures with these hashes count as near-duplicates; those without a hash never do."""
    return bool(one and other) and distance_bits(one, other) <= NEAR_BITS


def lead_of(hashes: Sequence[str], bits: int = NEAR_BITS) -> NDArray[np.int64]:
    """Group hashes around leaders.

    In the given order each hash that nobody leads yet leads all of the later ones within `bits` that nobody leads. So
    every member is near its leader, and groups do not chain on and on through pairs that are near.

    Args:
        hashes: 16 hex digits each, the one to lead first.
        bits: Largest distance of a member from its leader, at most 63.

    Returns:
        int64 [n]: position of each hash's leader; its own where it leads.

    >>> lead_of(["00000000000000ff", "ffffffffffffffff", "000000000000000f"])
    array([0, 1, 0])
    """
    values = np.array([int(text, 16) for text in hashes], dtype=">u8")
    if not values.size:
        return np.zeros(0, dtype=np.int64)
    distinct, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)  # distinct hashes by first appearance
    codes = distinct[order].view(np.uint8).reshape(-1, _HASH_BITS // 8)
    led_by = _lead_distinct(codes, bits)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return np.asarray(first[order][led_by[place[inverse]]], dtype=np.int64)


def _lead_distinct(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """The same for codes uint8 [n, 8], all different."""
    import faiss

    index = faiss.IndexBinaryMultiHash(_HASH_BITS, _BLOCKS, _BLOCK_BITS)
    index.nflip = bits // _BLOCKS
    index.add(codes)
    leader = np.full(len(codes), -1, dtype=np.int64)
    for start in range(0, len(codes), _ASKED_AT_ONCE):
        free = start + np.flatnonzero(leader[start : start + _ASKED_AT_ONCE] < 0)
        if not len(free):
            continue
        # faiss gives what is nearer than the radius.
        limits, _, found = index.range_search(codes[free], bits + 1)
        for i, asking in enumerate(free.tolist()):
            if leader[asking] >= 0:
                continue  # led by one of this very batch
            near = found[limits[i] : limits[i + 1]]
            leader[near[leader[near] < 0]] = asking
    return leader
