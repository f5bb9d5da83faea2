from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decode._languages import DEFINITIONS, SUFFIXES
from stages.decode.code import code_blocks, decode_code
from stages.decode.options import DecodeOptions
from stages.decode.registry import DECODERS
from stages.decode.sniff import sniff

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = '''"""A mill."""

import os

# Turns.
@cache
def turn(wheel: int) -> int:
    """Turn it."""

    return wheel

class Mill:
    def grind(self):
        pass
'''


def names(source: str, media_type: str) -> list[str]:
    return [
        block.text
        for block in code_blocks(source, DEFINITIONS[media_type])
        if block.kind == "heading"
    ]


def test_a_definition_is_a_block_with_its_comments_and_place(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(PYTHON)
    content, _ = decode_code(path, "text/x-python", DecodeOptions())
    first, heading, turn, _, mill = content.blocks
    assert first.text == '"""A mill."""\n\nimport os'
    assert heading.text == "def turn"
    assert turn.text.startswith("# Turns.\n@cache\ndef turn")
    assert turn.text.endswith("return wheel")
    assert (turn.char_start, turn.char_end) == (
        PYTHON.index("# Turns"),
        PYTHON.index("wheel\n\nclass") + 5,
    )
    assert mill.text == "class Mill:\n    def grind(self):\n        pass"


@pytest.mark.parametrize(
    ("media_type", "source", "expected"),
    [
        (
            "text/javascript",
            "export default async function go() {}\nconst f = (a) => a\nlet x = 1\n",
            ["function go", "const f = ("],
        ),
        ("text/x-typescript", "export interface Mill {\n  a: string\n}\n", ["interface Mill"]),
        (
            "text/x-java",
            "package a;\npublic final class Mill {\n  void f() {}\n}\n",
            ["class Mill"],
        ),
        (
            "text/x-go",
            "func (m *Mill) Turn(n int) error {\n}\ntype Mill struct {\n}\n",
            ["func (m *Mill) Turn", "type Mill"],
        ),
        (
            "text/x-rust",
            "pub fn turn<T>(t: T) -> T {\n}\nimpl Mill for X {\n}\n",
            ["fn turn<T>", "impl Mill for X"],
        ),
        (
            "text/x-c",
            "#include <a.h>\nstatic int *turn(int n)\n{\n  return f(n);\n}\nint x;\nstruct mill {\n};\n",
            ["static int *turn(int n)", "struct mill"],
        ),
        ("text/x-ruby", "class Mill\n  def a\n  end\nend\n", ["class Mill"]),
        (
            "text/x-shellscript",
            "turn() {\n  echo\n}\nfunction stop {\n}\n",
            ["turn()", "function stop"],
        ),
        (
            "text/x-sql",
            "CREATE TABLE IF NOT EXISTS mills (\n a int\n);\n",
            ["CREATE TABLE IF NOT EXISTS mills"],
        ),
        ("text/x-perl", "package Mill;\nsub turn {\n}\n", ["package Mill", "sub turn"]),
    ],
)
def test_definitions_of_other_languages(media_type: str, source: str, expected: list[str]) -> None:
    assert names(source, media_type) == expected


@pytest.mark.parametrize(
    ("text", "hint", "media_type"),
    [
        ("x = 1\n", "py", "text/x-python"),
        ("#!/usr/bin/env python3.11\nx = 1\n", "", "text/x-python"),
        ("#!/usr/bin/env -S perl -w\n", "", "text/x-perl"),
        ("#! /bin/sh\nls\n", "", "text/x-shellscript"),
        ("#!/opt/strange/thing\n", "", "text/plain"),
        ("#!/bin/sh\n", "txt", "text/plain"),
        ("<html><body>x", "js", "text/html"),
    ],
)
def test_languages_by_suffix_and_first_line(
    tmp_path: Path, text: str, hint: str, media_type: str
) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    assert sniff(path, hint) == media_type


def test_every_language_can_be_decoded() -> None:
    assert set(SUFFIXES.values()) == set(DEFINITIONS)
    assert set(DEFINITIONS) <= set(DECODERS)


@given(
    source=st.lists(st.sampled_from(["def f():\n", "  x\n", "\n", "# c\n", "class A:", "a\n"])).map(
        "".join
    ),
    media_type=st.sampled_from(sorted(DEFINITIONS)),
)
def test_no_line_is_lost_and_none_comes_twice(source: str, media_type: str) -> None:
    code = [block for block in code_blocks(source, DEFINITIONS[media_type]) if block.kind == "code"]
    assert "".join("".join(block.text.split()) for block in code) == "".join(source.split())
    spans = [(block.char_start or 0, block.char_end or 0) for block in code]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(source[a:b].strip() for a, b in spans)


def test_a_minified_line_is_not_searched_for_long() -> None:
    assert names("a*" * 200_000, "text/x-c") == []
