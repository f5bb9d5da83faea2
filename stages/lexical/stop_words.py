"""Words of a question that say nothing of what is asked, by language. The lists are those of bm25s (MIT)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from stages.lexical.words import normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.lexical.words import Word

_LISTS: Final = {
    "da": "DANISH",
    "de": "GERMAN",
    "en": "EN_PLUS",
    "es": "SPANISH",
    "fr": "FRENCH",
    "it": "ITALIAN",
    "nl": "DUTCH",
    "no": "NORWEGIAN",
    "pt": "PORTUGUESE",
    "ru": "RUSSIAN",
    "sv": "SWEDISH",
    "tr": "TURKISH",
}


def without_stop_words(question: Sequence[Word]) -> list[Word]:
    """The words that are left; all of them where none would be.

    A question is too short to tell its language by its letters, but its stop words do: the lists that have most of its
    words count. So `war` is asked for in "what was the war about", though it is a stop word in German.
    """
    hits = {code: sum(word.text in known for word in question) for code, known in _lists().items()}
    most = max(hits.values())
    if not most:
        return list(question)
    stops = frozenset().union(*(_lists()[code] for code, count in hits.items() if count == most))
    return [word for word in question if word.text not in stops] or list(question)


@cache
def _lists() -> dict[str, frozenset[str]]:
    from bm25s import stopwords

    return {
        code: frozenset(map(normalised, getattr(stopwords, f"STOPWORDS_{name}")))
        for code, name in _LISTS.items()
    }
