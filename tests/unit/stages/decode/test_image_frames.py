"""Files of several pictures: animations, documents, layers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from schemas.config import Limits, Recognition
from schemas.errors import LimitError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode as decode_any
from tests.unit.stages.decode.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    at,
    decode,
    halves,
    middle,
    page_shown,
    save,
    shown,
)


def disc(colour, size=(300, 200)):
    image = Image.new("RGB", size, WHITE)
    ImageDraw.Draw(image).ellipse(
        (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4), fill=colour
    )
    return image


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_of_an_animation_the_first_frame_is_looked_at(suffix, tmp_path):
    frames = [disc(colour) for colour in (RED, GREEN, BLUE)]
    path = save(frames[0], tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    decoded = decode(path)
    assert decoded[0].notes == ("animated: first of 3 frames",)
    assert at(shown(decoded), 112, 112) == pytest.approx(RED, abs=6)
    assert decoded[0].pages == ()


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_frames_of_one_colour_are_passed_over(suffix, tmp_path):
    frames = [
        Image.new("RGB", (300, 200), "black"),
        Image.new("RGB", (300, 200), (9, 9, 9)),
        disc(RED),
    ]
    path = save(frames[0], tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    decoded = decode(path)
    assert decoded[0].notes == ("animated: frame 3 of 3, those before it are of one colour",)
    assert at(shown(decoded), 112, 112) == pytest.approx(RED, abs=6)


def test_an_animation_of_one_colour_each_shows_its_first(tmp_path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    decoded = decode(save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:]))
    assert decoded[0].notes == ("animated: first of 2 frames",)
    assert at(shown(decoded), 50, 50) == RED


def three_pages(path, **options):
    pages = [disc(colour, (400, 600)) for colour in (RED, GREEN, BLUE)]
    return save(pages[0], path, save_all=True, append_images=pages[1:], **options)


def test_a_tiff_of_three_pages_is_a_scanned_document(tmp_path):
    content, arrays = decoded = decode(three_pages(tmp_path / "a.tif", dpi=(200, 200)))
    assert content.image is None
    assert [page.number for page in content.pages] == [1, 2, 3]
    assert content.needs_recognition
    assert (content.notes, content.rejects) == ((), ())
    for page, colour in zip(content.pages, (RED, GREEN, BLUE), strict=True):
        assert (page.width_pt, page.height_pt) == (144, 216)
        assert arrays[page.ocr_array].shape == (600, 400, 1)
        picture = page_shown(decoded, page.number)
        assert picture.shape == (224, 224, 3)
        assert at(picture, 112, 112) == colour
        assert at(picture, 112, 30) == WHITE


def test_pages_without_ocr(tmp_path):
    options = DecodeOptions(recognition=Recognition(ocr=False))
    content, arrays = decode_any(three_pages(tmp_path / "a.tif"), "", options)
    assert [page.ocr_array for page in content.pages] == [None] * 3
    assert len(arrays) == 3
    assert content.pages[0].width_pt == 400  # without a resolution a pixel is a point


def test_a_blank_page_is_a_page_that_is_not_read(tmp_path):
    pages = [disc(RED), Image.new("RGB", (300, 200), "white")]
    path = save(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    content, _ = decode(path)
    assert [page.ocr_array is None for page in content.pages] == [False, True]


def test_a_fax_is_stretched_to_square_pixels(tmp_path):
    page = disc(RED, (800, 400)).convert("1")
    options = {
        "save_all": True,
        "append_images": [page],
        "dpi": (204, 102),
        "compression": "group4",
    }
    content, arrays = decode(save(page, tmp_path / "a.tif", **options))
    assert arrays[content.pages[0].ocr_array].shape == (800, 800, 1)
    assert content.pages[0].width_pt == pytest.approx(content.pages[0].height_pt, rel=0.01)


def test_smaller_copies_are_no_pages(tmp_path):
    whole, copy = disc(RED, (600, 400)), disc(BLUE, (60, 40))
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    path = save(whole, tmp_path / "a.tif", save_all=True, append_images=[copy])
    decoded = decode(path)
    assert decoded[0].notes == ("1 smaller copies or masks left out",)
    assert (decoded[0].image.width, decoded[0].image.height) == (600, 400)
    assert at(shown(decoded), 112, 112) == RED


def test_a_damaged_page_is_lost_alone(tmp_path):
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)) for _ in range(3)]
    path = save(
        pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw"
    )
    with Image.open(path) as image:
        image.seek(1)
        offset, length = image.tag_v2[273][0], image.tag_v2[279][0]
    data = bytearray(path.read_bytes())
    data[offset : offset + length] = b"\xff" * length
    path.write_bytes(bytes(data))
    content, _ = decode(path)
    assert [page.number for page in content.pages] == [1, 3]
    assert [(reject.page, reject.code) for reject in content.rejects] == [(2, "corrupt")]


def test_a_cut_document_keeps_its_first_pages(tmp_path):
    rng = np.random.default_rng(0)
    pages = [Image.fromarray(rng.integers(0, 256, (90, 90, 3), dtype=np.uint8)) for _ in range(4)]
    path = save(pages[0], tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 5 // 8])
    content, _ = decode(path)
    assert [page.number for page in content.pages][:2] == [1, 2]
    assert content.rejects
    assert {reject.code for reject in content.rejects} == {"corrupt"}


def test_limits_of_documents(tmp_path):
    path = three_pages(tmp_path / "a.tif")
    with pytest.raises(LimitError, match=r"a\.tif has more than limits.pages = 2"):
        decode(path, pages=2)
    content, _ = decode(path, pages=3, file_pixels=500_000)
    assert [page.number for page in content.pages] == [1, 2]
    assert [(reject.page, reject.code) for reject in content.rejects] == [(3, "limit")]
    with pytest.raises(LimitError, match="none of its pages"):
        decode(path, file_pixels=1000)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_orientation_of_a_tiff(orientation, compression, tmp_path):
    """Each stores the upright picture (left red, right blue) so that a viewer must turn it."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = halves(size=(400, 300)).transpose(undo[orientation])
    path = save(stored, tmp_path / "a.tif", tiffinfo={274: orientation}, compression=compression)
    decoded = decode(path)
    assert (decoded[0].image.width, decoded[0].image.height) == (400, 300)
    assert at(shown(decoded), 112, 10) == RED
    assert at(shown(decoded), 112, 213) == BLUE


@pytest.mark.parametrize("limits", [Limits(), Limits(pages=1)])
def test_one_page_is_a_picture(limits, tmp_path):
    path = save(disc(RED), tmp_path / "a.tif")
    content, _ = decode_any(path, "", DecodeOptions(limits=limits))
    assert content.image is not None
    assert content.pages == ()


def test_pages_that_lead_in_a_circle_end(tmp_path):
    path = three_pages(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    with Image.open(path) as image:
        image.seek(2)
        first = image._frame_pos[0]
        last = image._frame_pos[2]
        entries = int.from_bytes(data[last : last + 2], "little")
    at = last + 2 + 12 * entries
    data[at : at + 4] = first.to_bytes(4, "little")
    path.write_bytes(bytes(data))
    assert len(decode(path)[0].pages) == 3


def test_a_later_frame_that_claims_too_many_pixels_costs_itself_alone(tmp_path):
    path = save(halves(WHITE, WHITE), tmp_path / "a.gif", save_all=True, append_images=[halves()])
    data = path.read_bytes()
    at_second = data.rindex(b"\x2c\0\0\0\0")
    path.write_bytes(data[: at_second + 5] + b"\xff" * 4 + data[at_second + 9 :])
    decoded = decode(path)
    assert decoded[0].notes == ("animated: first of 2 frames",)
    assert middle(decoded) == WHITE
