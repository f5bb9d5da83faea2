"""The yearly report of the sample corpus: a PDF with columns, tables, charts and a picture, and a scan."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pymupdf
from PIL import Image, ImageDraw
from report_text import ARTICLES, LETTER, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_A4_PT = (595, 842)
_LEFT, _RIGHT, _GUTTER = 56, 539, 20
_DATES = {"creationDate": "D:20250301090000Z", "modDate": "D:20250301090000Z"}
_CSS = (
    "* {font-family: serif} h1 {font-size: 22px} h2 {font-size: 14px; font-family: sans-serif}"
    " p {font-size: 10px; line-height: 1.25; text-align: justify}"
)
_VISITORS = {2018: 8120, 2019: 8930, 2020: 1240, 2021: 4710, 2022: 9050, 2023: 10380, 2024: 11960}
_WATER_CM = (152, 160, 158, 141, 120, 96, 71, 58, 66, 93, 127, 149)
_MONEY = (
    ("Item", "2023", "2024"),
    ("Tickets", "61 400", "72 850"),
    ("Flour and bread", "28 100", "33 600"),
    ("Donations", "9 300", "7 250"),
    ("Wages", "-41 000", "-46 500"),
    ("New axle", "", "-38 200"),
    ("Insurance and heating", "-12 700", "-13 900"),
    ("Balance", "45 100", "15 100"),
)
_FLOUR = (
    ("Kind", "Kilograms", "Price per kg", "Change"),
    ("Wholemeal wheat", "9 840", "2.40", "+12 %"),
    ("White wheat", "3 120", "3.10", "-4 %"),
    ("Rye", "2 260", "2.80", "+31 %"),
    ("Spelt", "1 405", "4.20", ""),
    ("Oat flakes", "870", "3.60", "+8 %"),
)


def write_report(path: Path) -> None:
    """Four pages: summary, visitors (chart, table), water (chart, table), the new axle (picture)."""
    document = pymupdf.open()
    first = _page(document)
    _flow(first, (_LEFT, 60, _RIGHT, 230), SUMMARY)
    _columns(first, 245, 780, ARTICLES["visitors"])
    second = _page(document)
    _flow(second, (_LEFT, 50, _RIGHT, 90), "<h2>2 Visitors and money in figures</h2>")
    _bars(second, pymupdf.Rect(_LEFT, 105, _RIGHT, 330))
    _caption(second, 362, "Figure 1. Visitors per year, 2018 to 2024. The museum was shut in 2020.")
    _caption(second, 400, "Table 1. Income and expenditure of the Trust in pounds.")
    _grid(second, (_LEFT, 412), (240, 120, 120), _MONEY)
    third = _page(document)
    _columns(third, 50, 330, ARTICLES["water"])
    _curve(third, pymupdf.Rect(_LEFT, 345, _RIGHT, 540))
    _caption(third, 572, "Figure 2. Water level of the mill pond by month in 2024, in centimetres.")
    _caption(third, 600, "Table 2. Flour sold in 2024 by kind of grain.")
    _grid(third, (_LEFT, 612), (180, 100, 100, 100), _FLOUR)
    fourth = _page(document)
    fourth.insert_image(pymupdf.Rect(130, 60, 465, 311), stream=_wheel_png())
    _caption(fourth, 330, "Figure 3. Section of the overshot wheel with the new oak axle.")
    _columns(fourth, 350, 700, ARTICLES["axle"])
    _save(document, path, "Gristmill Hollow: report for the year 2024")


def write_broken(source: Path, path: Path) -> None:
    """The first 300 bytes of a PDF: a download that broke off."""
    path.write_bytes(source.read_bytes()[:300])


def write_scan(path: Path) -> None:
    """Two typewritten pages as pictures: slightly turned, grey and noisy, without a text layer."""
    scan = pymupdf.open()
    for number, (text, degrees) in enumerate(zip(LETTER, (0.5, -0.7), strict=True)):
        typed = pymupdf.open()
        sheet = typed.new_page(width=_A4_PT[0], height=_A4_PT[1])
        sheet.insert_textbox((70, 80, 540, 780), text, fontname="cour", fontsize=11, lineheight=1.5)
        pixmap = sheet.get_pixmap(dpi=130, colorspace=pymupdf.csGRAY)
        paper = Image.frombytes("L", (pixmap.width, pixmap.height), pixmap.samples)
        turned = paper.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)
        noise = np.random.default_rng(1911 + number).normal(-18, 7, (paper.height, paper.width))
        grey = np.clip(np.asarray(turned, dtype=np.float64) + noise, 0, 255).astype(np.uint8)
        jpeg = io.BytesIO()
        Image.fromarray(grey).save(jpeg, "JPEG", quality=60)
        page = scan.new_page(width=_A4_PT[0], height=_A4_PT[1])
        page.insert_image(page.rect, stream=jpeg.getvalue())
    _save(scan, path, "")


def _page(document: pymupdf.Document) -> pymupdf.Page:
    page = document.new_page(width=_A4_PT[0], height=_A4_PT[1])
    footer = f"Hollow Mill Trust, report 2024, page {page.number + 1}"
    page.insert_text((_LEFT, 815), footer, fontname="helv", fontsize=8, color=(0.4, 0.4, 0.4))
    return page


def _flow(page: pymupdf.Page, box: tuple[float, ...], html: str) -> None:
    spare_pt, _scale = page.insert_htmlbox(pymupdf.Rect(box), html, css=_CSS, scale_low=1)
    if spare_pt < 0:
        raise ValueError(f"the text does not fit on page {page.number + 1}: make it shorter")


def _columns(page: pymupdf.Page, top: float, bottom: float, halves: tuple[str, str]) -> None:
    width = (_RIGHT - _LEFT - _GUTTER) / 2
    for index, html in enumerate(halves):
        left = _LEFT + index * (width + _GUTTER)
        _flow(page, (left, top, left + width, bottom), html)


def _caption(page: pymupdf.Page, baseline: float, text: str) -> None:
    page.insert_text((_LEFT, baseline), text, fontname="tiit", fontsize=10)


def _grid(
    page: pymupdf.Page,
    corner: tuple[float, float],
    widths: Sequence[float],
    rows: Sequence[Sequence[str]],
) -> None:
    height, (left, top) = 19, corner
    for r, row in enumerate(rows):
        x = left
        for width, cell in zip(widths, row, strict=True):
            box = pymupdf.Rect(x, top + r * height, x + width, top + (r + 1) * height)
            page.draw_rect(box, color=(0, 0, 0), width=0.6)
            font = "hebo" if r == 0 else "helv"
            page.insert_text((x + 5, box.y1 - 6), cell, fontname=font, fontsize=9)
            x += width


def _bars(page: pymupdf.Page, box: pymupdf.Rect) -> None:
    _axes(page, box)
    step = box.width / len(_VISITORS)
    for i, (year, count) in enumerate(_VISITORS.items()):
        left = box.x0 + i * step + 12
        top = box.y1 - box.height * count / 13_000
        bar = pymupdf.Rect(left, top, left + step - 24, box.y1)
        page.draw_rect(bar, color=None, fill=(0.27, 0.45, 0.6))
        page.insert_text((left + 4, top - 4), str(count), fontname="helv", fontsize=8)
        page.insert_text((left + 8, box.y1 + 11), str(year), fontname="helv", fontsize=8)


def _curve(page: pymupdf.Page, box: pymupdf.Rect) -> None:
    _axes(page, box)
    step = box.width / len(_WATER_CM)
    points = [
        pymupdf.Point(box.x0 + (i + 0.5) * step, box.y1 - box.height * level / 180)
        for i, level in enumerate(_WATER_CM)
    ]
    page.draw_polyline(points, color=(0.1, 0.35, 0.7), width=2)
    for point, name in zip(points, "JFMAMJJASOND", strict=True):
        page.draw_circle(point, 2.5, color=None, fill=(0.1, 0.35, 0.7))
        page.insert_text((point.x - 3, box.y1 + 11), name, fontname="helv", fontsize=8)


def _axes(page: pymupdf.Page, box: pymupdf.Rect) -> None:
    page.draw_line(box.top_left, box.bottom_left, width=1)
    page.draw_line(box.bottom_left, box.bottom_right, width=1)


def _wheel_png() -> bytes:
    picture = Image.new("RGB", (800, 600), (226, 236, 243))
    draw_wheel(picture, centre=(430, 340), radius=210, turn=0.0)
    png = io.BytesIO()
    picture.save(png, "PNG", optimize=True)
    return png.getvalue()


def draw_wheel(picture: Image.Image, centre: tuple[int, int], radius: int, turn: float) -> None:
    """Draw a water wheel with 16 spokes and its channel, turned by `turn` radians."""
    draw = ImageDraw.Draw(picture)
    x, y = centre
    ring = max(4, radius // 14)
    brown, dark, water = (133, 94, 58), (84, 58, 36), (64, 132, 186)
    draw.rectangle((0, y - radius - 3 * ring, x, y - radius - 2 * ring), fill=water)
    draw.rectangle((0, y - radius - 2 * ring, x, y - radius - ring), fill=dark)
    for k in range(16):
        angle = turn + k * np.pi / 8
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        inner, outer = radius * 0.8, radius * 1.06
        draw.line((x, y, x + radius * cos, y + radius * sin), fill=brown, width=ring // 2 + 1)
        paddle = (x + inner * cos, y + inner * sin, x + outer * cos, y + outer * sin)
        draw.line(paddle, fill=dark, width=ring)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=brown, width=ring)
    hub = radius // 6
    draw.ellipse((x - hub, y - hub, x + hub, y + hub), fill=dark)


def _save(document: pymupdf.Document, path: Path, title: str) -> None:
    document.set_metadata({"title": title, **_DATES})
    document.subset_fonts()
    document.save(path, garbage=4, deflate=True, no_new_id=True)
