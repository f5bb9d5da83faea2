from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from schemas.config import Limits
from schemas.errors import CorruptError, LimitError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.decode.sniff import sniff

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content


def read(tmp_path: Path, *records: object, **limits: int) -> Content:
    path = tmp_path / "a.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines) + "\n")
    return decode(path, "jsonl", DecodeOptions(limits=Limits(**limits)))[0]


def shown(content: Content) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in content.blocks]


def test_a_record_is_a_heading_its_text_and_its_fields(tmp_path: Path) -> None:
    record = {
        "id": 7,
        "meta": {"author": {"name": "Ann"}, "tags": ["wind", "water"], "empty": None},
        "body": "First.\n\nSecond.",
        "Title": "The mill",
        "abstract": "In short.",
    }
    content = read(tmp_path, record, {"text": "Only text.", "id": "x-9"}, {"Text": "No name."})
    assert shown(content) == [
        ("heading", "The mill"),
        ("paragraph", "In short."),
        ("paragraph", "First."),
        ("paragraph", "Second."),
        ("list_item", "id: 7"),
        ("list_item", "meta.author.name: Ann"),
        ("list_item", "meta.tags: wind, water"),
        ("heading", "x-9"),
        ("paragraph", "Only text."),
        ("list_item", "id: x-9"),
        ("heading", "record 3"),
        ("paragraph", "No name."),
    ]
    text = (tmp_path / "a.jsonl").read_text()
    last = content.blocks[-1]
    assert json.loads(text[last.char_start : last.char_end]) == {"Text": "No name."}


def test_conversations_are_text(tmp_path: Path) -> None:
    content = read(
        tmp_path,
        {"messages": [{"role": "user", "content": "Why?"}, {"role": "bot", "content": "So."}]},
    )
    assert [text for kind, text in shown(content) if kind == "paragraph"] == ["Why?", "So."]


def test_records_without_text_are_rows(tmp_path: Path) -> None:
    content = read(tmp_path, {"mill": "Upper", "sacks": 3}, {"mill": "Lower", "rye": True})
    (table,) = content.tables
    assert table.header == ("mill", "sacks", "rye")
    assert table.rows == (("Upper", "3", ""), ("Lower", "", "true"))
    assert content.blocks == ()


def test_bad_lines_are_lost_alone(tmp_path: Path) -> None:
    content = read(
        tmp_path, {"text": "good"}, "{bad", '{"a":' * 100_000, "", {"text": "too"}, '"bare words"'
    )
    assert [text for kind, text in shown(content) if kind == "paragraph"] == [
        "good",
        "too",
        "bare words",
    ]
    assert len(content.rejects) == 2
    assert "record 2 is no JSON" in content.rejects[0].reason
    with pytest.raises(CorruptError, match="no line is JSON"):
        read(tmp_path, "{bad")
    with pytest.raises(LimitError, match=r"limits\.rows = 2"):
        read(tmp_path, *[{"text": "x"}] * 3, rows=2)


def test_it_is_known_without_a_suffix_by_two_objects(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"a": "x"}\n{"a": "y"}\n')
    assert sniff(path, "") == "application/jsonl"
    path.write_text('{"a": "x"}\n')
    assert sniff(path, "") == "text/plain"
