"""HTML by lxml's forgiving parser: what a reader sees of the main content, without network or scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Block, Content
from schemas.errors import LimitError
from stages.decode._encoding import read_text
from stages.decode._htmltable import is_data_table, read_table
from stages.decode._normalise import squeeze, squeeze_lines

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import BlockKind, TableData
    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

    Element = Any  # lxml has no types of its own

DECLARATION: Final = re.compile(
    rb"<(?:meta\b[^>]*?charset|\?xml\b[^>]*?encoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.I
)
_NEVER_SHOWN: Final = (
    "script", "style", "template", "noscript", "svg", "iframe", "object", "embed", "canvas", "audio", "video",
    "select", "datalist", "dialog", "button",
)  # fmt: skip
_AROUND: Final = frozenset({"nav", "footer", "aside", "menu"})
_AROUND_ROLES: Final = frozenset(
    {"navigation", "banner", "contentinfo", "complementary", "search", "menu"}
)
# What pages call that which is around their content. It counts where most of its text is links, as in the bars of
# texinfo and the lists of contents of DocBook.
_AROUND_NAME: Final = re.compile(
    r"(?:^|[\s_-])(?:nav|navbar|navigation|navheader|navfooter|nav-?panel|topnav|bottomnav|header|footer|sidebar|menu|toc"
    r"|contents|breadcrumbs?|pager|pagination|related|links|share|social)(?:$|[\s_-])",
    re.I,
)
_AROUND_LINKS: Final = 0.6  # share of the letters of what is around that is links
_LOOKS: Final = (
    10_000_000  # texts of a page that are counted for it; the rest of the page counts as content
)
# What links a heading to itself.
_ANCHORS: Final = frozenset({"#", "\u00a7", "\U0001f517"})
_MAIN_IDS: Final = frozenset(
    {"content", "main", "main-content", "maincontent", "bodyContent", "mw-content-text", "article"}
)
_HIDDEN_STYLE: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_BLOCK_TAGS: Final = frozenset(
    [
        "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
        "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
        "header", "hr", "html", "legend", "li", "main", "menu", "nav", "ol", "p", "pre", "section", "summary",
        "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    ]
)  # fmt: skip
_KINDS: Final[dict[str, BlockKind]] = {
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "heading"),
    **dict.fromkeys(("li", "dt", "dd"), "list_item"),
    **dict.fromkeys(("figcaption", "caption", "legend"), "caption"),
    "pre": "code",
    "blockquote": "quote",
}
_HEADINGS: Final = tuple(f"h{level}" for level in range(1, 7))
_MAIN_CHARS: Final = 200
_MAIN_SHARE: Final = 0.3


@dataclass(slots=True)
class HtmlContent:
    """What was found in a page or fragment."""

    title: str = ""
    blocks: list[Block] = field(default_factory=list)
    tables: list[TableData] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def decode_html(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a web page: headings, paragraphs, lists, quotes, code, tables.

    Navigation, footers, scripts and hidden parts are left out, unless there is nothing else.
    Offsets are those of the source line that a block begins on.

    Raises:
        LimitError: More rows, characters or elements inside each other than allowed.
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    text, notes = read_text(path, options.limits.text_chars, DECLARATION)
    found = read_html(text, path, options)
    return Content(
        media_type,
        title=found.title,
        blocks=tuple(found.blocks),
        tables=tuple(found.tables),
        notes=(*notes, *found.notes),
    ), ()


def read_html(text: str, path: Path, options: DecodeOptions) -> HtmlContent:
    """Read a page or a fragment of one.

    Args:
        text: HTML, however broken.
        path: The file, for messages.
        options: Limits.

    Raises:
        LimitError: A table has more rows than allowed, or elements are nested too deep.
    """
    root = _parse(text, path, options.limits.nesting)
    if root is None:
        return HtmlContent()
    title = _title(root)
    main = _main(root)
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found = _walk(main, _Walker(path, options, starts))
    if not (found.blocks or found.tables):  # all is navigation or hidden: better that than nothing
        found = _walk(root, _Walker(path, options, starts, keep_all=True))
    found.title = title
    return found


def _parse(text: str, path: Path, limit_nesting: int) -> Element | None:
    from lxml import etree

    # As UTF-8 bytes, because lxml refuses a str that declares another encoding; NULs would end the document.
    data = text.replace("\0", "").encode("utf-8", "replace")
    parser = etree.HTMLParser(
        encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:  # nothing but comments or declarations
        return None
    # What is nested deeper than the parser goes would be missing without a word.
    if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
        raise _too_deep(path, limit_nesting)
    if root is not None:
        etree.strip_elements(root, *_NEVER_SHOWN, with_tail=False)
    return root


def _too_deep(path: Path, limit: int) -> LimitError:
    return LimitError(f"{path} has elements nested deeper than limits.nesting = {limit}")


def _title(root: Element) -> str:
    """The page's title; or its only h1 where that is part of the title, which adds the site's name."""
    title = squeeze(root.findtext(".//title") or "")
    tops = [squeeze("".join(h1.itertext())) for h1 in root.iter("h1")]
    if len(tops) == 1 and tops[0] and (not title or tops[0].casefold() in title.casefold()):
        return tops[0]
    return title


def _main(root: Element) -> Element:
    """The element that says it is the main content, if it has a good part of the text; else the body."""
    body = root.find("body") if root.tag == "html" else root
    body = root if body is None else body
    articles = list(body.iter("article"))
    marked = [
        *body.iter("main"),
        *body.xpath(".//*[@role='main']"),
        *({e.get("id"): e for e in body.xpath(".//*[@id]") if e.get("id") in _MAIN_IDS}.values()),
        *(articles if len(articles) == 1 else []),
    ]
    if not marked:
        return body
    sizes = [_text_chars(element) for element in marked]
    best = sizes.index(max(sizes))
    enough = sizes[best] >= max(_MAIN_CHARS, _text_chars(body) * _MAIN_SHARE)
    return marked[best] if enough else body


def _text_chars(element: Element) -> int:
    return sum(len(text.strip()) for text in element.itertext())


@dataclass(frozen=True, slots=True)
class _Open:
    kind: BlockKind
    level: int
    line: int


@dataclass(slots=True)
class _Walker:
    """Gathers inline text until a block begins or ends."""

    path: Path
    options: DecodeOptions
    starts: list[int]
    keep_all: bool = False
    found: HtmlContent = field(default_factory=HtmlContent)
    _open: list[_Open] = field(default_factory=lambda: [_Open("paragraph", 0, 1)])
    _text: list[str] = field(default_factory=list)
    _broken_at: int | None = None
    _looks: int = _LOOKS

    def start(self, element: Element) -> bool:
        """Enter an element; False to skip what is in it."""
        tag = element.tag
        if not self.keep_all and (
            tag in _AROUND or _is_hidden(element) or self._is_around(element)
        ):
            if tag in _BLOCK_TAGS:
                self._flush()
            return False
        if tag == "table" and is_data_table(element):
            self._flush()
            self._table(element)
            return False
        if tag in _BLOCK_TAGS:
            self._flush()
            self._push(element)
        elif tag == "br":
            self._break()
        elif tag == "img":
            self._text.append(f" {element.get('alt', '')} ")
        if tag not in ("title", "head", "textarea"):
            self._text.append(element.text or "")
        return bool(tag != "head")

    def end(self, element: Element, *, entered: bool) -> None:
        """Leave an element, and take the text after it."""
        if entered and element.tag in _BLOCK_TAGS:
            self._flush()
            self._open.pop()
        self._text.append(element.tail or "")

    def _is_around(self, element: Element) -> bool:
        """Whether an element is navigation by its name and its links, or the sign that links a heading to itself."""
        if element.tag == "a":
            text = "" if len(element) else (element.text or "").strip()
            return text == "\u00b6" or (text in _ANCHORS and self._open[-1].kind == "heading")
        name = f"{element.get('class', '')} {element.get('id', '')} {element.tag}"
        if element.tag not in _BLOCK_TAGS or not _AROUND_NAME.search(name):
            return False
        if any(heading.find(".//a") is not None for heading in element.iter(*_HEADINGS)):
            return False  # the head of an article, whose title is a link to it
        texts = [_letters(text) for text in element.itertext()] if self._looks > 0 else []
        self._looks -= len(texts)
        links = sum(_letters(text) for link in element.iter("a") for text in link.itertext())
        return bool(texts) and links >= sum(texts) * _AROUND_LINKS

    def _push(self, element: Element) -> None:
        outer = self._open[-1]
        kind = _KINDS.get(element.tag, outer.kind)
        inherited = outer.level if kind == "heading" else 0
        level = int(element.tag[1]) if _KINDS.get(element.tag) == "heading" else inherited
        self._open.append(_Open(kind, level, element.sourceline or outer.line))

    def _break(self) -> None:
        """One line break is white space, two in a row are the end of a paragraph."""
        since = None if self._broken_at is None else "".join(self._text[self._broken_at :])
        if since is not None and not since.strip() and self._open[-1].kind != "code":
            self._flush()
        self._text.append("\n")
        self._broken_at = len(self._text)

    def _flush(self) -> None:
        here = self._open[-1]
        text = "".join(self._text)
        self._text.clear()
        self._broken_at = None
        text = squeeze_lines(text) if here.kind == "code" else squeeze(text)
        if text:
            start = self.starts[min(here.line, len(self.starts)) - 1]
            self.found.blocks.append(Block(here.kind, text, here.level, char_start=start))

    def _table(self, element: Element) -> None:
        table, notes = read_table(element, self.path, self.options.limits.rows)
        if table:
            self.found.tables.append(table)
        self.found.notes += notes


def _walk(root: Element, walker: _Walker) -> HtmlContent:
    from lxml import etree

    events = etree.iterwalk(root, events=("start", "end"))
    skipped: set[Element] = set()
    limit, depth = walker.options.limits.nesting, 0
    for event, element in events:
        depth += 1 if event == "start" else -1
        if depth > limit:
            raise _too_deep(walker.path, limit)
        if event == "start":
            if not walker.start(element):
                skipped.add(element)
                events.skip_subtree()
        else:
            walker.end(element, entered=element not in skipped)
    return walker.found


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _is_hidden(element: Element) -> bool:
    attributes = element.attrib
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _AROUND_ROLES
        or _HIDDEN_STYLE.search(attributes.get("style", "")) is not None
    )
