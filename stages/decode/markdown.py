"""Markdown by markdown-it-py (CommonMark with tables). HTML in it is read as HTML, never run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from schemas.content import Block, Content
from schemas.errors import LimitError
from stages.decode._encoding import read_text
from stages.decode._grid import make_table
from stages.decode._normalise import squeeze, squeeze_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

    from schemas.content import BlockKind, TableData
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

_FRONT_MATTER: Final = re.compile(r"\s*---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\n|$)", re.S)
_FRONT_TITLE: Final = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.M)
_MAX_NESTING: Final = 200  # two calls a level, and Python allows 1000 calls inside each other
_LINK_NESTING: Final = 20  # CommonMark's own; what it costs grows with it
_INLINE_TAG: Final = re.compile(r"<br\s*/?>", re.I)


def decode_markdown(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a Markdown file: headings, paragraphs, list items, quotes, code, tables.

    The title is that of the front matter, else the first heading of level 1. Offsets are those of whole lines.

    Raises:
        LimitError: More rows, characters or quotes and lists inside each other than allowed.
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    text, notes = read_text(path, options.limits.text_chars)
    front, front_lines = _front_matter(text)
    reader = _Reader(path, options, _line_starts(text))
    reader.read(_tokens(text, front_lines, path, min(options.limits.nesting, _MAX_NESTING)))
    heading = next((b.text for b in reader.blocks if b.kind == "heading" and b.level == 1), "")
    return Content(
        media_type,
        title=front or heading,
        blocks=tuple(reader.blocks),
        tables=tuple(reader.tables),
        notes=(*notes, *reader.notes),
    ), ()


def _front_matter(text: str) -> tuple[str, int]:
    """The title in a YAML head, and the number of lines the head takes."""
    match = _FRONT_MATTER.match(text)
    if not match or ":" not in match[1]:
        return "", 0
    title = _FRONT_TITLE.search(match[1])
    return squeeze(title[1].strip("\"'")) if title else "", match[0].count("\n")


def _tokens(text: str, skip_lines: int, path: Path, limit: int) -> list[Token]:
    from markdown_it import MarkdownIt

    lines = text.split("\n")
    lines[:skip_lines] = [""] * skip_lines  # blank, so that line numbers stay
    # The parser drops what is nested deeper than it goes, without a word: the limit is seen one level before.
    parser = MarkdownIt("commonmark", {"maxNesting": limit + 3}).enable(["table", "strikethrough"])

    def check_blocks(state: StateCore) -> None:
        if any(
            token.level > limit + 1 for token in state.tokens
        ):  # the text of a block is one more
            raise LimitError(
                f"{path} has quotes and lists nested deeper than limits.nesting = {limit}"
            )
        parser.options["maxNesting"] = _LINK_NESTING

    parser.core.ruler.before("inline", "check_blocks", check_blocks)
    return parser.parse("\n".join(lines))


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text)), len(text)]


@dataclass(slots=True)
class _Reader:
    """Walks block tokens; what a leaf is depends on what is open around it."""

    path: Path
    options: DecodeOptions
    starts: list[int]
    blocks: list[Block] = field(default_factory=list)
    tables: list[TableData] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def read(self, tokens: Sequence[Token]) -> None:
        """Read all block tokens of a document."""
        rest = iter(tokens)
        for token in rest:
            if token.type == "table_open":
                self._table(rest)
            elif token.type == "html_block":
                self._html(token)
            elif token.type in ("fence", "code_block"):
                self._add("code", squeeze_lines(token.content), token)
            elif token.type == "inline":
                self._add(self._kind(), squeeze(_inline_text(token)), token)
            elif token.nesting == 1:
                self._open.append(token.tag)
            elif token.nesting == -1:
                self._open.pop()

    def _kind(self) -> BlockKind:
        if self._open and self._open[-1][:1] == "h":
            return "heading"
        if "li" in self._open:
            return "list_item"
        return "quote" if "blockquote" in self._open else "paragraph"

    def _add(self, kind: BlockKind, text: str, token: Token) -> None:
        if not text:
            return
        level = int(self._open[-1][1:]) if kind == "heading" else 0
        start, end = self._span(token)
        self.blocks.append(Block(kind, text, level, char_start=start, char_end=end))

    def _span(self, token: Token) -> tuple[int, int]:
        first, last = token.map or (0, 0)
        last = min(last, len(self.starts) - 1)
        return self.starts[first], max(self.starts[first], self.starts[last] - 1)

    def _table(self, rest: Iterator[Token]) -> None:
        rows: list[list[str]] = []
        for token in rest:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(squeeze(_inline_text(token)))
        limit = self.options.limits.rows
        table, notes = make_table("", [tuple(row) for row in rows], 1, self.path, limit)
        if table:
            self.tables.append(table)
        self.notes += notes

    def _html(self, token: Token) -> None:
        from stages.decode.html import read_html

        found = read_html(token.content, self.path, self.options)
        start, end = self._span(token)
        for block in found.blocks:
            self.blocks.append(
                Block(block.kind, block.text, block.level, char_start=start, char_end=end)
            )
        self.tables += found.tables
        self.notes += found.notes


def _inline_text(token: Token) -> str:
    """What a reader sees: link texts, alternative texts of pictures, code; no tags."""
    parts = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "image":
            parts.append(_inline_text(child) or child.content)
        elif child.type in ("softbreak", "hardbreak") or _INLINE_TAG.fullmatch(child.content):
            parts.append("\n")
    return "".join(parts)
