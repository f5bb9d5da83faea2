"""What a model wrote, made fit to be stored: plain words on one line, each said once, not too many of them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_WORDS: Final = 80
_MAX_CHARS: Final = 1_000
# A model that lost its thread says one thing again and again: as many words as may repeat, and how often at most.
_LOOP_WORDS: Final = 12
_LOOPS: Final = 3
_SPECIAL: Final = re.compile(r"<[|/]?[A-Za-z_][\w :|/-]{0,40}>|<\|[^|>]{1,40}\|>")
_LABEL: Final = re.compile(
    r"^(?:answer|assistant|caption|description|question|response)\s*:\s*", re.I
)
_END: Final = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\]\u201d\u2019]*(?=\s|$)")


def clean(text: str) -> str:
    r"""One line of plain text; empty if nothing is left that says something.

    Control and format characters (overrides of direction among them), marks of a tokeniser and labels before the
    answer are taken out, white space is one blank, a loop is cut after its first round, and what is longer than 80
    words or 1,000 characters ends at the last sentence before that.

    Example:
        >>> clean("Caption: A mill.\x00  A mill. A mill. A mill. A mill.")
        'A mill.'
    """
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
    text = _SPECIAL.sub(" ", text)
    text = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in text)
    text = _LABEL.sub("", " ".join(text.split()))
    text = _shortened(_without_loops(text))
    return text if any(c.isalnum() for c in text) else ""


_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def _without_loops(text: str) -> str:
    """Up to and with the first round of what is said three times in a row or more."""
    words = text.split(" ")
    for start in range(len(words)):
        for size in range(1, _LOOP_WORDS + 1):
            end = start + size * _LOOPS
            if end > len(words):
                break
            if words[start : start + size] * _LOOPS == words[start:end]:
                return " ".join(words[: start + size])
    return text


def _shortened(text: str) -> str:
    words = text.split(" ")
    if len(words) <= MAX_WORDS and len(text) <= _MAX_CHARS:
        return text
    cut = " ".join(words[:MAX_WORDS])[:_MAX_CHARS]
    ends = [match.end() for match in _END.finditer(cut)]
    return cut[: ends[-1]] if ends else cut.rpartition(" ")[0] or cut
