"""Counting tokens piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stages.segment._split import count_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.segment._split import Measure
    from stages.segment.options import CountTokens

_TOKENS_PER_WORD_PERCENT: Final = (
    133  # English prose under WordPiece, about 3 tokens in 4 words being whole words
)


def token_measure(count_tokens: CountTokens | None) -> tuple[Measure, int]:
    """A function that sizes pieces of a text, and the tokens that any text costs on top.

    An encoder's counter includes special tokens and the prompt in every count; they are taken off each piece, to be
    paid once for the whole. Without a counter, tokens are estimated from words.
    """
    if count_tokens is None:
        return _estimate, 0
    counter = count_tokens
    (overhead,) = counter([""])

    def measure(texts: Sequence[str]) -> list[int]:
        return [max(0, n - overhead) for n in counter(texts)] if texts else []

    return measure, overhead


def _estimate(texts: Sequence[str]) -> list[int]:
    return [-(-words * _TOKENS_PER_WORD_PERCENT // 100) for words in count_words(texts)]
