"""Drawings in SVG by resvg: nothing outside of the file is opened, nothing in it runs, its text is taken as text."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from functools import cache
from io import BytesIO
from math import sqrt
from typing import TYPE_CHECKING, Final

from lxml import etree
from PIL import Image, ImageFont

from schemas.errors import CorruptError, LimitError, UnsupportedError
from stages.decode._colour import shown_in_srgb
from stages.decode._frames import PILLOW_ERRORS
from stages.decode._pixels import OCR_SIDE_PX
from stages.decode._svg_cost import cost_of, local_name
from stages.decode.image import picture_content

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from schemas.config import Limits
    from schemas.content import Content
    from stages.decode.options import DecodeOptions

_MOST_BYTES: Final = 64 << 20  # its tree takes ten times that
_MOST_TAGS: Final = 2_000_000
_MOST_TITLE_CHARS: Final = 500
_LAYER_MEMORY_SHARE: Final = 2
_EMBEDDED_SHARE: Final = 4  # of limits.pixels: they are held unpacked, some of them twice
_TILE_SIDES: Final = (
    4.0  # of a drawing or shape; what is beyond is not seen, and a tile is held as a whole
)
_SIDES_PX: Final = (1.0, 100_000.0)  # of a drawing that says something sensible about its size
_ASPECT: Final = 1000.0
_DPI: Final = 96  # of CSS
_PX: Final = {
    "": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "em": 16.0, "ex": 8.0,
}  # fmt: skip
_LENGTH: Final = re.compile(r"\s*\+?(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([a-z]*)\s*$")
_EMBEDDED: Final = re.compile(r"\s*data:image/(?:png|jpe?g|gif|webp);base64,", re.I)
_EMBEDDED_FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")
_COMMENT: Final = re.compile(r"/\*.*?\*/", re.S)
_FILTERED: Final = re.compile(r"(?<![\w-])filter\s*:[^;}]*;?", re.I)
_UNSEEN: Final = ("defs", "symbol", "pattern", "mask", "clipPath", "marker", "metadata")
# The family for what names no font that is installed: resvg's own default is not on every system.
_FONTS: Final = (
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSans-Regular.ttf",
    "FreeSans.ttf",
    "arial.ttf",
)
_SVG: Final = "http://www.w3.org/2000/svg"


def decode_svg(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a drawing.

    It is drawn with its long side at 1600 pixels, or smaller where that costs too much (stages/decode/_svg_cost.py).
    Pictures that are not inside the file are left out, as are filters whose cost nothing bounds.

    Args:
        path: The file.
        media_type: ``image/svg+xml``.
        options: Limits and picture size S.

    Returns:
        Content as of any picture (see :func:`stages.decode.image.decode_image`), with the drawing's title. Its text is
        that of its text elements; only one without any is prepared for OCR.

    Raises:
        LimitError: It is too large, or its drawing costs too much.
        CorruptError: It is no well-formed XML, or cannot be drawn.
        UnsupportedError: Its root is no `svg`.
    """
    notes: list[str] = []
    root = _parsed(path)
    _make_harmless(root, options.limits, notes)
    title, text = _title(root), _text(root)
    try:
        most = min(OCR_SIDE_PX**2, options.limits.pixels)
        memory_bytes = options.limits.decode_memory_bytes // _LAYER_MEMORY_SHARE
        pixels = cost_of(root).canvas_pixels(most, memory_bytes)
    except LimitError as error:
        raise LimitError(f"{path}: {error.message}") from error
    size = _size(root)
    picture = _drawn(path, root, size, pixels, notes)
    shown = picture.size if size is None else (max(1, round(size[0])), max(1, round(size[1])))
    content, arrays = picture_content(picture, shown, media_type, options, notes, text)
    return replace(content, title=title), arrays


def _parsed(path: Path) -> etree._Element:
    data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    if not data or data.count(b"<") > _MOST_TAGS:
        raise LimitError(
            f"{path} is a drawing of more than {_MOST_BYTES} bytes or {_MOST_TAGS} tags"
        )
    # Entities stay unresolved in text; in attributes the parser replaces them, and stops at too many.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise CorruptError(f"{path} is no well-formed SVG: {error.msg}") from error
    if local_name(root) != "svg":
        raise UnsupportedError(f"{path}: the root of an SVG is svg, this one's is {root.tag}")
    return root


def _title(root: etree._Element) -> str:
    """What the drawing calls itself, or how it describes itself."""
    for wanted in ("title", "desc"):
        for child in root:
            if local_name(child) == wanted:
                words = " ".join("".join(child.itertext()).split())
                if words:
                    return words[:_MOST_TITLE_CHARS]
    return ""


def _text(root: etree._Element) -> str:
    """What is written on the drawing, one line for each text element."""
    lines = []
    stack = [root]
    while stack:
        element = stack.pop()
        name = local_name(element)
        hidden = element.get("display") == "none" if name else True
        if hidden or name in _UNSEEN:
            continue
        if name == "text":
            lines.append(" ".join(" ".join(element.itertext()).split()))
        else:
            stack += reversed(element)
    return "\n".join(line for line in lines if line)


def _make_harmless(root: etree._Element, limits: Limits, notes: list[str]) -> None:
    """Take out what opens files, and what costs without bound."""
    left_out, pixels, filtered = 0, 0, False
    for element in list(root.iter()):
        name = local_name(element)
        if element.tag is etree.Entity:
            _drop(element)
        elif name == "image":
            found = _embedded_pixels(element)
            pixels += found
            if found and pixels <= limits.pixels // _EMBEDDED_SHARE:
                element.set("data-pixels", str(found))
            else:
                left_out += 1
                _drop(element)
        elif name == "pattern":
            _limit_tile(element, max(_view_box(root) or _size(root) or (1.0, 1.0)))
        filtered |= _drop_filter(element, name)
    if left_out:
        notes.append(f"{left_out} pictures that are not inside the file, or too large: left out")
    if filtered:
        notes.append("drawn without its filters (shadows, blur)")


def _drop(element: etree._Element) -> None:
    parent = element.getparent()
    if parent is None:
        return
    before, tail = element.getprevious(), element.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    element.tail = None
    parent.remove(element)


def _drop_filter(element: etree._Element, name: str) -> bool:
    """Draw an element without its filter; whether it had one.

    Nothing bounds what a filter costs: its region may be 25 canvases, a blur takes a microsecond a pixel (measured),
    and the work of others grows with the square of a number in the file.
    """
    had = element.attrib.pop("filter", None) is not None if name else False
    if name == "style":
        text = _COMMENT.sub(" ", "".join(element.itertext()))
        element.text, found = _FILTERED.subn("", text)
        return bool(found)
    style = element.get("style") if name else None
    if style:
        kept, found = _FILTERED.subn("", _COMMENT.sub(" ", style))
        element.set("style", kept)
        had = had or bool(found)
    return had


def _limit_tile(pattern: etree._Element, side: float) -> None:
    """Make a tile no larger than can be seen."""
    whole = side if pattern.get("patternUnits") == "userSpaceOnUse" else 1.0
    for name in ("width", "height"):
        text = (pattern.get(name) or "").strip()
        value = _length(text.rstrip("%"))
        if value is not None and text.endswith("%"):
            value *= whole / 100
        if value is not None and value > _TILE_SIDES * whole:
            pattern.set(name, f"{_TILE_SIDES * whole:g}")


def _embedded_pixels(element: etree._Element) -> int:
    """Pixels of a picture inside the file that resvg will decode; 0 if it is none of that kind."""
    values = [v for n, v in element.attrib.items() if n == "href" or str(n).endswith("}href")]
    pixels = 0
    for value in values:
        head = _EMBEDDED.match(str(value))
        if head is None:
            return 0
        try:
            data = base64.b64decode(str(value)[head.end() :], validate=False)
            with Image.open(BytesIO(data), formats=_EMBEDDED_FORMATS) as image:
                pixels += image.width * image.height
        except (Image.DecompressionBombError, binascii.Error, *PILLOW_ERRORS):
            return 0
    return pixels


def _size(root: etree._Element) -> tuple[float, float] | None:
    """Width and height in CSS pixels; None where it does not say, or says nothing sensible."""
    width, height = _length(root.get("width")), _length(root.get("height"))
    box = _view_box(root)
    if box is not None:
        ratio = box[0] / box[1]
        if width is None and height is None:
            width, height = box
        elif width is None and height is not None:
            width = height * ratio
        elif height is None and width is not None:
            height = width / ratio
    if width is None or height is None:
        return None
    low, high = _SIDES_PX
    if not (low <= width <= high and low <= height <= high):
        scale = (high / 100) / max(width, height)
        width, height = max(low, width * scale), max(low, height * scale)
    return (width, height) if 1 / _ASPECT <= width / height <= _ASPECT else None


def _length(text: str | None) -> float | None:
    match = _LENGTH.match(text or "")
    if match is None or match[2] not in _PX:
        return None
    value = float(match[1]) * _PX[match[2]]
    return value if 0 < value < float("inf") else None


def _view_box(root: etree._Element) -> tuple[float, float] | None:
    parts = re.split(r"[\s,]+", (root.get("viewBox") or "").strip())
    try:
        width, height = float(parts[2]), float(parts[3])
    except (IndexError, ValueError):
        return None
    usable = 0 < width < float("inf") and 0 < height < float("inf")
    return (width, height) if usable and len(parts) == 4 else None


def _drawn(
    path: Path,
    root: etree._Element,
    size: tuple[float, float] | None,
    pixels: int,
    notes: list[str],
) -> Image.Image:
    width, height = _canvas(size or (1.0, 1.0), pixels)
    if size is not None:
        if _view_box(root) is None:
            root.set("viewBox", f"0 0 {size[0]:g} {size[1]:g}")
        root.set("width", str(width))
        root.set("height", str(height))
    png = _rendered(path, root, (width, height), notes)
    try:
        with Image.open(BytesIO(png), formats=("PNG",)) as image:
            image.load()
            return shown_in_srgb(image, notes)
    except PILLOW_ERRORS as error:
        raise CorruptError(f"{path} cannot be drawn: {error}") from error


def _canvas(size: tuple[float, float], pixels: int) -> tuple[int, int]:
    """Width and height of at most so many pixels, the long side at most 1600."""
    scale = min(OCR_SIDE_PX / max(size), sqrt(pixels / (size[0] * size[1])))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def _rendered(path: Path, root: etree._Element, size: tuple[int, int], notes: list[str]) -> bytes:
    from resvg_py import svg_to_bytes

    has_text = any(local_name(element) == "text" for element in root.iter())
    family = _family() if has_text else ""
    if has_text and not family:
        notes.append("no font is installed: drawn without its text")
    try:
        drawing = etree.tostring(root, encoding="unicode", with_tail=False)
        return svg_to_bytes(
            svg_string=drawing,
            background="white",
            width=size[0],
            height=size[1],
            dpi=_DPI,
            languages=["en"],
            skip_system_fonts=not family,
            font_family=family or None,
            serif_family=family or None,
            sans_serif_family=family or None,
            monospace_family=family or None,
        )
    except ValueError as error:
        raise CorruptError(f"{path} cannot be drawn: {error}") from error
    except _panics() as error:
        raise CorruptError(f"{path} cannot be drawn: resvg gave up: {error}") from error


def _panics() -> tuple[type[BaseException], ...]:
    """What a panic of Rust becomes: a class that no module exports, made when the first one happens."""
    return tuple(c for c in BaseException.__subclasses__() if c.__module__ == "pyo3_runtime")


@cache
def _family() -> str:
    """A font that is installed, or empty."""
    for name in _FONTS:
        try:
            family = ImageFont.truetype(name).getname()[0]
        except OSError:
            continue
        return family or ""
    return ""
