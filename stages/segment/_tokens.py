"""Counting tokens piece by piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.segment._sizes import least_token_sizes, token_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.segment._split import Measure
    from stages.segment.options import CountTokens


def token_measure(count_tokens: CountTokens | None) -> tuple[Measure, int]:
    """A function that sizes pieces of a text, and the tokens that any text costs on top.

    An encoder's counter includes special tokens and the prompt in every count; they are taken off each piece, to be
    paid once for the whole. A tokeniser that does not know a script gives one unknown token for a whole line of it, so
    what is written without spaces has a least number. Without a counter, tokens are
    estimated.
    """
    if count_tokens is None:
        return token_sizes, 0
    counter = count_tokens
    (overhead,) = counter([""])

    def measure(texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        least = least_token_sizes(texts)
        return [max(n - overhead, size) for n, size in zip(counter(texts), least, strict=True)]

    return measure, overhead
