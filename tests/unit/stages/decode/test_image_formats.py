"""Formats: each that is read comes out as the same picture, and HEIF with what is peculiar to it."""

from __future__ import annotations

import io

import pillow_heif
import pytest
from PIL import Image

from schemas.config import Limits, Segmentation
from schemas.errors import LimitError, SourceError
from stages.decode._fence import fenced
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode as decode_any
from tests.unit.stages.decode.pictures import (
    BLUE,
    P3,
    RED,
    at,
    decode,
    halves,
    in_srgb,
    middle,
    psd,
    rgb_profile,
    save,
    shown,
)

WRITABLE = [
    "png", "jpg", "jp2", "gif", "bmp", "tif", "webp", "avif", "ico", "icns", "ppm", "pcx", "tga", "sgi",
    "qoi", "dds",
]  # fmt: skip


def heic(image, path, **options):
    pillow_heif.from_pillow(image).save(path, quality=-1, chroma=444, **options)
    return path


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_format_shows_the_same_picture(suffix, tmp_path):
    side = 256  # icons have no other sizes
    options = {"append_images": []} if suffix == "icns" else {}
    path = save(halves(size=(side, side)), tmp_path / f"a.{suffix}", **options)
    picture = shown(decode(path))
    assert at(picture, 112, 20) == pytest.approx(RED, abs=6)
    assert at(picture, 112, 200) == pytest.approx(BLUE, abs=6)


def test_heic(tmp_path):
    decoded = decode(heic(halves(), tmp_path / "a.heic"))
    content, arrays = decoded
    assert content.media_type == "image/heic"
    assert (content.image.width, content.image.height) == (400, 200)
    assert content.notes == ()
    assert at(shown(decoded), 112, 10) == pytest.approx(RED, abs=3)
    assert at(shown(decoded), 112, 213) == pytest.approx(BLUE, abs=3)
    assert arrays[content.image.ocr_array].shape == (200, 400, 3)


def test_heic_inside_the_fence(tmp_path):
    path = heic(halves(), tmp_path / "a.heic")
    decoded = fenced(path, lambda: decode(path))
    assert at(shown(decoded), 112, 10) == pytest.approx(RED, abs=3)


def test_heic_with_a_brand_that_avif_has_too(tmp_path):
    path = heic(halves(), tmp_path / "a.heic")
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"mif1" + data[12:])
    assert at(shown(decode(path)), 112, 10) == pytest.approx(RED, abs=3)


def test_a_turned_heic_is_turned_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = halves(size=(400, 300)).transpose(Image.Transpose.ROTATE_90)
    decoded = decode(heic(stored, tmp_path / "a.heic", exif=exif.tobytes()))
    assert (decoded[0].image.width, decoded[0].image.height) == (400, 300)
    assert at(shown(decoded), 112, 10) == pytest.approx(RED, abs=3)


def test_alpha_and_profile_of_a_heic(tmp_path):
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    image.paste((200, 100, 60, 255), (100, 100, 200, 200))
    image.info["icc_profile"] = rgb_profile()
    decoded = decode(heic(image, tmp_path / "a.heic"))
    assert at(shown(decoded), 0, 0) == (255, 255, 255)
    assert middle(decoded) == pytest.approx(tuple(in_srgb((200, 100, 60), P3)), abs=5)


def test_several_pictures_in_a_heic(tmp_path):
    file = pillow_heif.from_pillow(halves(RED, BLUE))
    file.add_from_pillow(halves(BLUE, RED))
    file.save(tmp_path / "a.heic", quality=-1, chroma=444, primary_index=1)
    decoded = decode(tmp_path / "a.heic")
    assert decoded[0].notes == ("several pictures: number 2 of 2",)
    assert at(shown(decoded), 112, 10) == pytest.approx(BLUE, abs=3)


def test_heic_has_the_limits_of_other_pictures(tmp_path):
    path = heic(halves(), tmp_path / "a.heic")
    with pytest.raises(LimitError, match="pixels = 1000"):
        decode(path, pixels=1000)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SourceError) as caught:
        decode(path)
    assert caught.value.code in ("corrupt", "unsupported")


def test_pillow_learns_to_read_heif_and_nothing_else(tmp_path):
    decode(heic(halves(), tmp_path / "a.heic"))
    assert "HEIF" in Image.OPEN
    assert "HEIF" not in Image.SAVE
    assert ".heic" not in Image.EXTENSION


def test_a_photo_of_two_views_shows_the_first(tmp_path):
    path = save(halves(), tmp_path / "a.mpo", save_all=True, append_images=[halves(BLUE, RED)])
    decoded = decode(path)
    assert decoded[0].notes == ("several pictures: first of 2",)
    assert at(shown(decoded), 112, 10) == pytest.approx(RED, abs=6)


def test_layers_are_shown_together(tmp_path):
    path = tmp_path / "a.psd"
    path.write_bytes(psd(halves()))
    decoded = decode(path)
    assert at(shown(decoded), 112, 10) == RED
    assert at(shown(decoded), 112, 213) == BLUE
    assert decoded[0].notes == ("2 layers, shown together",)


def test_a_picture_of_photoshop_without_layers(tmp_path):
    path = tmp_path / "a.psd"
    path.write_bytes(psd(halves(), layers=0))
    decoded = decode(path)
    assert at(shown(decoded), 112, 10) == RED
    assert decoded[0].notes == ()


def test_the_largest_icon_is_looked_at(tmp_path):
    path = save(halves(size=(256, 256)), tmp_path / "a.ico", sizes=[(16, 16), (256, 256)])
    assert decode(path)[0].image.width == 256


def crops_of(image, path, side=64):
    options = DecodeOptions(segmentation=Segmentation(image_regions=True), frame_size=side)
    content, arrays = decode_any(save(image, path), "", options)
    return content, [(crop.bbox, arrays[crop.pixels_array][0]) for crop in content.image.crops]


def test_crops_are_the_whole_the_centre_and_the_quarters(tmp_path):
    content, crops = crops_of(halves(size=(400, 200)), tmp_path / "a.png")
    assert [box for box, _ in crops] == [
        (0, 0, 400, 200), (100, 50, 300, 150), (0, 0, 200, 100), (200, 0, 400, 100), (0, 100, 200, 200),
        (200, 100, 400, 200),
    ]  # fmt: skip
    colours = [(at(p, 32, 4), at(p, 32, 60)) for _, p in crops]
    assert colours == [(RED, BLUE)] * 2 + [(RED, RED), (BLUE, BLUE)] * 2
    assert at(crops[0][1], 0, 0) == (255, 255, 255)  # whole, on white
    assert content.image.phash


def test_crops_are_in_pixels_of_the_picture_however_small_it_is_decoded(tmp_path):
    content, crops = crops_of(halves(size=(6400, 4800)), tmp_path / "a.jpg")
    assert crops[-1][0] == (3200, 2400, 6400, 4800)
    assert content.image.width == 6400


def test_no_crop_is_enlarged(tmp_path):
    assert crops_of(halves(size=(400, 127)), tmp_path / "a.png")[1] == []
    assert len(crops_of(halves(size=(400, 128)), tmp_path / "b.png")[1]) == 6


def test_no_crops_unless_asked_for(tmp_path):
    assert decode(save(halves(size=(800, 800)), tmp_path / "a.png"))[0].image.crops == ()


def test_a_hash_of_what_it_looks_like_is_that_of_the_upright_whole(tmp_path):
    # Left and right differ; only a copy that is turned as EXIF says looks the same.
    image = halves(size=(400, 300))
    plain = decode(save(image, tmp_path / "a.png"))[0].image.phash
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    assert len(plain) == 16
    assert decode(save(turned, tmp_path / "b.png", exif=exif))[0].image.phash == plain
    assert decode(save(turned, tmp_path / "c.png"))[0].image.phash != plain


def test_same_bytes_same_content(tmp_path):
    path = save(halves(), tmp_path / "a.avif")
    first, second = decode(path), decode(path)
    assert first[0] == second[0]
    assert all((a == b).all() for a, b in zip(first[1], second[1], strict=True))


def test_limits_of_the_whole_process_are_those_of_the_file(tmp_path):
    path = save(halves(), tmp_path / "a.png")
    decode(path)
    buffer = io.BytesIO(path.read_bytes())
    assert Image.open(buffer).size == (400, 200)
    assert Limits().pixels // 2 <= Image.MAX_IMAGE_PIXELS <= Limits().pixels
