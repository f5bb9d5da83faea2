"""How much text there is: in words, also where none are set apart, and in tokens of an encoder that is not known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE: Final = 100
"""Size of a word."""
_TOKENS_OF_WORD: Final = (
    133  # per cent; English prose under WordPiece, about 3 tokens in 4 words being whole words
)
_LEAST_OF_TOKEN: Final = (
    30  # per cent; no vocabulary packs more than three characters into one on average
)


@dataclass(frozen=True, slots=True)
class _Script:
    """A script that is written without spaces; what one of its characters is worth, in per cent."""

    chars: re.Pattern[str]
    of_word: int
    of_token: int


# Translators reckon 1,500 to 1,700 Chinese characters for 1,000 English words, and two Japanese ones, kanji and kana
# together, for one word. Tokens are those of WordPiece and SentencePiece vocabularies of many languages.
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA: Final = "\u3001-\u303f\u3041-\u30ff\u3100-\u312f\u31a0-\u31ff\uff01-\uff9f"  # marks and wide letters too
_MARKED: Final = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Myanmar, Khmer
)
_SCRIPTS: Final = (
    _Script(re.compile(f"[{_HAN}]"), of_word=60, of_token=100),
    _Script(re.compile(f"[{_KANA}]"), of_word=40, of_token=100),
    _Script(re.compile(f"[{_MARKED}]"), of_word=22, of_token=30),
)
DENSE: Final = f"{_HAN}{_KANA}{_MARKED}"
"""Characters of these scripts, for a class of a regular expression."""
_MARKS: Final = "\u00b7\u2010-\u2027"  # quotes, dashes and dots are no words beside them
_DENSE: Final = re.compile(f"[{_MARKS}]{{0,3}}[{DENSE}][{DENSE}{_MARKS}]*")
_SPACED: Final = re.compile(r"\S{1,50}")  # a longer run is no word


def word_sizes(texts: Sequence[str]) -> list[int]:
    """Size of each text in hundredths of a word.

    A word is what stands between white space, at most 50 characters of it; in scripts that are written without spaces
    it is as many characters as say what a word of English says.
    """
    return [WHOLE * _spaced(text) + sum(n * s.of_word for n, s in _dense(text)) for text in texts]


def token_sizes(texts: Sequence[str]) -> list[int]:
    """Tokens of each text as far as its script tells."""
    sizes = []
    for text in texts:
        size = _TOKENS_OF_WORD * _spaced(text) + sum(n * s.of_token for n, s in _dense(text))
        sizes.append(-(-size // WHOLE))
    return sizes


def least_token_sizes(texts: Sequence[str]) -> list[int]:
    """Tokens that a text has at the least in a vocabulary that knows its script; 0 where words are set apart."""
    return [-(-sum(n for n, _ in _dense(text)) * _LEAST_OF_TOKEN // WHOLE) for text in texts]


def _spaced(text: str) -> int:
    return len(_SPACED.findall(text if text.isascii() else _DENSE.sub(" ", text)))


def _dense(text: str) -> list[tuple[int, _Script]]:
    if text.isascii() or not _DENSE.search(text):
        return []
    return [(len(script.chars.findall(text)), script) for script in _SCRIPTS]
