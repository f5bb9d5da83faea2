"""Cutting text at the ends of sentences, and counting it. Nothing is ever dropped: spans touch but for white space."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Measure = Callable[[Sequence[str]], list[int]]

Span = tuple[int, int]

# Chinese and Japanese write no spaces, so each character counts; a longer run of anything else counts by the piece.
_CJK: Final = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_WORD: Final = re.compile(rf"[{_CJK}]|[^\s{_CJK}]{{1,50}}")
_END: Final = re.compile(
    r"[.!?\u2026\u0964\u06d4]+[\"'\u201d\u2019\u00bb)\]]*(?=\s)|[\u3002\uff01\uff1f]+[\u300d\u300f\uff09]*|\n"
)
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Mt|Gen|Col|Lt|Sgt|Rep|Sen|Gov|Rev|Hon|No|Nos|vs|cf|al|Fig|Figs|Eq|Sec|Ch|Vol|"
    r"pp?|ed|eds|ca|approx|dept|est|e\.g|i\.e|viz|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    r"|(?:^|[\s.(])[A-Z])\.$"
)
_LOOK_BACK_CHARS: Final = 12


def count_words(texts: Sequence[str]) -> list[int]:
    """Words of each text: by white space, a Chinese or Japanese character each, at most 50 characters a word."""
    return [sum(1 for _ in _WORD.finditer(text)) for text in texts]


def sentences(text: str) -> list[Span]:
    """Spans of the sentences of a text, without the white space between them."""
    spans = []
    start = 0
    for match in _END.finditer(text):
        if not _ends_sentence(text, match):
            continue
        spans.append((start, match.end()))
        start = match.end()
    spans.append((start, len(text)))
    return [span for span in (_trim(text, *s) for s in spans) if span[0] < span[1]]


def fitting_sentences(
    texts: Sequence[str], limit: int, measure: Measure
) -> list[list[tuple[Span, int]]]:
    """Sentences of each text with their sizes; one above `limit` is cut between words.

    Args:
        texts: Texts to cut.
        limit: Largest size of a span.
        measure: Sizes of several texts at once; called once for all sentences.
    """
    spans = [sentences(text) for text in texts]
    sizes = iter(measure([text[a:b] for text, s in zip(texts, spans, strict=True) for a, b in s]))
    fitting = []
    for text, text_spans in zip(texts, spans, strict=True):
        cut: list[tuple[Span, int]] = []
        for span in text_spans:
            size = next(sizes)
            cut += (
                [(span, size)] if size <= limit else _cut_between_words(text, span, limit, measure)
            )
        fitting.append(cut)
    return fitting


def pack(sizes: Sequence[int], limit: int) -> Iterator[range]:
    """Greedy runs of neighbours whose sizes add up to at most `limit`; one that is larger stands alone."""
    start, total = 0, 0
    for i, size in enumerate(sizes):
        if i > start and total + size > limit:
            yield range(start, i)
            start, total = i, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))


def pack_evenly(sizes: Sequence[int], limit: int) -> list[range]:
    """As few runs as :func:`pack` needs, of about equal size: 105 words become 52 + 53, not 100 + 5."""
    runs = list(pack(sizes, limit))
    low, high = max(sizes, default=0), limit
    while low < high:  # the smallest limit that needs no more runs
        middle = (low + high) // 2
        if sum(1 for _ in pack(sizes, middle)) <= len(runs):
            high = middle
        else:
            low = middle + 1
    return list(pack(sizes, high))


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if not match[0].startswith("."):
        return True
    following = text[match.end() : match.end() + 2].strip()
    before = text[max(0, match.start() - _LOOK_BACK_CHARS) : match.start() + 1]
    return not following[:1].islower() and not _ABBREVIATION.search(before)


def _cut_between_words(
    text: str, span: Span, limit: int, measure: Measure
) -> list[tuple[Span, int]]:
    words = [match.span() for match in _WORD.finditer(text, *span)]
    sizes = measure([text[a:b] for a, b in words])
    return [
        ((words[run[0]][0], words[run[-1]][1]), sum(sizes[i] for i in run))
        for run in pack_evenly(sizes, limit)
    ]


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    stripped = piece.strip()
    start += len(piece) - len(piece.lstrip())
    return start, start + len(stripped)
