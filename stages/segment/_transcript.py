"""Words and sound tags of a span of time, as text that a person reads and a text encoder embeds."""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import SoundContent, SpokenWords

RECORDING_WORDS: Final = (
    200  # from the start; more would be cut off by a text encoder of 256 tokens
)
_TOP_TAGS: Final = 5
# AudioSet's branch "Human voice > Speech": says nothing more where there is a transcript.
_SPEECH: Final = frozenset(
    {"Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue"}
    | {"Babbling", "Speech synthesizer"}
)
# Thai, Lao, Burmese, Khmer, CJK punctuation, kana, Chinese characters, full-width forms.
_NO_BLANKS: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
)


def spoken(sound: SoundContent, start_s: float, end_s: float) -> str:
    """What is said in a span: the words (or passages) whose middle is in it.

    So each belongs to exactly one of spans that lie side by side. They are joined by blanks, but for scripts that
    write none. Words stand in the order of their middles.
    """
    first, last = (
        bisect_left(sound.words, time_s, key=lambda word: _middle(word, sound.duration_s))
        for time_s in (start_s, end_s)
    )
    return _joined([word.text for word in sound.words[first:last]])


def heard(sound: SoundContent, start_s: float, end_s: float) -> tuple[tuple[str, float], ...]:
    """Sound tags that overlap a span, each with its best score: up to 5 of (label, score), best first."""
    best: dict[str, float] = {}
    first = bisect_left(sound.tags, start_s, key=lambda window: window.end_s)
    for window in sound.tags[first:]:
        if window.start_s >= end_s:
            break
        if window.end_s > start_s:
            for label, score in window.tags:
                best[label] = max(score, best.get(label, 0.0))
    return tuple(sorted(best.items(), key=lambda tag: (-tag[1], tag[0]))[:_TOP_TAGS])


def span_text(words: str, tags: tuple[tuple[str, float], ...]) -> str:
    """The words, then a line ``Sounds: dog, bark``; empty if there is neither.

    Tags that only say that somebody speaks are left out beside words.
    """
    labels = [label.lower() for label, _ in tags if not (words and label in _SPEECH)]
    sounds = f"Sounds: {'; '.join(labels)}" if labels else ""
    return "\n".join(part for part in (words, sounds) if part)


def attributes(words: str, tags: tuple[tuple[str, float], ...]) -> dict[str, str]:
    """``speech`` yes or no, and ``tags`` with scores where there are any."""
    facts = {"speech": "yes" if words else "no"}
    if tags:
        facts["tags"] = "; ".join(f"{label} {score:.2f}" for label, score in tags)
    return facts


def beginning(text: str) -> str:
    """Its first 200 words."""
    words = text.split(" ")
    return text if len(words) <= RECORDING_WORDS else " ".join(words[:RECORDING_WORDS]) + " ..."


def _joined(texts: Sequence[str]) -> str:
    """Running text of words."""
    parts = list(texts[:1])
    for before, after in pairwise(texts):
        unspaced = _NO_BLANKS.match(before[-1:]) and _NO_BLANKS.match(after[:1])
        parts += [after] if unspaced else [" ", after]
    return "".join(parts)


def _middle(word: SpokenWords, duration_s: float) -> float:
    # The last passage may be said to end after the recording does.
    return min((word.start_s + word.end_s) / 2, max(0.0, duration_s - 0.001))
