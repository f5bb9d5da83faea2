"""The text layer of a PDF page as lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final

from stages.decode._mupdf import pymupdf
from stages.decode._pdf_fonts import broken_fonts
from stages.decode._pdf_spans import read_blocks
from stages.decode._scripts import runs_leftwards
from stages.decode.layout import (
    Line,
    clean_text,
    columns,
    in_reading_order,
    mirrored,
    reading_order,
    union,
    upright,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_spans import Span, SpanLine

# Without PRESERVE_LIGATURES MuPDF spells ligatures out; MEDIABOX_CLIP leaves out text beside the page.
TEXT_FLAGS: Final = pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_MEDIABOX_CLIP
_MIN_GUTTER: Final = 1.0  # in font sizes: columns are set further apart than words
_SAME_BASELINE: Final = 0.5  # in font sizes
_MIN_ACROSS: Final = 3  # lines that are written across all columns before the next ones
_MIN_COLUMN_CHARS: Final = (
    20  # of a line of a column of prose, on average; cells of a table have fewer
)
_MIN_LOST: Final = 20  # characters of broken fonts on a page,
_LOST_SHARE: Final = 0.05  # and their share of it, for which it is worth while to read it by OCR
_COPY_PT: Final = 2.0  # a shadow lies nearer than that


@dataclass(frozen=True)
class PageText:
    """Text of a page: groups of lines as the page has them, in reading order.

    Attributes:
        number: 1-based.
        width_pt: Width in points, as it is shown.
        height_pt: Height in points.
        groups: Lines that stand together.
        is_broken: Whether a good part of its text is set in fonts whose characters cannot be known; that part is
            not among the lines.
    """

    number: int
    width_pt: float
    height_pt: float
    groups: tuple[tuple[Line, ...], ...]
    is_broken: bool = False

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """All lines in reading order."""
        return tuple(chain.from_iterable(self.groups))

    @cached_property
    def text(self) -> str:
        """All its text, one line of text a line."""
        return "\n".join(line.text for line in self.lines)


def text_layer(display_list: Any) -> Any:
    """The text layer of a pymupdf.DisplayList as a pymupdf.TextPage, for all that read it."""
    return pymupdf.TextPage(display_list.get_textpage(TEXT_FLAGS))


def read_text(number: int, layer: Any, size: tuple[float, float]) -> PageText:
    """Read the text layer.

    Args:
        number: 1-based page number.
        layer: What `text_layer` gives.
        size: Width and height of the page in points.

    Returns:
        Its lines; without those whose characters cannot be known, where they are more than a few.
    """
    blocks = read_blocks(layer)
    spans = [span for block in blocks for line in block for span in line.spans]
    broken = broken_fonts(spans)
    is_broken = bool(broken) and _loses_much(spans, broken)
    skipped = broken if is_broken else frozenset()
    groups = [group for block in blocks for group in _groups(_lines(block, skipped)) if group]
    ordered = _ordered(_without_copies(groups))
    return PageText(number, *size, tuple(map(tuple, ordered)), is_broken)


def letters(text: str) -> int:
    """Number of letters and digits."""
    return sum(map(str.isalnum, text))


def body_size(pages: Sequence[PageText]) -> float:
    """Font size (points) of most characters, to half a point; 0 without text."""
    exact: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            exact[line.size] += len(line.text)
    sizes: Counter[float] = Counter()
    for size, chars in exact.items():
        sizes[round(size * 2) / 2] += chars
    return max(sizes, key=lambda size: (sizes[size], -size)) if sizes else 0.0


def frame(line: Line) -> BBox:
    """The box of a line as if it were level and ran to the right."""
    box = upright(line.bbox, line.turn) if line.turn else line.bbox
    return mirrored(box) if runs_leftwards(line.text) else box


def _loses_much(spans: Sequence[Span], broken: frozenset[str]) -> bool:
    lost = total = 0
    for text, face in spans:
        chars = len(text.replace(" ", ""))
        total += chars
        lost += chars if face.font in broken else 0
    return lost >= _MIN_LOST and lost >= _LOST_SHARE * total


def _lines(block: Sequence[SpanLine], skipped: frozenset[str]) -> list[Line]:
    found = []
    for bbox, turn, spans in block:
        if skipped:
            spans = [span for span in spans if span[1].font not in skipped]
        if text := clean_text(_joined(spans)):
            size, bold, mono = _type(spans)
            found.append(Line(text, bbox, size, bold, mono, turn))
    return found


def _type(spans: Sequence[Span]) -> tuple[float, bool, bool]:
    """The size of the longest of some spans, and whether all are bold and monospaced; blank ones do not count."""
    if len(spans) == 1:
        _, size, bold, mono, _ = spans[0][1]
        return size, bold, mono
    printed = [span for span in spans if span[0].strip()]
    lengths = [len(text) for text, _ in printed]
    size = printed[lengths.index(max(lengths))][1].size
    _, _, bold, mono, _ = printed[0][1]
    bold = bold and all(face.bold for _, face in printed)
    mono = mono and all(face.mono for _, face in printed)
    return size, bold, mono


def _joined(spans: Sequence[Span]) -> str:
    """Text of spans; a raised note mark is set off, or it would become a part of the word beside it."""
    if len(spans) == 1:
        return spans[0][0]
    if not [face for _, face in spans if face.raised]:
        return "".join([piece for piece, _ in spans])
    text = ""
    after_mark = False
    for piece, face in spans:
        raised = face.raised and piece.strip().isdigit()
        set_off = after_mark or (raised and not text[-1:].isdigit())
        text += f" {piece}" if set_off else piece
        after_mark = bool(raised) and text.strip() == piece.strip()  # a note begins with its mark
    return text


def _groups(lines: list[Line]) -> list[list[Line]]:
    across = [pair for pair in pairwise(lines) if _stand_side_by_side(*pair)]
    if not across:
        return [lines]
    return [_merge(column) for column in _columns(lines, across)]


def _columns(lines: list[Line], across: list[tuple[Line, Line]]) -> list[list[Line]]:
    """Columns of prose that the file writes across, line by line, are taken apart."""
    prose = [p for p in across if min(len(line.text) for line in p) >= _MIN_COLUMN_CHARS]
    if len(prose) < _MIN_ACROSS or 2 * len(prose) < len(across):
        return [lines]
    gutter = _MIN_GUTTER * min(line.size for line in lines)
    found = columns([frame(line) for line in lines], gutter)
    return [[lines[i] for i in sorted(column)] for column in found]


def _merge(lines: list[Line]) -> list[Line]:
    """Pieces that stand side by side on one baseline become one line."""
    merged: list[Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if last and _stand_side_by_side(last, line):
            merged[-1] = Line(
                f"{last.text} {line.text}",
                union((last.bbox, line.bbox)),
                max(last.size, line.size),
                last.bold and line.bold,
                last.mono and line.mono,
                last.turn,
            )
        else:
            merged.append(line)
    return merged


def _stand_side_by_side(last: Line, line: Line) -> bool:
    _, before, size, _, _, turn = last
    _, after, next_size, _, _, next_turn = line
    if turn != next_turn:
        return False
    if turn:
        before, after = upright(before, turn), upright(after, turn)
    # A mirror moves no baseline, and most lines are told apart by theirs.
    if abs(after[3] - before[3]) > _SAME_BASELINE * (size if size < next_size else next_size):
        return False
    return frame(line)[0] >= frame(last)[2] - size


def _without_copies(groups: list[list[Line]]) -> list[list[Line]]:
    """Text that is drawn twice in one place, for a shadow or for weight, is there once."""
    firsts: dict[str, Line] = {}
    seen: set[tuple[str, int, int, int]] = set()
    kept = []
    for group in groups:
        fresh = []
        for line in group:
            first = firsts.setdefault(line.text, line)
            if first is line:
                fresh.append(line)
                continue
            seen.update(_places(first))
            places = _places(line)
            if seen.isdisjoint(places):
                fresh.append(line)
            seen.update(places)
        if fresh:
            kept.append(fresh)
    return kept


def _places(line: Line) -> list[tuple[str, int, int, int]]:
    """Cells of four grids, each moved by half a cell: two lines less than half a cell apart share one of them."""
    x, y = (line.bbox[0] + line.bbox[2]) / 2, (line.bbox[1] + line.bbox[3]) / 2
    half = _COPY_PT
    return [
        (
            line.text,
            number,
            int((x + half * (number % 2)) // (2 * half)),
            int((y + half * (number // 2)) // (2 * half)),
        )
        for number in range(4)
    ]


def _ordered(groups: list[list[Line]]) -> list[list[Line]]:
    """What runs in one direction together, what there is most of first."""
    by_turn: dict[int, list[list[Line]]] = {}
    for group in groups:
        by_turn.setdefault(group[0].turn, []).append(group)
    if len(by_turn) == 1:
        return _placed(groups)
    turns = sorted(by_turn, key=lambda turn: (-_chars(by_turn[turn]), turn))
    return [group for turn in turns for group in _placed(by_turn[turn])]


def _placed(groups: list[list[Line]]) -> list[list[Line]]:
    """The order of the page's own content stream where it reads well, else by position."""
    turn = groups[0][0].turn
    boxes = [union([line.bbox for line in group]) for group in groups]
    if turn:
        boxes = [upright(box, turn) for box in boxes]
    if runs_leftwards(" ".join([line.text for group in groups for line in group])):
        boxes = [mirrored(box) for box in boxes]
    if in_reading_order(boxes):
        return groups
    sizes = sorted(line.size for group in groups for line in group)
    order = reading_order(boxes, _MIN_GUTTER * sizes[len(sizes) // 2])
    return [groups[i] for i in order]


def _chars(groups: list[list[Line]]) -> int:
    return sum(len(line.text) for group in groups for line in group)
