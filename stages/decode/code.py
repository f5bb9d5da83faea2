"""Source code: one block a top-level definition, headed by its name, with its place in the file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.content import Block, Content
from stages.decode._encoding import read_text
from stages.decode._languages import DEFINITIONS
from stages.decode._normalise import squeeze, squeeze_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

_ATTACHED: Final = re.compile(
    r"\s*(?:#|//|/\*|\*|--|@|\[|\"\"\"|;;|%)"
)  # comments, decorators, attributes
_DECLARATION: Final = re.compile(
    rb"^[^\n]{0,80}coding[=:]\s*([-\w.]+)", re.M
)  # PEP 263; others write it so too
_HEADING_CHARS: Final = 120
_SEARCHED_CHARS: Final = 300  # of a line, for a definition: what is minified has none


def decode_code(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a file of source code.

    A definition that begins in the first column starts a block, together with the comments and decorators that stand
    right above it; its heading is the kind and name it is defined by. What stands before the first one is a block of
    its own, without a heading. Offsets are those of whole lines.

    Raises:
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    text, notes = read_text(path, options.limits.text_chars, _DECLARATION)
    return Content(
        media_type, blocks=tuple(code_blocks(text, DEFINITIONS[media_type])), notes=notes
    ), ()


def code_blocks(text: str, definition: re.Pattern[str]) -> Iterator[Block]:
    """Blocks of a source text in order, with their offsets in it.

    Args:
        text: The source.
        definition: Finds top-level definitions from the start of a line; group 1 becomes the heading.
    """
    lines = [
        (match.start(), match[0]) for match in re.finditer(r"[^\n]*(?:\n|$)", text) if match[0]
    ]
    starts: list[tuple[int, str]] = []  # (number of the line that a definition begins on, its name)
    for number, (_, line) in enumerate(lines):
        if match := definition.match(line[:_SEARCHED_CHARS]):
            starts.append(
                (_first_line(lines, number, starts[-1][0] if starts else -1), _name(match))
            )
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, ""))
    ends = [number for number, _ in starts[1:]]
    for (first, name), last in zip(starts, [*ends, len(lines)], strict=True):
        yield from _block(lines[first:last], name)


def _first_line(lines: list[tuple[int, str]], number: int, before: int) -> int:
    """The first of the comments and decorators right above a line."""
    while number - 1 > before and _ATTACHED.match(lines[number - 1][1]):
        number -= 1
    return number


def _name(match: re.Match[str]) -> str:
    return squeeze(match[1])[:_HEADING_CHARS]


def _block(lines: list[tuple[int, str]], name: str) -> Iterator[Block]:
    source = "".join(line for _, line in lines)
    text = squeeze_lines(source)
    if not text:
        return
    start = lines[0][0]
    end = start + len(source.rstrip())
    if name:
        yield Block("heading", name, 1, char_start=start, char_end=end)
    yield Block("code", text, char_start=start, char_end=end)
