"""Perceptual hashes and groups of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from stages.near import NEAR_BITS, distance_bits, is_near, lead_of, phash_of

HASHES = st.lists(
    st.one_of(
        st.integers(0, 2**64 - 1),
        # Near each other: a few bits of one hash turned over.
        st.sets(st.integers(0, 63), max_size=9).map(lambda bits: sum(1 << bit for bit in bits)),
    ).map(lambda value: f"{value:016x}"),
    max_size=60,
)


def scene(seed):
    """Shapes on a ground, different for each seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (640, 480), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, 640), rng.integers(0, 480)
        width, height = rng.integers(40, 300, 2)
        box = (int(x), int(y), int(x + width), int(y + height))
        draw.ellipse(box, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "changed",
    [
        lambda image: image.resize((200, 150)),
        lambda image: image.quantize(16).convert("RGB"),
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        lambda image: image.crop((6, 5, 634, 475)),
        lambda image: image.point(lambda v: min(255, v + 20)),
    ],
)
def test_copies_look_the_same(seed, changed):
    image = scene(seed)
    assert is_near(phash_of(image), phash_of(changed(image)))


def test_other_pictures_look_different():
    hashes = [phash_of(scene(seed)) for seed in range(40)]
    far = [distance_bits(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert sum(bits <= NEAR_BITS for bits in far) == 0
    assert 25 < np.mean(far) < 39


@pytest.mark.parametrize("picture", [Image.new("RGB", (300, 200), "red"), Image.new("L", (1, 1))])
def test_a_picture_of_one_colour_looks_like_nothing(picture):
    assert phash_of(picture) == ""
    assert not is_near("", "")
    assert not is_near("", "0" * 16)


def test_noise_on_a_flat_ground_is_no_picture():
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 3, (200, 200)).clip(0, 255).astype(np.uint8)
    assert phash_of(Image.fromarray(noise)) == ""


@settings(deadline=None, max_examples=60)
@given(hashes=HASHES, bits=st.integers(0, 20))
def test_groups_are_those_of_the_plain_rule(hashes, bits):
    expected = []
    for i, one in enumerate(hashes):
        near = (j for j in range(i) if expected[j] == j and distance_bits(one, hashes[j]) <= bits)
        expected.append(next(near, i))
    assert lead_of(hashes, bits).tolist() == expected


def test_many_copies_of_one_picture_cost_nothing():
    hashes = ["00ff00ff00ff00ff"] * 200_000 + ["ffffffff00000000"]
    leaders = lead_of(hashes)
    assert (leaders[:-1] == 0).all()
    assert leaders[-1] == 200_000


@pytest.mark.slow
def test_a_hundred_thousand_hashes():
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2**63, 100_000, dtype=np.uint64)
    copies = values[:1000] ^ np.uint64(0b10101)
    leaders = lead_of([f"{v:016x}" for v in np.concatenate([values, copies]).tolist()])
    assert (leaders[100_000:] == np.arange(1000)).mean() > 0.99
