"""Colours of pictures: profiles, inks, depths."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.unit.stages.decode.pictures import (
    P3,
    RED,
    WHITE,
    at,
    cmyk_profile,
    decode,
    grey_profile,
    halves,
    in_srgb,
    middle,
    rgb_profile,
    save,
    shown,
)

COLOUR = (200, 100, 60)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "avif"])
def test_a_wide_profile_is_turned_into_srgb(suffix, tmp_path):
    image = Image.new("RGB", (300, 300), COLOUR)
    options = {"icc_profile": rgb_profile(), "quality": 100}
    path = save(image, tmp_path / f"a.{suffix}", **options)
    assert np.abs(in_srgb(COLOUR, P3) - COLOUR).max() > 10  # or this would show nothing
    assert middle(decode(path)) == pytest.approx(tuple(in_srgb(COLOUR, P3)), abs=3)


def test_alpha_is_laid_on_white_before_the_profile(tmp_path):
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    image.paste((*COLOUR, 255), (100, 100, 200, 200))
    decoded = decode(save(image, tmp_path / "a.png", icc_profile=rgb_profile()))
    assert at(shown(decoded), 0, 0) == WHITE
    assert middle(decoded) == pytest.approx(tuple(in_srgb(COLOUR, P3)), abs=3)


def test_a_palette_has_the_profile_of_its_picture(tmp_path):
    image = Image.new("RGB", (300, 300), COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
    decoded = decode(save(image, tmp_path / "a.png", icc_profile=rgb_profile()))
    assert middle(decoded) == pytest.approx(tuple(in_srgb(COLOUR, P3)), abs=3)


def test_srgb_stays_what_it_is(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (300, 300), COLOUR)
    assert middle(decode(save(image, tmp_path / "a.png", icc_profile=profile))) == COLOUR


def test_a_grey_profile(tmp_path):
    path = save(Image.new("L", (300, 300), 128), tmp_path / "a.png", icc_profile=grey_profile(1.0))
    linear = 128 / 255
    expected = round(255 * (1.055 * linear ** (1 / 2.4) - 0.055))
    assert middle(decode(path)) == pytest.approx((expected,) * 3, abs=2)


def test_a_grey_picture_with_the_profile_of_a_screen(tmp_path):
    path = save(Image.new("L", (300, 300), 128), tmp_path / "a.png", icc_profile=rgb_profile())
    expected = in_srgb((128, 128, 128), P3)
    assert middle(decode(path)) == pytest.approx(tuple(expected), abs=2)


@pytest.mark.parametrize(
    ("profile", "said"), [(b"no profile", "damaged colour profile"), (cmyk_profile(), "CMYK")]
)
def test_a_profile_that_cannot_be_used_is_said_and_not_used(profile, said, tmp_path):
    path = save(Image.new("RGB", (300, 300), COLOUR), tmp_path / "a.png", icc_profile=profile)
    decoded = decode(path)
    assert middle(decoded) == COLOUR
    (note,) = decoded[0].notes
    assert said in note


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_inks(suffix, tmp_path):
    image = Image.new("CMYK", (300, 300), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (0, 0, 150, 300))
    options = {"quality": 100} if suffix == "jpg" else {}
    picture = shown(decode(save(image, tmp_path / f"a.{suffix}", **options)))
    assert at(picture, 112, 200) == pytest.approx(WHITE, abs=3)
    assert at(picture, 112, 20) == pytest.approx((0, 255, 255), abs=3)


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_inks_by_their_profile(suffix, tmp_path):
    image = Image.new("CMYK", (300, 300), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (0, 0, 150, 300))
    options = {"quality": 100} if suffix == "jpg" else {}
    path = save(image, tmp_path / f"a.{suffix}", icc_profile=cmyk_profile(), **options)
    picture = shown(decode(path))
    assert at(picture, 112, 200) == pytest.approx(WHITE, abs=3)
    assert at(picture, 112, 20) == pytest.approx((119, 119, 119), abs=4)  # L* 50 in sRGB


def test_lab_without_a_profile(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = Image.new("RGB", (300, 300), COLOUR)
    image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    image.info.pop("icc_profile", None)
    assert middle(decode(save(image, tmp_path / "a.tif"))) == pytest.approx(COLOUR, abs=3)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_samples_of_fewer_bits_than_they_are_stored_in(bits, tmp_path):
    top = (1 << bits) - 1
    ramp = np.tile(np.linspace(0, top, 400).astype(np.uint16), (400, 1))
    picture = shown(decode(save(Image.fromarray(ramp), tmp_path / "a.png")))
    assert picture[112, 112, 0] == pytest.approx(128, abs=2)
    assert picture[112, 223, 0] > 230


def test_sixteen_bits_that_count_from_white(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 400).astype(np.uint16), (400, 1))
    path = save(Image.fromarray(ramp), tmp_path / "a.tif", tiffinfo={262: 0})
    picture = shown(decode(path))
    assert picture[112, 0, 0] > 230
    assert picture[112, 223, 0] < 25


def test_transparency_of_a_grey_picture(tmp_path):
    image = Image.new("LA", (300, 300), (0, 0))
    image.paste((0, 255), (100, 100, 200, 200))
    picture = shown(decode(save(image, tmp_path / "a.png")))
    assert at(picture, 0, 0) == WHITE
    assert at(picture, 112, 112) == (0, 0, 0)


def test_a_translucent_pixel_is_mixed_with_white(tmp_path):
    path = save(Image.new("RGBA", (300, 300), (*RED, 128)), tmp_path / "a.png")
    assert middle(decode(path)) == pytest.approx((255, 127, 127), abs=1)


def test_colour_key_of_a_true_colour_picture(tmp_path):
    image = halves()
    picture = shown(decode(save(image, tmp_path / "a.png", transparency=RED)))
    assert at(picture, 112, 10) == WHITE
    assert at(picture, 112, 213) == (0, 0, 255)
