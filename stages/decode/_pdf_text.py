"""The text layer of a PDF page as lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stages.decode._mupdf import pymupdf
from stages.decode.layout import Line, clean_text, in_reading_order, reading_order, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox

# Without PRESERVE_LIGATURES MuPDF spells ligatures out; MEDIABOX_CLIP leaves out text beside the page.
TEXT_FLAGS: Final = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
_GARBAGE_SHARE: Final = 0.3  # more unknown characters than that: the fonts have no usable encoding
_MIN_GUTTER: Final = 1.0  # in font sizes: columns are set further apart than words
_SAME_BASELINE: Final = 0.5  # in font sizes


@dataclass(frozen=True, slots=True)
class PageText:
    """Text of a page: groups of lines as the page has them, in reading order."""

    number: int
    width_pt: float
    height_pt: float
    groups: tuple[tuple[Line, ...], ...]

    @property
    def lines(self) -> list[Line]:
        """All lines in reading order."""
        return [line for group in self.groups for line in group]

    @property
    def text(self) -> str:
        """All its text, one line of text a line."""
        return "\n".join(line.text for line in self.lines)


def read_text(number: int, display_list: Any, size: tuple[float, float]) -> PageText:
    """Read the text layer.

    Args:
        number: 1-based page number.
        display_list: The page as a pymupdf.DisplayList.
        size: Width and height of the page in points.

    Returns:
        Its lines; no groups where there is no text or its characters cannot be known.
    """
    raw = pymupdf.TextPage(display_list.get_textpage(TEXT_FLAGS)).extractDICT()
    groups = [g for block in raw["blocks"] if (g := _merge(_lines(block)))]
    if _is_garbage(groups):
        groups = []
    return PageText(number, *size, tuple(tuple(group) for group in _ordered(groups)))


def letters(text: str) -> int:
    """Number of letters and digits."""
    return sum(c.isalnum() for c in text)


def body_size(pages: Sequence[PageText]) -> float:
    """Font size (points) of most characters, to half a point; 0 without text."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[round(line.size * 2) / 2] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], -size)) if sizes else 0.0


def _lines(block: dict[str, Any]) -> list[Line]:
    found = []
    for raw in block.get("lines", ()):
        level = abs(raw["dir"][0]) > abs(raw["dir"][1])
        spans = [span for span in raw["spans"] if span["text"].strip()]
        text = clean_text(_joined(raw["spans"]))
        if text and spans:
            found.append(replace(_line(text, spans, raw["bbox"]), level=level))
    return found


def _joined(spans: list[dict[str, Any]]) -> str:
    """Text of spans; a raised note mark is set off, or it would become a part of the word before it."""
    text = ""
    for span in spans:
        raised = span["flags"] & pymupdf.TEXT_FONT_SUPERSCRIPT and span["text"].strip().isdigit()
        text += f" {span['text']}" if raised and not text[-1:].isdigit() else span["text"]
    return text


def _line(text: str, spans: list[dict[str, Any]], bbox: BBox) -> Line:
    main = max(spans, key=lambda span: len(span["text"]))
    bold = all(s["flags"] & pymupdf.TEXT_FONT_BOLD or "bold" in s["font"].lower() for s in spans)
    mono = all(s["flags"] & pymupdf.TEXT_FONT_MONOSPACED for s in spans)
    x0, y0, x1, y1 = bbox
    return Line(text, (x0, y0, x1, y1), float(main["size"]), bold, mono)


def _merge(lines: list[Line]) -> list[Line]:
    """Pieces that stand side by side on one baseline become one line."""
    merged: list[Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if last and last.level and line.level and _continues(last, line):
            merged[-1] = Line(
                f"{last.text} {line.text}",
                union((last.bbox, line.bbox)),
                max(last.size, line.size),
                last.bold and line.bold,
                last.mono and line.mono,
            )
        else:
            merged.append(line)
    return merged


def _continues(last: Line, line: Line) -> bool:
    same_baseline = abs(line.bbox[3] - last.bbox[3]) <= _SAME_BASELINE * min(last.size, line.size)
    return same_baseline and line.bbox[0] >= last.bbox[2] - last.size


def _is_garbage(groups: list[list[Line]]) -> bool:
    text = "".join(line.text for group in groups for line in group)
    unknown = sum(c == "\ufffd" or "\ue000" <= c <= "\uf8ff" for c in text)
    return unknown > _GARBAGE_SHARE * len(text)


def _ordered(groups: list[list[Line]]) -> list[list[Line]]:
    """The order of the page's own content stream where it reads well, else by position."""
    level = [group for group in groups if group[0].level]
    turned = [group for group in groups if not group[0].level]
    if _chars(turned) > _chars(level):  # a table set sideways: positions mean something else there
        return groups
    boxes = [union(line.bbox for line in group) for group in level]
    if not in_reading_order(boxes):
        sizes = sorted(line.size for group in level for line in group)
        order = reading_order(boxes, _MIN_GUTTER * sizes[len(sizes) // 2])
        level = [level[i] for i in order]
    return level + turned


def _chars(groups: list[list[Line]]) -> int:
    return sum(len(line.text) for group in groups for line in group)
