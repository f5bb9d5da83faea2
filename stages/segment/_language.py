"""The language of a text, by py3langid: a naive Bayes over byte n-grams that always gives the same answer.

Measured on the 355 passages of PDFs in 34 languages: 95 % answered, 0.9 % of the answers wrong; a passage of 500
characters takes 0.6 ms, loading the model about a second once in a process.
"""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from stages.segment._sizes import WHOLE, word_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.content import Content

_LEAST_LETTERS: Final = 60  # below, every twentieth answer is wrong, however sure the model is
_LEAST_DENSE_LETTERS: Final = 12  # of scripts whose letters are syllables or words
_FIRST_DENSE: Final = "\u2e80"  # from here on: Chinese, Japanese, Korean
_LEAST_PROBABILITY: Final = 0.8  # more silences good answers only
_DOCUMENT_PROBABILITY: Final = 0.5  # a document in two languages has the one of most of it
_READ_CHARS: Final = 600
_READ_DOCUMENT_CHARS: Final = 2000
_SENTENCE_WORDS: Final = 4
_READ_CELLS: Final = 10_000
_CODE_LETTERS: Final = (
    2  # ISO 639-1; languages without such a code would only take answers from others
)
_NO_LANGUAGE: Final = "zxx"  # the name of the model for what is none


def language_of(text: str, fallback: str = "") -> str:
    """Language of a text.

    Args:
        text: Its first 600 characters are read.
        fallback: Answer where the text is too short or too mixed to tell; for a passage the language of its document.

    Returns:
        ISO 639-1 code, or `fallback`.
    """
    return _classify(text[:_READ_CHARS], _LEAST_PROBABILITY) or fallback


def language_of_document(texts: Iterable[str]) -> str:
    """Language of a document, from the first 2000 characters of its texts; empty where they are too short to tell."""
    letters = (letter for text in texts for letter in f"{text}\n")
    return _classify("".join(islice(letters, _READ_DOCUMENT_CHARS)), _DOCUMENT_PROBABILITY)


def language_of_content(content: Content) -> str:
    """Language of the running text of a file, code apart; empty where there is too little of it."""
    return language_of_document(block.text for block in content.blocks if block.kind != "code")


def language_of_cells(cells: Iterable[str], fallback: str = "") -> str:
    """Language of the sentences in a table, or `fallback`: names, numbers and single words say little of it."""
    prose = (
        cell
        for cell in islice(cells, _READ_CELLS)
        if word_sizes([cell])[0] >= _SENTENCE_WORDS * WHOLE
    )
    letters = (letter for cell in prose for letter in f"{cell}\n")
    return language_of("".join(islice(letters, _READ_CHARS)), fallback)


def _classify(text: str, least_probability: float) -> str:
    letters = [letter for letter in text if letter.isalpha()]
    if (
        len(letters) < _LEAST_LETTERS
        and sum(c >= _FIRST_DENSE for c in letters) < _LEAST_DENSE_LETTERS
    ):
        return ""
    code, probability = _identifier().classify(text)
    return code if probability >= least_probability and code != _NO_LANGUAGE else ""


@cache
def _identifier() -> Any:
    """The model, once in a process."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    codes = [code for code in identifier.labels if len(code) == _CODE_LETTERS]
    identifier.set_languages([*codes, _NO_LANGUAGE])
    return identifier
