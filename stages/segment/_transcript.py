"""Words and sound tags of a span of time, as text that a person reads and a text encoder embeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schemas.content import SoundContent

RECORDING_WORDS: Final = (
    200  # from the start; more would be cut off by a text encoder of 256 tokens
)
_TOP_TAGS: Final = 5
# AudioSet's branch "Human voice > Speech": says nothing more where there is a transcript.
_SPEECH: Final = frozenset(
    {"Speech", "Child speech, kid speaking", "Conversation", "Narration, monologue"}
    | {"Babbling", "Speech synthesizer"}
)


def spoken(sound: SoundContent, start_s: float, end_s: float) -> str:
    """What is said in a span: the passages whose middle is in it, joined by spaces."""
    return " ".join(
        words.text
        for words in sound.words
        if start_s <= _middle(words.start_s, words.end_s, sound.duration_s) < end_s
    )


def heard(sound: SoundContent, start_s: float, end_s: float) -> tuple[tuple[str, float], ...]:
    """Sound tags that overlap a span, each with its best score: up to 5 of (label, score), best first."""
    best: dict[str, float] = {}
    for window in sound.tags:
        if window.start_s < end_s and window.end_s > start_s:
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


def _middle(start_s: float, end_s: float, duration_s: float) -> float:
    # The last passage may be said to end after the recording does.
    return min((start_s + end_s) / 2, max(0.0, duration_s - 0.001))
