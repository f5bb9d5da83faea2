"""Plain text: paragraphs between blank lines, and the headings that plain-text habits make clear."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.content import Block, Content
from stages.decode._encoding import read_text
from stages.decode._normalise import squeeze, squeeze_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.content import BlockKind
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

_LINE: Final = re.compile(r"[^\n\f]+|\f|\n")
_RULE: Final = re.compile(r"\s*([=\-~^*_#+.\"'`:])\1{2,}\s*")
_BULLET: Final = re.compile(r"\s*(?:[-*+•‣▪·]{1,4}|\d{1,3}[.)]|\(?\d{1,3}\)|\(?[a-z]\))\s+(?=\S)")
_MARK: Final = re.compile(r"\s*[-*+•‣▪·]{1,4}\s+")
_NUMBERED: Final = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+[^\W\d_].{1,70}[^.!?,;:\s]")
_CHAPTER: Final = re.compile(
    r"(?:chapter|part|book|appendix)\s+(?:\d+|[ivxlc]+|[a-z])\b.{0,60}", re.I
)
_WRAPPED_CHARS: Final = 120  # a longer line was not wrapped: its end is the end of a paragraph
_CAPS_CHARS: Final = 60
_CAPS_LETTERS: Final = 3
_CODE_INDENT: Final = 4
_CODE_SYMBOLS: Final = re.compile(r"[{}()\[\];=<>$\\|&]")
_CODE_SHARE: Final = 0.04
# A word broken at its hyphen keeps the hyphen and loses the break: "self-\nevident".
_BROKEN: Final = re.compile(r"(?<=[a-z]-)\n\s*(?=[a-z])")


def decode_text(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a plain text file.

    Blocks carry offsets into the text as Python's text mode reads it. The title is a heading that the text
    begins with.

    Raises:
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    text, notes = read_text(path, options.limits.text_chars)
    blocks = tuple(plain_blocks(text))
    title = blocks[0].text if blocks and blocks[0].kind == "heading" else ""
    return Content(media_type, title=title, blocks=blocks, notes=notes), ()


def plain_blocks(text: str) -> Iterator[Block]:
    """Blocks of a plain text in order, with their offsets in it."""
    levels: dict[str, int] = {}
    for chunk in _chunks(text):
        yield from _blocks_of(chunk, levels)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def indent(self) -> int:
        expanded = self.text.expandtabs(8)
        return len(expanded) - len(expanded.lstrip())


def _chunks(text: str) -> Iterator[list[_Line]]:
    """Runs of lines without a blank one between them; a form feed counts as blank."""
    chunk: list[_Line] = []
    newlines = 0
    for match in _LINE.finditer(text):
        if match[0] == "\n":
            newlines += 1
            continue
        if chunk and (newlines > 1 or match[0] == "\f"):
            yield chunk
            chunk = []
        newlines = 0 if match[0].strip() else 1
        if newlines == 0:
            chunk.append(_Line(match[0], match.start()))
    if chunk:
        yield chunk


def _blocks_of(lines: list[_Line], levels: dict[str, int]) -> Iterator[Block]:
    heading, lines = _heading(lines, levels)
    if heading:
        yield heading
    lines = _without_rules(lines)
    if not lines:
        return
    if _is_code(lines):
        yield from _block("code", lines)
        return
    for group in _paragraphs(lines):
        bullet = _BULLET.match(group[0].text)
        yield from _block("list_item" if bullet else "paragraph", group)


def _heading(lines: list[_Line], levels: dict[str, int]) -> tuple[Block | None, list[_Line]]:
    """The heading that a chunk begins with, or None, and the lines after it."""
    over = _RULE.fullmatch(lines[0].text)
    title = 1 if over and len(lines) > 2 else 0
    under = _RULE.fullmatch(lines[title + 1].text) if len(lines) > title + 1 else None
    if under and not _RULE.fullmatch(lines[title].text) and _underlines(lines[title], under):
        style = f"{over[1] if title and over else ''}{under[1]}"
        return _make_heading(lines[title], style, levels), lines[title + 2 :]
    first = lines[0]
    alone = len(lines) == 1
    if _is_caps(first) and (alone or lines[1].indent > 1):  # a man page indents what follows
        return _make_heading(first, "capitals", levels), lines[1:]
    if alone and _CHAPTER.fullmatch(first.text.strip()):
        return _make_heading(first, first.text.split()[0].lower(), levels), []
    number = _NUMBERED.fullmatch(first.text.rstrip()) if alone else None
    if number:
        return _make_heading(first, "1" + ".1" * number[1].count("."), levels), []
    return None, lines


def _underlines(title: _Line, rule: re.Match[str]) -> bool:
    length = len(title.text.strip())
    return length <= _WRAPPED_CHARS and len(rule[0].strip()) * 2 >= length


def _make_heading(line: _Line, style: str, levels: dict[str, int]) -> Block | None:
    """Levels go by the order in which styles first appear, as in reStructuredText."""
    level = levels.setdefault(style, len(levels) + 1)
    text = squeeze(line.text)
    return Block("heading", text, level, char_start=line.start, char_end=line.end) if text else None


def _is_caps(line: _Line) -> bool:
    text = line.text.strip()
    return (
        line.indent == 0
        and len(text) <= _CAPS_CHARS
        and text.isupper()
        and sum(letter.isalpha() for letter in text) >= _CAPS_LETTERS
        and text[-1] not in ".,;!?"
        and not _CODE_SYMBOLS.search(text.replace("(", "").replace(")", ""))  # LS(1) is a heading
    )


def _without_rules(lines: list[_Line]) -> list[_Line]:
    return [line for line in lines if not _RULE.fullmatch(line.text)]


def _is_code(lines: list[_Line]) -> bool:
    if min(line.indent for line in lines) < _CODE_INDENT:
        return False
    text = "".join("".join(line.text.split()) for line in lines)
    return len(_CODE_SYMBOLS.findall(text)) >= len(text) * _CODE_SHARE


def _paragraphs(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Split where a bullet begins or after a line that is a whole paragraph."""
    group: list[_Line] = []
    for line in lines:
        if group and (_BULLET.match(line.text) or len(group[-1].text) > _WRAPPED_CHARS):
            yield group
            group = []
        group.append(line)
    if group:
        yield group


def _block(kind: BlockKind, lines: list[_Line]) -> Iterator[Block]:
    whole = "\n".join(line.text for line in lines)
    mark = _MARK.match(whole) if kind == "list_item" else None
    start = mark.end() if mark else 0
    whole = whole[start:]
    text = squeeze_lines(whole) if kind == "code" else squeeze(_BROKEN.sub("", whole))
    if text:
        yield Block(kind, text, char_start=lines[0].start + start, char_end=lines[-1].end)
