"""Pictures as units."""

from __future__ import annotations

import numpy as np

from schemas.content import Content, ImageContent
from schemas.partition import IMAGE_IMAGE
from stages.segment._pixels import hash_pixels
from stages.segment.images import segment_images
from stages.segment.options import SegmentOptions

PICTURE = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)


def test_one_unit_with_pixels_text_and_size():
    content = Content("image/png", image=ImageContent(640, 480, 0, text="MILL ROAD"))
    (unit,) = segment_images("s" * 32, content, (PICTURE,), SegmentOptions())
    assert (unit.partition, unit.text, unit.pixels_array) == (IMAGE_IMAGE, "MILL ROAD", 0)
    assert unit.pixels_hash == hash_pixels(PICTURE)
    assert unit.attributes == {"width": "640", "height": "480"}
    assert unit.locator.as_dict() == {}


def test_no_image_no_unit():
    assert segment_images("s" * 32, Content("image/png"), (), SegmentOptions()) == []
