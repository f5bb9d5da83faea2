"""Picture decoding on files made here with Pillow."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from schemas.config import Limits, Recognition
from schemas.errors import CorruptError, LimitError, SourceError, UnsupportedError
from stages.decode.image import decode_image
from stages.decode.options import DecodeOptions
from tests.unit.stages.decode.pictures import BLUE, GREEN, RED, WHITE, halves, save, shown


def decode(path, **limits):
    return decode_image(path, "image/x", DecodeOptions(limits=Limits(**limits)))


def test_picture_at_model_size(tmp_path):
    content, arrays = decode(save(halves(), tmp_path / "a.png"))
    assert (content.image.width, content.image.height, content.image.text) == (400, 200, "")
    assert content.media_type == "image/x"
    assert content.notes == ()
    picture = arrays[content.image.pixels_array]
    assert picture.shape == (1, 224, 224, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[0, 100, 0]) == RED
    assert tuple(picture[0, 100, 223]) == BLUE


def test_model_picture_is_the_central_seven_eighths(tmp_path):
    image = Image.new("RGB", (256, 256), GREEN)
    image.paste(RED, (16, 16, 240, 240))  # exactly what the crop of 224 in 256 keeps
    picture = shown(decode(save(image, tmp_path / "a.png")))
    assert (picture == RED).all()


def test_ocr_picture_is_whole_and_at_most_1600_wide(tmp_path):
    content, arrays = decode(save(halves(size=(4000, 1000)), tmp_path / "a.png"))
    assert arrays[content.image.ocr_array].shape == (400, 1600, 3)
    assert (content.image.width, content.image.height) == (4000, 1000)
    assert content.needs_recognition


@pytest.mark.parametrize("image", [Image.new("RGB", (300, 300), RED), halves(size=(600, 8))])
def test_no_ocr_of_pictures_that_cannot_hold_text(image, tmp_path):
    content, arrays = decode(save(image, tmp_path / "a.png"))
    assert content.image.ocr_array is None
    assert len(arrays) == 1


def test_no_ocr_picture_when_ocr_is_off(tmp_path):
    path = save(halves(), tmp_path / "a.png")
    content, _ = decode_image(path, "image/png", DecodeOptions(recognition=Recognition(ocr=False)))
    assert content.image.ocr_array is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, tmp_path):
    """Each orientation stores the upright picture (left red, right blue) so that a viewer must turn it."""
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = halves(size=(400, 300))
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content, arrays = decode(save(stored, tmp_path / "a.png", exif=exif))
    assert (content.image.width, content.image.height) == (400, 300)
    picture = arrays[content.image.pixels_array][0]
    assert tuple(picture[112, 10]) == RED
    assert tuple(picture[112, 213]) == BLUE


def test_size_of_a_jpeg_that_is_decoded_small_is_its_own(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(halves(size=(4000, 3600)), tmp_path / "a.jpg", exif=exif, quality=30)
    content, arrays = decode(path)
    assert (content.image.width, content.image.height) == (3600, 4000)
    assert max(arrays[content.image.ocr_array].shape) == 1600


def test_alpha_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (100, 100, 200, 200))
    picture = shown(decode(save(image, tmp_path / "a.png")))
    assert tuple(picture[0, 0]) == WHITE
    assert tuple(picture[112, 112]) == RED


def test_transparent_palette_is_laid_on_white(tmp_path):
    image = Image.new("P", (300, 300), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (100, 100, 200, 200))
    picture = shown(decode(save(image, tmp_path / "a.gif", transparency=0)))
    assert tuple(picture[0, 0]) == WHITE
    assert tuple(picture[112, 112]) == RED


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("1", "png"), ("P", "png"), ("CMYK", "tif"), ("LA", "png"), ("YCbCr", "jpg")],
)
def test_modes_become_rgb(mode, suffix, tmp_path):
    image = halves((0, 0, 0), WHITE, mode=mode)
    picture = shown(decode(save(image, tmp_path / f"a.{suffix}")))
    assert picture.shape == (224, 224, 3)
    assert picture[:, :80].max() < 20
    assert picture[:, 144:].min() > 235


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 400, dtype=np.uint16), (400, 1))
    picture = shown(decode(save(Image.fromarray(ramp), tmp_path / "a.png")))
    assert picture[112, 112, 0] == pytest.approx(128, abs=2)
    assert picture[112, 0, 0] < 20


def test_floats_with_gaps_are_scaled(tmp_path):
    values = np.tile(np.linspace(-1, 1, 400, dtype=np.float32), (400, 1))
    values[0, :3] = [np.nan, np.inf, -np.inf]
    picture = shown(decode(save(Image.fromarray(values), tmp_path / "a.tif")))
    assert picture[112, 112, 0] == pytest.approx(128, abs=2)


def test_animation_gives_its_first_frame_and_a_note(tmp_path):
    frames = [Image.new("RGB", (64, 64), color) for color in (RED, GREEN, BLUE)]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    decoded = decode(path)
    assert decoded[0].notes == ("animated: first of 3 frames",)
    assert tuple(shown(decoded)[50, 50]) == RED


def png_header(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1000, 60_000])
def test_bombs_are_refused_before_they_are_decoded(side, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(side, side))
    with pytest.raises(LimitError, match="pixels = 500000"):
        decode(path, pixels=500_000)


def test_pixels_up_to_the_limit(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20), "red").save(path)
    assert decode(path, pixels=600)[0].image
    with pytest.raises(LimitError, match="pixels = 599"):
        decode(path, pixels=599)


@pytest.mark.parametrize("kind", ["text", "profile"])
def test_what_a_png_says_may_expand_up_to_the_limit(tmp_path, kind):
    path = tmp_path / "a.png"
    info = PngInfo()
    if kind == "text":
        info.add_text("about", "x" * 100_000, zip=True)
    profile = b"x" * 100_000 if kind == "profile" else None
    Image.new("RGB", (30, 20), "red").save(path, pnginfo=info, icc_profile=profile)
    assert decode(path, expanded_bytes=100_001)[0].image
    with pytest.raises(LimitError, match="expanded_bytes = 90000"):
        decode(path, expanded_bytes=90_000)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_truncated_is_corrupt(suffix, tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (120, 120, 3), dtype=np.uint8))
    path = save(noise, tmp_path / f"a.{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError) as caught:
        decode(path)
    assert caught.value.code in ("corrupt", "unsupported")
    assert str(path) in caught.value.message


def test_formats_that_call_other_programs_are_refused(tmp_path):
    path = save(halves(), tmp_path / "a.eps")
    with pytest.raises(UnsupportedError):
        decode(path)


def test_one_pixel_and_very_wide_pictures(tmp_path):
    assert (shown(decode(save(Image.new("RGB", (1, 1), RED), tmp_path / "a.png"))) == RED).all()
    assert shown(decode(save(halves(size=(20_000, 2)), tmp_path / "b.png"))).shape == (224, 224, 3)


def test_damaged_pixels_are_corrupt(tmp_path):
    path = save(halves(), tmp_path / "a.png")
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptError, match="damaged"):
        decode(path)
