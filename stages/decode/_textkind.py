"""Which kind of text a text is: HTML and SVG by their root, code by suffix or first line, others by their habits."""

from __future__ import annotations

import json
import re
from typing import Final

from stages.decode._dialect import find_dialect
from stages.decode._languages import SUFFIXES, by_shebang

_PROLOG: Final = re.compile(
    r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE(?![^>]*html)[^>\[]*(?:\[.*?\]\s*)?>\s*)*",
    re.S | re.I,
)
_HTML_ROOT: Final = re.compile(r"<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I)
_HTML_BLOCK: Final = re.compile(
    r"<(?:div|p|h[1-6]|table|ul|ol|center|section|article|main|a|b|span|br)\b[^<]*>", re.I
)
_HTML_TAG: Final = re.compile(
    r"</(?:a|b|i|p|em|h[1-6]|li|td|th|tr|ul|ol|div|span|table|strong|title|body|html|section)\s*>|<(?:br|hr|p|li|img)\b",
    re.I,
)
_SVG_ROOT: Final = re.compile(r"<(?:\w+:)?svg\b", re.I)
_HTML_TAGS: Final = 3

# Habits of Markdown that other text seldom shares; two different ones are needed, as a shell script has "# ..." too.
_MARKDOWN: Final = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        r"^#{1,6} \S.*$",
        r"^(?:```|~~~)",
        r"\[[^\]\n]{1,300}\]\([^)\s]{1,500}\)",
        r"\*\*[^*\s][^*\n]{0,300}\*\*",
        r"^ ?\|? ?:?-{3,}:? ?\|",
        r"^\[[^\]\n]+\]: \S+",
    )
)
JSON_LINES: Final = "application/jsonl"
_HINTS: Final = {
    "md": "text/markdown",
    "markdown": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "rst": "text/plain",
    "json": "text/plain",
    "xml": "text/plain",
    **dict.fromkeys(("jsonl", "jsonlines", "ndjson"), JSON_LINES),
    **SUFFIXES,
}


def text_kind(text: str, hint: str) -> str:
    """Media type of a text.

    Args:
        text: Its beginning.
        hint: Lower-case suffix; decides where the content allows several readings.
    """
    root = text[_end_of_prolog(text) :]
    if _SVG_ROOT.match(root):
        return "image/svg+xml"
    if _HTML_ROOT.match(root):
        return "text/html"
    if hint in ("html", "htm", "xhtml"):
        return "text/html" if _HTML_TAG.search(text) else "text/plain"
    return _HINTS.get(hint) or by_shebang(text) or _by_habits(text, root)


def _end_of_prolog(text: str) -> int:
    match = _PROLOG.match(text)
    return match.end() if match else 0


def _by_habits(text: str, root: str) -> str:
    if _HTML_BLOCK.match(root) and len(_HTML_TAG.findall(text)) >= _HTML_TAGS:
        return "text/html"
    if _is_json_lines(text):
        return JSON_LINES
    if sum(bool(habit.search(text)) for habit in _MARKDOWN) > 1:
        return "text/markdown"
    dialect = find_dialect(text)
    if dialect is None:
        return "text/plain"
    return "text/tab-separated-values" if dialect.delimiter == "\t" else "text/csv"


def _is_json_lines(text: str) -> bool:
    """Whether the first two lines are an object each."""
    lines = text.lstrip().split("\n", 2)[:2]
    if len(lines) < 2 or not all(line.startswith("{") for line in lines):
        return False
    try:
        return all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False
