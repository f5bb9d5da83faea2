"""How text flows: paragraphs go on over columns and pages, footnotes come after the body of their page."""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from stages.decode._pdf_text import frame
from stages.decode._scripts import UNSPACED
from stages.decode.layout import union

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from schemas.content import BBox, BlockKind
    from stages.decode.layout import Line

SMALL_SCALE: Final = 0.93  # of the body size: footnotes are set one step of type smaller
_NOTE_HEIGHT: Final = 0.4  # of the page height; notes stand below it
_MARK: Final = re.compile(
    r"(?:\[?\d{1,3}[\].)]?|[*\u2020\u2021\u00a7\u00b6#]{1,3})\s*(?=[^\W\d_]|[\"'\u201c\u2018(])"
)
_SENTENCE_END: Final = re.compile(
    r"[.:!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019\u00bb)\]\u300d\u300f]*$"
)
_MAX_END_CHARS: Final = 8
_MIN_OPEN_CHARS: Final = 40  # a paragraph that goes on fills a line
_FULL_LINE: Final = 0.85  # of the longest line of the paragraph
_MAX_LINES: Final = 200  # of a paragraph
_MAX_RUNS: Final = 300  # on a page: more is no page of text, and each is compared with each
_LEADING: Final = 2.0  # most space between lines of one paragraph, in font sizes


class Run(NamedTuple):
    """Lines that are one thing.

    Attributes:
        page: 1-based number of the page it begins on.
        lines: Its lines on that page.
        heading: 0 for none, -1 by its type, else its level in the outline.
        tail: Lines on pages after that.
        tail_page: Number of the page where its tail ends; 0 without a tail.
        kind: What becomes of it; a heading is said by `heading`.
        is_loose: Words that are no sentences.
    """

    page: int
    lines: tuple[Line, ...]
    heading: int = 0
    tail: tuple[Line, ...] = ()
    tail_page: int = 0
    kind: BlockKind = "paragraph"
    is_loose: bool = False

    @property
    def size(self) -> float:
        """Font size in points, to half a point."""
        return round(max([line.size for line in self.lines]) * 2) / 2

    @property
    def bbox(self) -> BBox:
        """The box around it on its page."""
        return union([line.bbox for line in self.lines])

    @property
    def is_plain(self) -> bool:
        """Whether it is running text."""
        return self.kind == "paragraph" and not self.heading and not self.is_loose

    @property
    def last_page(self) -> int:
        """The page it ends on."""
        return self.tail_page or self.page

    @property
    def all_lines(self) -> tuple[Line, ...]:
        """Its lines on all pages."""
        return self.lines + self.tail


def starts_note(text: str) -> bool:
    """Whether a text begins with the mark of a note.

    >>> starts_note("3 See the appendix"), starts_note("See the appendix")
    (True, False)
    """
    return _MARK.match(text) is not None


def in_flow(runs: Iterable[Run], body_pt: float, heights: Mapping[int, float]) -> list[Run]:
    """Runs in the order in which a person reads them.

    Args:
        runs: Page by page.
        body_pt: Font size of running text.
        heights: Height of each page in points.
    """
    flowing: list[Run] = []
    going_on: int | None = None  # place of the paragraph that may go on
    for page, of_page in groupby(runs, key=lambda run: run.page):
        found = list(of_page)
        notes = _notes([run for run in found if not run.is_loose], body_pt, heights[page])
        apart = set(map(id, notes))
        for run in found:
            if id(run) in apart or run.is_loose:
                continue
            if going_on is not None and _goes_on(flowing[going_on], run):
                flowing[going_on] = _longer(flowing[going_on], run)
                continue
            flowing.append(run)
            if run.is_plain:
                going_on = len(flowing) - 1
            elif run.heading:
                going_on = None
        flowing += [run for run in found if run.is_loose]
        flowing += notes
        # A paragraph does not jump over a page.
        if going_on is not None and flowing[going_on].last_page != page:
            going_on = None
    return flowing


def _longer(run: Run, rest: Run) -> Run:
    if run.last_page == rest.page and not run.tail:
        return run._replace(lines=run.lines + rest.lines)
    return run._replace(tail=run.tail + rest.lines, tail_page=rest.page)


def _notes(runs: Sequence[Run], body_pt: float, height: float) -> list[Run]:
    """Footnotes: small type below all running text of its column, beginning with a mark."""
    if len(runs) > _MAX_RUNS:
        return []
    found: list[Run] = []
    before: Run | None = None
    for run in runs:
        if _is_small(run, body_pt) and run.bbox[1] >= _NOTE_HEIGHT * height:
            goes_on = bool(found) and found[-1] is before
            marked = starts_note(run.lines[0].text)
            if (marked or goes_on) and not _has_body_below(run, runs, body_pt):
                found.append(run)
        before = run
    return found


def _is_small(run: Run, body_pt: float) -> bool:
    is_text = run.kind in ("paragraph", "list_item") and not run.heading
    return is_text and run.size <= SMALL_SCALE * body_pt


def _has_body_below(note: Run, runs: Sequence[Run], body_pt: float) -> bool:
    x0, _, x1, bottom = note.bbox
    return any(
        run.bbox[1] >= bottom and run.bbox[0] < x1 and run.bbox[2] > x0
        for run in runs
        if not _is_small(run, body_pt)
    )


def _goes_on(run: Run, rest: Run) -> bool:
    """Whether a paragraph breaks off here and `rest` is where it goes on."""
    before, after = run.all_lines[-1], rest.lines[0]
    if not rest.is_plain or before.mono or after.mono or abs(before.size - after.size) >= 1:
        return False
    if _SENTENCE_END.search(before.text[-_MAX_END_CHARS:]) or len(run.all_lines) > _MAX_LINES:
        return False
    if sum(len(line.text) for line in run.lines) < _MIN_OPEN_CHARS:
        return False
    pages = rest.page - run.last_page
    return _is_mid_sentence(run, after.text) and (
        pages == 1 or (pages == 0 and _is_next(before, after))
    )


def _is_mid_sentence(run: Run, following: str) -> bool:
    if following[0].islower():
        return True
    # Letters without cases: Chinese and Thai, and Hebrew, Arabic, Hindi, Korean too.
    if not (UNSPACED.match(following) or unicodedata.category(following[0]) == "Lo"):
        return False
    longest = max(len(line.text) for line in run.lines)
    return len(run.all_lines[-1].text) >= _FULL_LINE * longest


def _is_next(before: Line, after: Line) -> bool:
    """Whether a line stands right under another one, or further up in another column."""
    if before.turn != after.turn:
        return False
    upper, lower = frame(before), frame(after)
    beside = lower[0] >= upper[2] and lower[1] < upper[1]
    under = (
        0 <= lower[3] - upper[3] <= _LEADING * before.size
        and lower[0] < upper[2]
        and lower[2] > upper[0]
    )
    return beside or under
