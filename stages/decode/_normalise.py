"""White space and characters that nobody sees, made equal for all decoders of text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPACE: Final = re.compile(r"\s+")
_OVERSTRIKE: Final = re.compile(r"(?:[^\n\x08]\x08)+")  # bold and underlined letters of man pages
# Control characters, soft hyphen, zero-width space, word joiner, byte-order mark, marks of direction. Not U+200C
# and U+200D: joiners are part of the spelling of Persian, of Indic scripts and of emoji.
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+"
)
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def squeeze(text: str) -> str:
    """The text on one line: NFC, unseen characters gone, every run of white space one space, none at the ends."""
    return _SPACE.sub(" ", visible(text)).strip()


def visible(text: str) -> str:
    """The text in NFC without unseen characters, its lines kept."""
    if text.isascii() and text.isprintable():
        return text
    text = _UNSEEN.sub("", _OVERSTRIKE.sub("", text))
    return unicodedata.normalize("NFC", _SURROGATE.sub("\ufffd", text))


def squeeze_lines(text: str) -> str:
    """Code and other text whose lines matter: unseen characters, ends of lines and empty outer lines go."""
    lines = [line.rstrip() for line in visible(text).expandtabs(4).splitlines()]
    indent = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[indent:] for line in lines).strip("\n")
