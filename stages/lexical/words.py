"""A text cut into words: letters, digits and marks; identifiers whole and in parts; bigrams where no spaces are.

What it gives does not depend on how the text was encoded: composed or not, full or half width, upper or lower case
(NFKC_Casefold of Unicode's DerivedNormalizationProps).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_WORD: Final = 64  # characters; of longer ones the start counts (bytes as text, DNA, keys)
_MARKS_END: Final = 0x20000  # no combining marks from here on but variation selectors
# Soft hyphens, joiners, marks of direction, variation selectors: they change how a word looks, not which it is.
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
# Scripts written without spaces, and Korean, whose words carry their particles.
_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai, Lao, Burmese, Jamo, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"  # kana, ideographs
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"  # Hangul, more ideographs
)
_DENSE_RUNS: Final = re.compile(f"([{_DENSE}]+)")
# Within identifiers: foo_bar, apt-get, sources.list, 1.2.3, me@example.org.
_JOINERS: Final = "._/@:+-"
_BETWEEN_NAMES: Final = re.compile("[/@:]+")  # a path, an address: made of names
_JOINTS: Final = re.compile(f"[{re.escape(_JOINERS)}#]+")


class Word(NamedTuple):
    """A word of a text.

    Attributes:
        text: As it is compared.
        is_plain: Made of letters alone: it may be inflected. Names with digits or joints are kept as they are.
    """

    text: str
    is_plain: bool


def normalised(text: str) -> str:
    """Text as it is compared: compatibility forms, case and what cannot be seen made alike. Idempotent."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    folded = _INVISIBLE.sub("", folded).replace("i\u0307", "i")  # of the Turkish capital
    again = unicodedata.normalize("NFKC", folded)
    return again if again == text else normalised(again)


def words(text: str, *, asked: bool = False) -> Iterator[Word]:
    """The words of a text, in order.

    ``Foo_bar 1.2`` gives foo, bar, foo_bar, 1, 2, 1.2. Where no spaces are written, every character and every pair of
    neighbours is a word (Nie et al. 2000 compare this with dictionaries: as good, and no dictionary).

    Args:
        text: Any.
        asked: Of a question: pairs alone, unless a character stands by itself.
    """
    for token in tokens(text):
        yield from words_in(token, asked=asked)


def tokens(text: str) -> list[str]:
    """What stands between spaces and punctuation, normalised: identifiers whole, scripts without spaces in runs."""
    return _pattern().findall(normalised(text))


def words_in(token: str, *, asked: bool) -> Iterator[Word]:
    """The words of one of them."""
    names = [name for name in _BETWEEN_NAMES.split(token) if name]
    for name in names:
        parts = [part for part in _JOINTS.split(name) if part]
        for part in parts:
            yield from _pieces(part, asked)
        yield from _whole(name, parts)
    yield from _whole(token, names)


def _whole(joined: str, parts: Sequence[str]) -> Iterator[Word]:
    if joined not in parts and len(joined) <= LONGEST_WORD:
        yield Word(joined, is_plain=False)


def _pieces(part: str, asked: bool) -> Iterator[Word]:
    for number, piece in enumerate(_DENSE_RUNS.split(part)):
        if not any(map(str.isalnum, piece)):
            continue
        if number % 2:
            yield from (Word(gram, is_plain=False) for gram in _grams(piece, asked))
        else:
            short = piece[:LONGEST_WORD]
            yield Word(short, is_plain=not any(map(str.isdigit, short)))


def _grams(run: str, asked: bool) -> list[str]:
    pairs = [run[i : i + 2] for i in range(len(run) - 1)]
    return pairs if asked and pairs else [*run, *pairs]


@cache
def _pattern() -> re.Pattern[str]:
    r"""Letters, digits and marks, with joints between them; ``\w`` alone would tear Hindi apart at its vowels."""
    marks = "".join(
        chr(code) for code in range(0x300, _MARKS_END) if unicodedata.category(chr(code))[0] == "M"
    )
    letter = f"[^\\W_]|[{marks}]"
    joint = f"[{re.escape(_JOINERS)}]"
    part = rf"[^\W_](?:{letter})*"
    return re.compile(rf"{part}(?:{joint}{part})*(?:\+\+|#)?")
