"""What writing systems do differently: no spaces between words, and lines that run from right to left."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Thai, Lao, Tibetan, Myanmar, Khmer, Chinese and Japanese; Korean writes spaces.
UNSPACED_CHARS: Final = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff00-\uff9f\U00020000-\U0003ffff"
)
UNSPACED: Final = re.compile(f"[{UNSPACED_CHARS}]")
"""A character of a script that is written without spaces between words."""
PART: Final = re.compile(f"[{UNSPACED_CHARS}]|[^\\W_{UNSPACED_CHARS}]+")
"""A word without its punctuation, or one character of a script without spaces."""
_LEFTWARD: Final = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff]")
_ASCII: Final = bytes(range(128))
_LETTER: Final = re.compile(r"[^\W\d_]")
# Latin ligatures, and the shapes that Hebrew and Arabic letters take in a word: people search by the letters.
_SHAPED: Final = (
    range(0xFB00, 0xFB07),
    range(0xFB13, 0xFB50),
    range(0xFB50, 0xFDFD),
    range(0xFE70, 0xFEFD),
)


def runs_leftwards(text: str) -> bool:
    """Whether most letters of a text are written from right to left (Hebrew, Arabic and their kin).

    >>> runs_leftwards("\u05e9\u05dc\u05d5\u05dd PDF")
    True
    """
    if text.isascii() or not _LEFTWARD.search(beyond_ascii(text)):
        return False
    return 2 * len(_LEFTWARD.findall(text)) > len(_LETTER.findall(text))


def beyond_ascii(text: str) -> str:
    """Its other characters, in their order: few in most texts, and found ten times as fast as by an expression.

    >>> beyond_ascii("the miller\u2019s cr\u00eape")
    '\u2019\u00ea'
    """
    others = text.encode("utf-8", "surrogatepass").translate(None, _ASCII)
    return others.decode("utf-8", "surrogatepass")


def spelled_out() -> dict[int, str]:
    """Presentation forms and the letters they stand for, by their compatibility decomposition (NFKC).

    Marks that stand alone there decompose to a blank and the mark, which would cut words: those are left out.
    """
    found = {}
    for codes in _SHAPED:
        for code in codes:
            letters = unicodedata.normalize("NFKC", chr(code))
            if letters != chr(code) and not letters.startswith(" "):
                found[code] = letters
    return found
