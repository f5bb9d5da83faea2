"""Fonts whose characters cannot be known: no usable encoding, or one that names the wrong letters.

A page shows the right glyphs all the same, so OCR reads what the text layer cannot say. A font is judged by what it
says on one page, in two ways:

- Characters that stand for nothing (U+FFFD, private use, controls, unassigned) inside of what should be words. A
  bullet or a mark of a symbol font stands alone, so it does not count.
- Words that no language spells: subset fonts with a shifted or shuffled encoding give letters, but their pairs are
  not those of words. Only Latin letters of fonts without a fixed pitch are judged, from 100 pairs on a page. The share
  of frequent pairs is 0.69 in the middle and 0.36 at the least in 499 samples of 41 manuals and cards in 38
  languages; shuffled English has about 0.18 (docs/quality.md).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

import numpy as np

from stages.decode._scripts import beyond_ascii

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.decode._pdf_spans import Span

_UNKNOWN: Final = re.compile(
    "[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|\\(cid:\\d+\\)"
)
_MIN_WORD_CHARS: Final = 3
_UNKNOWN_SHARE: Final = 0.15  # ligatures without an encoding reach 0.03, OCR would not do better
_MIN_PAIRS: Final = 100
_MAX_CHARS: Final = 1500  # of a font on a page: enough to judge it
# Pairs of letters inside words that are frequent in English, German, French, Spanish, Italian, Portuguese, Dutch,
# Polish, Finnish, Turkish or Indonesian: a sixth of all pairs, and more than half of those of a text.
_PAIRS: Final = (
    "ad ai ak al am an ar as at au ba be ca ce ch ci ck co da de di do du ec ed ei el em en er es et ge ha he hi ho"
    " ic id ie ig il im in io ir is it ka ke ki la le li ll lo ma me mi mo na nd ne ng ni no nt ol om on or os ou"
    " pa pe po pr qu ra re ri ro rs sa sc se sh si so ss st ta te th ti to tr tt ua ue ul um un ur us ut va ve vi"
    " we wi za ze"
)
# Codes of letters: 0 to 25, any other one, and what is between words.
_OTHER, _BETWEEN, _CODES = 26, 27, 28
_OTHER_BYTE: Final = 0xFF
_CODE: Final = bytes(
    _OTHER if byte == _OTHER_BYTE else byte - ord("a") if chr(byte) in ascii_lowercase else _BETWEEN
    for byte in range(256)
)
# Of each pair of codes (the first times `_CODES` plus the second): whether both are letters, whether it is frequent.
_LETTERS: Final = np.arange(_CODES) != _BETWEEN
_INSIDE: Final = np.outer(_LETTERS, _LETTERS).ravel().astype(np.intp)
_FREQUENT: Final = np.zeros(_CODES**2, np.intp)
for _pair in _PAIRS.split():
    _FREQUENT[_CODE[ord(_pair[0])] * _CODES + _CODE[ord(_pair[1])]] = 1
_FREQUENT_SHARE: Final = 0.28
# Listings and names of commands are spelled like nothing else; not every fixed-pitch font says that it is one.
_MONO: Final = re.compile(r"mono|courier|consol|typewriter|cmtt|code|fixed|terminal", re.IGNORECASE)
# Western letters with marks. Cyrillic read as Latin-1 is made of them; Czech, the richest of the languages that are
# written with letters below U+0100, has fewer than one in five.
_MARKED: Final = re.compile("[\u00c0-\u00ff]")
_MARKED_SHARE: Final = 0.5
_MARK: Final = re.compile("[\u0300-\u036f]")  # all that letters of these blocks are taken apart to
_LATIN: Final = r"\u00c0-\u024f\u1e00-\u1eff"  # beyond ASCII
_MORE_LATIN: Final = re.compile(f"[{_LATIN}]")
_LATIN_WORD: Final = re.compile(f"[A-Za-z{_LATIN}]{{2,}}")


def broken_fonts(spans: Sequence[Span]) -> frozenset[str]:
    """Names of the fonts whose text on this page is not what the page shows.

    Args:
        spans: Of one page.
    """
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for text, face in spans:
        texts[face.font].append(text)
    mono = {face.font for _, face in spans if face.mono}
    return frozenset(
        name
        for name, said in texts.items()
        if _is_broken(_sample(said), is_mono=name in mono or _MONO.search(name) is not None)
    )


def _sample(texts: Sequence[str]) -> str:
    """The first of them, up to the one that makes it long enough."""
    starts = list(accumulate(map(len, texts), initial=0))
    return " ".join(texts[: bisect_left(starts, _MAX_CHARS)])


def _is_broken(text: str, *, is_mono: bool) -> bool:
    return _unknown_share(text) > _UNKNOWN_SHARE or (not is_mono and is_unlikely(text))


def _unknown_share(text: str) -> float:
    if text.isprintable() and "\ufffd" not in text and "(cid:" not in text:
        return 0.0  # of all that stands for nothing only U+FFFD is printable
    unknown = total = 0
    for word in text.split(" "):
        total += len(word)
        if len(word) >= _MIN_WORD_CHARS:
            unknown += sum(map(len, _UNKNOWN.findall(word)))
    return unknown / total if total else 0.0


def is_unlikely(text: str) -> bool:
    """Whether a text in Latin letters is spelled as no language spells; False where there is too little of it.

    >>> is_unlikely("7KH PLOOHU RSHQV WKH VOXLFH DW GDZQ DQG WKH ZKHHO EHJLQV WR WXUQ VORZO " * 3)
    True
    """
    words = _latin_words(text)
    share = _frequent_share(words)
    if share is None or words.isascii():
        return share is not None and share < _FREQUENT_SHARE
    marked = len(_MARKED.findall(words))
    return share < _FREQUENT_SHARE or marked > _MARKED_SHARE * len(words.replace(" ", ""))


def frequent_share(text: str) -> float | None:
    """Share (0 to 1) of the letter pairs inside Latin words that are frequent ones; None below 100 pairs."""
    return _frequent_share(_latin_words(text))


def _latin_words(text: str) -> str:
    """With blanks or signs between them, which make no difference."""
    if text.isascii():
        return text
    if _MORE_LATIN.search(beyond_ascii(text)):
        return " ".join(_LATIN_WORD.findall(text))
    return text.encode("ascii", "replace").decode("ascii")


def _frequent_share(words: str) -> float | None:
    if words.isascii() and len(words) <= _MIN_PAIRS:
        return None
    codes = np.frombuffer(_codes(words.lower()), np.uint8)
    counts = np.bincount(_CODES * codes[:-1].astype(np.intp) + codes[1:], minlength=_CODES**2)
    pairs = int(counts @ _INSIDE)
    return int(counts @ _FREQUENT) / pairs if pairs >= _MIN_PAIRS else None


def _codes(words: str) -> bytes:
    """Codes of letters, without marks, and of what is between them."""
    if words.isascii():
        return words.encode().translate(_CODE)
    bare = _MARK.sub("", unicodedata.normalize("NFKD", words))
    return bare.encode("ascii", "replace").replace(b"?", bytes([_OTHER_BYTE])).translate(_CODE)
