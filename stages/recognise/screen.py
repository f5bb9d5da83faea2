"""Writing in a video: the same line seen again and again is one line, with the time it was to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from schemas.content import ScreenLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from schemas.content import ScreenContent
    from stages.recognise._ocr_lines import OcrLine

# One letter in five may be read otherwise the next time: compression changes from frame to frame.
_SAME_RATIO: Final = 0.8


@dataclass(slots=True)
class _Seen:
    """A line that is on the screen: its best reading so far, and until when."""

    start_s: float
    end_s: float
    text: str
    score: float
    key: str


def read_screens(
    screens: Iterable[ScreenContent], read: Callable[[ScreenContent], Sequence[OcrLine]]
) -> tuple[ScreenLine, ...]:
    """Read frames, and join what was read in consecutive ones.

    Lines are the same if they differ in case, spaces, punctuation and at most a fifth of their letters; the text that
    was read with most confidence is kept. A line that was gone for a frame and comes back is a new one.
    Lines without a letter are left out: they are clocks and scores, and count on from frame to frame.

    Args:
        screens: Frames, in order of time.
        read: Gives the lines of one, in reading order.

    Returns:
        By start, then as they stand on the screen.
    """
    done: list[_Seen] = []
    shown: list[_Seen] = []
    for screen in screens:
        now = _lines(screen, read(screen), shown)
        done += [seen for seen in shown if all(seen is not other for other in now)]
        shown = now
    # Sorting is stable: lines of one frame stay in reading order.
    found = sorted([*done, *shown], key=lambda seen: seen.start_s)
    return tuple(ScreenLine(seen.start_s, seen.end_s, seen.text) for seen in found)


def letters(text: str) -> str:
    """Letters and digits only, without case: what two readings of one line have in common."""
    return "".join(c for c in text.casefold() if c.isalnum())


def _lines(screen: ScreenContent, lines: Sequence[OcrLine], before: Sequence[_Seen]) -> list[_Seen]:
    """The lines of one frame, each once; those that were `before` go on."""
    now: list[_Seen] = []
    for line in lines:
        key = letters(line.text)
        if not any(c.isalpha() for c in key) or any(_same(key, seen.key) for seen in now):
            continue
        free = (seen for seen in before if all(seen is not other for other in now))
        seen = next((seen for seen in free if _same(key, seen.key)), None)
        if seen is None:
            seen = _Seen(screen.start_s, screen.end_s, line.text, line.score, key)
        seen.end_s = screen.end_s
        if line.score > seen.score:
            seen.text, seen.score, seen.key = line.text, line.score, key
        now.append(seen)
    return now


def _same(first: str, second: str) -> bool:
    if first == second:
        return True
    # Step 2 is not step 1, and of what is no longer than three letters none may differ.
    if min(len(first), len(second)) <= 3 or _digits(first) != _digits(second):
        return False
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)  # cheap ones first
    return all(ratio() >= _SAME_RATIO for ratio in ratios)


def _digits(key: str) -> str:
    return "".join(c for c in key if c.isdigit())
