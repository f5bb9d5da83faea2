"""What a paragraph of a Word document is, by its own properties and those of the styles it is based on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stages.decode._xml import word

if TYPE_CHECKING:
    from schemas.content import BlockKind

    Element = Any  # lxml has no types of its own

VALUE: Final = word("val")
_BODY_TEXT: Final = 9  # the outline level of what is no heading (ECMA-376 part 1, 17.3.1.20)
_CHAIN: Final = 20  # styles based on each other; Word allows 11
_HEADING: Final = re.compile(r"heading (\d)")
_SKIPPED: Final = re.compile(r"toc \d|toc heading|table of (?:figures|authorities)|index \d")
# Names of built-in styles, which Word stores in English whatever language it speaks.
_KINDS: Final[tuple[tuple[re.Pattern[str], BlockKind], ...]] = (
    (re.compile(r"caption"), "caption"),
    (re.compile(r"(?:intense )?quote|block text"), "quote"),
    (re.compile(r"html preformatted|macro|plain text|.*\bcode\b.*|source text"), "code"),
    (re.compile(r"list (?:bullet|number)(?: \d)?"), "list_item"),
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a paragraph is. `skipped` is what repeats the document, such as a table of contents."""

    kind: BlockKind
    level: int = 0
    is_title: bool = False
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class _Style:
    name: str
    based_on: str
    outline: str | None
    numbered: bool


class Styles:
    """The styles of a document.

    Args:
        root: The ``w:styles`` element.
    """

    def __init__(self, root: Element) -> None:
        self._styles: dict[str, _Style] = {}
        self._default = ""
        self._looks: dict[str, Look] = {}
        for style in root.iter(word("style")):
            if style.get(word("type"), "paragraph") != "paragraph":
                continue
            style_id = style.get(word("styleId"), "")
            self._styles[style_id] = _read_style(style)
            if style.get(word("default")) in ("1", "true", "on"):
                self._default = style_id

    def look(self, paragraph: Element) -> Look:
        """What a ``w:p`` is."""
        properties = paragraph.find(word("pPr"))
        style_id = self._default
        if properties is None:
            return self._by_style(style_id)
        style_id = _value(properties.find(word("pStyle"))) or style_id
        look = self._by_style(style_id)
        level = _level(_value(properties.find(word("outlineLvl"))))
        if level is not None and not look.skipped:
            look = Look("heading", level) if level else Look("paragraph")
        number = _value(properties.find(f"{word('numPr')}/{word('numId')}"))
        if number not in (None, "0") and look.kind == "paragraph":
            return Look("list_item")
        return look

    def _by_style(self, style_id: str) -> Look:
        if style_id not in self._looks:
            self._looks[style_id] = self._find_look(style_id)
        return self._looks[style_id]

    def _find_look(self, style_id: str) -> Look:
        numbered = False
        for _ in range(_CHAIN):
            style = self._styles.get(style_id)
            if style is None:
                break
            if look := _by_name(style):
                return look
            numbered = numbered or style.numbered
            style_id = style.based_on
        return Look("list_item") if numbered else Look("paragraph")


def _read_style(style: Element) -> _Style:
    properties = style.find(word("pPr"))
    outline, numbered = None, False
    if properties is not None:
        outline = _value(properties.find(word("outlineLvl")))
        numbered = properties.find(word("numPr")) is not None
    name = (_value(style.find(word("name"))) or "").lower()
    return _Style(name, _value(style.find(word("basedOn"))) or "", outline, numbered)


def _by_name(style: _Style) -> Look | None:
    if _SKIPPED.fullmatch(style.name):
        return Look("paragraph", skipped=True)
    if style.name == "title":
        return Look("heading", 1, is_title=True)
    level = _level(style.outline)
    if level:
        return Look("heading", level)
    if heading := _HEADING.fullmatch(style.name):
        return Look("heading", int(heading[1]))
    kind = next((kind for pattern, kind in _KINDS if pattern.fullmatch(style.name)), None)
    return Look(kind) if kind else None


def _level(outline: str | None) -> int | None:
    """Level of a heading from 1, 0 for what says that it is none, None for what says nothing."""
    if outline is None or not outline.isdecimal() or len(outline) > 1:
        return None
    return 0 if int(outline) >= _BODY_TEXT else int(outline) + 1


def _value(element: Element | None) -> str | None:
    return None if element is None else element.get(VALUE)
