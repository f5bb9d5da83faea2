"""Pictures as units."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from schemas.content import Content, CropContent, ImageContent
from schemas.partition import IMAGE_IMAGE, IMAGE_REGION
from schemas.pixels import hash_pixels
from stages.decode._pixels import letterbox
from stages.near import distance_bits, phash_of
from stages.segment._pixels import hash_looks
from stages.segment.images import segment_images
from stages.segment.options import SegmentOptions

PICTURE = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
CROP = PICTURE[:, ::-1].copy()


def test_one_unit_with_pixels_text_and_size():
    image = ImageContent(640, 480, 0, text="MILL ROAD", phash="00ff00ff00ff00ff")
    content = Content("image/png", image=image)
    (unit,) = segment_images("s" * 32, content, (PICTURE,), SegmentOptions())
    assert (unit.partition, unit.text, unit.pixels_array) == (IMAGE_IMAGE, "MILL ROAD", 0)
    assert unit.pixels_hash == hash_pixels(PICTURE)
    assert unit.attributes == {"width": "640", "height": "480", "phash": "00ff00ff00ff00ff"}
    assert unit.locator.as_dict() == {}


def test_a_picture_without_looks_has_no_hash():
    content = Content("image/png", image=ImageContent(640, 480, 0))
    (unit,) = segment_images("s" * 32, content, (PICTURE,), SegmentOptions())
    assert "phash" not in unit.attributes


def test_crops_are_units_of_their_picture():
    crops = (CropContent((0.0, 0.0, 320.0, 240.0), 1),)
    content = Content("image/png", title="mill", image=ImageContent(640, 480, 0, crops=crops))
    whole, crop = segment_images("s" * 32, content, (PICTURE, CROP), SegmentOptions())
    assert (crop.partition, crop.pixels_array) == (IMAGE_REGION, 1)
    assert crop.parent_id == whole.unit_id
    assert crop.locator.as_dict() == {"bbox": [0.0, 0.0, 320.0, 240.0]}
    assert crop.pixels_hash == hash_pixels(CROP)
    assert (crop.text, crop.context) == ("", "mill")


def test_no_image_no_unit():
    assert segment_images("s" * 32, Content("image/png"), (), SegmentOptions()) == []


def test_looks_of_a_letterboxed_picture_are_those_of_the_picture():
    image = Image.new("RGB", (640, 360), "navy")
    ImageDraw.Draw(image).polygon([(60, 300), (200, 30), (500, 340)], fill="orange")
    ImageDraw.Draw(image).ellipse((350, 40, 560, 200), fill="white")
    for size in (image.size, image.size[::-1]):
        turned = image.resize(size)
        scale = 224 / max(size)
        small = turned.resize((round(size[0] * scale), round(size[1] * scale)))
        found = hash_looks(letterbox(np.asarray(small), 224), *size)
        assert distance_bits(found, phash_of(turned)) <= 2
