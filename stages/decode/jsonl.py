"""JSON lines: each line is a record, whose text is found by the names that people give to fields.

A record begins with a heading: its title, else its name or number, so that no passage mixes two records. Fields of text
follow as paragraphs, then all other fields as ``key: value``, one a line; what is nested has dotted names. Records
without any field of text, with the same few kinds of values in all of them, are the rows of a table instead.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from schemas.content import Block, Content, PartialReject
from schemas.errors import CorruptError, LimitError
from stages.decode._encoding import read_text
from stages.decode._grid import make_table
from stages.decode._normalise import squeeze
from stages.decode.text import plain_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stages.decode.options import DecodeOptions
    from stages.decode.registry import Decoded

    Fields = dict[str, str]  # dotted name -> value as text

# By convention of public data sets of text, best first; compared in lower case without "-" and "_".
TITLE_FIELDS: Final = ("title", "headline", "heading", "subject", "name")
ID_FIELDS: Final = ("id", "docid", "uuid", "key", "url", "uri")
TEXT_FIELDS: Final = (
    *(
        "abstract",
        "summary",
        "description",
        "lead",
        "text",
        "body",
        "content",
        "contents",
        "article",
    ),
    *(
        "document",
        "passage",
        "paragraph",
        "context",
        "story",
        "message",
        "comment",
        "review",
        "caption",
    ),
    *(
        "transcript",
        "instruction",
        "input",
        "prompt",
        "question",
        "response",
        "output",
        "completion",
        "answer",
    ),
)
_MOST_COLUMNS: Final = 200  # a table has fewer kinds of fields, and they come again in every record
_MOST_DEPTH: Final = 20
_MOST_REJECTS: Final = 20  # further bad lines are counted
_LINE: Final = re.compile(r"[^\n]+")
_NAME: Final = re.compile(r"[-_\s]")


def decode_jsonl(path: Path, media_type: str, options: DecodeOptions) -> Decoded:
    """Decode a file of one JSON object a line.

    Offsets are those of a record's line, for all of its blocks. A line that is no JSON is lost alone.

    Raises:
        LimitError: More records or characters than allowed.
        CorruptError: No line is JSON.
        SourceError: See :func:`stages.decode._encoding.read_text`.
    """
    text, notes = read_text(path, options.limits.text_chars)
    records: list[tuple[Fields, int, int]] = []
    rejects: list[PartialReject] = []
    bad = 0
    for number, match in enumerate(_lines(text), 1):
        try:
            records.append((_fields(json.loads(match[0])), match.start(), match.end()))
        except (ValueError, RecursionError) as error:
            bad += 1
            if bad <= _MOST_REJECTS:
                rejects.append(
                    PartialReject("decode", "corrupt", f"record {number} is no JSON: {error}")
                )
        if len(records) > options.limits.rows:
            raise LimitError(f"{path} has more records than limits.rows = {options.limits.rows}")
    if not records:
        raise CorruptError(f"{path}: no line is JSON; {rejects[0].reason}")
    if bad > _MOST_REJECTS:
        notes = (*notes, f"{bad} lines are no JSON, the first {_MOST_REJECTS} are listed")
    if header := _columns(records):
        rows = [
            header,
            *(tuple(squeeze(fields.get(name, "")) for name in header) for fields, _, _ in records),
        ]
        table, _ = make_table("", rows, 1, path, options.limits.rows)
        tables = (table,) if table else ()
        return Content(media_type, tables=tables, notes=notes, rejects=tuple(rejects)), ()
    blocks = tuple(block for n, record in enumerate(records, 1) for block in _blocks(*record, n))
    return Content(media_type, blocks=blocks, notes=notes, rejects=tuple(rejects)), ()


def _lines(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _LINE.finditer(text) if not match[0].isspace())


def _fields(value: Any) -> Fields:
    """The values in a record as text, nulls and what is empty left out."""
    found: Fields = {}
    _flatten(value, "", found, 0)
    return found


def _flatten(value: Any, name: str, found: Fields, depth: int) -> None:
    if isinstance(value, dict) and depth < _MOST_DEPTH:
        for key, inner in value.items():
            _flatten(inner, f"{name}.{key}" if name else key, found, depth + 1)
    elif isinstance(value, list) and depth < _MOST_DEPTH:
        if any(isinstance(inner, (dict, list)) for inner in value):
            for number, inner in enumerate(value, 1):
                _flatten(inner, f"{name}.{number}" if name else str(number), found, depth + 1)
        else:
            _put(found, name or "text", ", ".join(filter(None, map(_scalar, value))))
    else:
        _put(found, name or "text", _scalar(value))


def _put(found: Fields, name: str, text: str) -> None:
    if text.strip():
        found[name] = text


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _columns(records: list[tuple[Fields, int, int]]) -> tuple[str, ...]:
    """Names of columns, if the records are the rows of a table: several, nothing nested, no field of text."""
    names: dict[str, None] = {}
    for fields, _, _ in records:
        names.update(dict.fromkeys(fields))
        if len(names) > _MOST_COLUMNS:
            return ()
    plain = [_plain(name) for name in names]
    if len(records) < 2 or len(names) < 2 or any("." in name for name in names):
        return ()
    return () if any(name in TEXT_FIELDS for name in plain) else tuple(names)


def _blocks(fields: Fields, start: int, end: int, number: int) -> Iterator[Block]:
    by_name = {_plain(name): name for name in reversed(fields) if "." not in name}
    title = next((by_name[name] for name in TITLE_FIELDS if name in by_name), "")
    named = title or next((by_name[name] for name in ID_FIELDS if name in by_name), "")
    heading = squeeze(fields[named]) if named else f"record {number}"
    yield Block("heading", heading or f"record {number}", 1, char_start=start, char_end=end)
    texts = [name for name in fields if _plain(name) in TEXT_FIELDS]
    for name in sorted(texts, key=lambda name: TEXT_FIELDS.index(_plain(name))):
        for block in plain_blocks(fields[name].replace("\r", "")):
            kind = "paragraph" if block.kind == "heading" else block.kind
            yield Block(kind, block.text, char_start=start, char_end=end)
    for name, text in fields.items():
        line = squeeze(f"{name}: {text}")
        if name not in (*texts, title):
            yield Block("list_item", line, char_start=start, char_end=end)


def _plain(name: str) -> str:
    return _NAME.sub("", name.rpartition(".")[2]).lower()
