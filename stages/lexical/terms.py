"""Words to terms: inflections and accents taken off, by language. Equal for texts and questions.

Stemming is by Snowball (Porter 2001, https://snowballstem.org), through PyStemmer. Every word is indexed; stop words
are left out of questions, where they are not all there is.
"""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from stages.lexical.stop_words import without_stop_words
from stages.lexical.words import LONGEST_WORD, Word, tokens, words, words_in

if TYPE_CHECKING:
    from collections.abc import Collection

TERMS_FORMAT: Final = "terms-1"  # a change of what a text gives makes every lexical segment new
_STEMMERS: Final = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "eo": "esperanto",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fa": "persian",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
# Where a letter with a mark is a letter of its own, another word without it (Swedish: far, får).
_KEEPS_ACCENTS: Final = frozenset({"da", "et", "fi", "nb", "nn", "no", "sv", "tr"})
_ACCENTS: Final = range(0x300, 0x370)
_ACCENTED_FROM: Final = 0xC0
_ACCENTED_SCRIPTS: Final = ("LATIN", "GREEK")  # in others a mark makes another letter, or a vowel
_KEPT_WORDS: Final = 1 << 18


def document_terms(text: str, language: str) -> list[str]:
    """The terms of a text, in order, repeated as they are.

    Args:
        text: Any.
        language: ISO 639-1; of one without a stemmer, or empty, words are compared as they are but for accents.
    """
    return [term for token in tokens(text) for term in _terms_of(token, language)]


def query_terms(text: str, languages: Collection[str]) -> list[tuple[str, ...]]:
    """What a question asks for, word by word: the terms that any of these languages makes of it, sorted.

    All languages of an index, since a question is too short to tell its own by.
    """
    among = sorted({"", *languages})
    return [
        tuple(sorted({_term(word, language) for language in among}))
        for word in without_stop_words(list(words(text, asked=True)))
    ]


def _terms_of(token: str, language: str) -> tuple[str, ...]:
    return (_kept_terms if len(token) <= LONGEST_WORD else _terms)(token, language)


def _terms(token: str, language: str) -> tuple[str, ...]:
    return tuple(_term(word, language) for word in words_in(token, asked=False))


_kept_terms = lru_cache(_KEPT_WORDS)(
    _terms
)  # words repeat; a page without spaces is one token and does not


def _term(word: Word, language: str) -> str:
    text, is_plain = word
    if is_plain and language in _STEMMERS:
        text = _stemmer(language).stemWord(text) or text
    return text if language in _KEEPS_ACCENTS else _without_accents(text)


def _without_accents(text: str) -> str:
    """Greek and Latin letters without their marks, and the Russian yo as it is mostly written."""
    if all(ord(letter) < _ACCENTED_FROM for letter in text):
        return text
    return "".join(_plain(letter) for letter in text)


@lru_cache(_KEPT_WORDS)
def _plain(letter: str) -> str:
    if letter == "\u0451":
        return "\u0435"
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) > 1 and unicodedata.name(parts[0], "").startswith(_ACCENTED_SCRIPTS):
        return "".join(part for part in parts if ord(part) not in _ACCENTS)
    return "" if ord(letter) in _ACCENTS else letter


@cache
def _stemmer(language: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(_STEMMERS[language])
