"""Things to put on the pages of a PDF, for tests."""

from __future__ import annotations

import io

import numpy as np
import pymupdf
from PIL import Image

from tests.unit.stages.decode.pdfs import LOREM

ROWS = [
    ["Mill", "Built", "Stones", "Sacks a day"],
    ["North", "1701", "4", "120"],
    ["South", "1755", "2", "60"],
    ["West", "1810", "6", "210"],
    ["East", "1822", "3", "95"],
]


def prose(page, box, text=LOREM, **style):
    """Running text; it must fit."""
    assert page.insert_textbox(pymupdf.Rect(box), text, **{"fontsize": 10, **style}) >= 0


def ruled(page, x0, y0, widths, height, rows):
    """A table with ruling lines. A cell is a text, (text, columns, rows) if it spans some, None if it is spanned."""
    xs = [x0, *(float(x) for x in np.cumsum(widths) + x0)]
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell is None:
                continue
            text, across, down = cell if isinstance(cell, tuple) else (cell, 1, 1)
            box = pymupdf.Rect(xs[c], y0 + r * height, xs[c + across], y0 + (r + down) * height)
            page.draw_rect(box, color=(0, 0, 0), width=0.7)
            page.insert_text((box.x0 + 4, (box.y0 + box.y1) / 2 + 3.5), text, fontsize=10)


def aligned(page, x0, y0, widths, height, rows):
    """A table without rules."""
    xs = [x0, *(float(x) for x in np.cumsum(widths) + x0)]
    for r, row in enumerate(rows):
        for x, cell in zip(xs, row, strict=False):
            page.insert_text((x, y0 + r * height), cell, fontsize=10)


def chart(page, box):
    """A bar chart with an axis on each side, numbers at one and names at the other."""
    x0, y0, x1, y1 = box
    page.draw_line((x0, y0), (x0, y1))
    page.draw_line((x0, y1), (x1, y1))
    step = (x1 - x0) / 5
    for i, name in enumerate(("rye", "oats", "spelt", "wheat", "millet")):
        left = x0 + i * step + 0.2 * step
        top = y1 - (0.2 + 0.15 * i) * (y1 - y0)
        page.draw_rect(pymupdf.Rect(left, top, left + 0.6 * step, y1), fill=(0.2, 0.3, 0.7))
        page.insert_text((left, y1 + 10), name, fontsize=8)
    for i in range(5):
        page.insert_text((x0 - 16, y1 - i * (y1 - y0) / 5), str(10 * i), fontsize=8)


def photo(seed=0, width=160, height=120):
    """A picture of coloured squares, as PNG."""
    squares = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(squares).resize((width, height), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
