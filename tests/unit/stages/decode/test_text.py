from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Limits
from schemas.errors import EmptyError, LimitError
from stages.decode.options import DecodeOptions
from stages.decode.text import decode_text, plain_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

MAN_PAGE = """MILL(1)

NAME
       mill - grinds

DESCRIPTION
       It grinds corn, and it is self-
       evident how.

          $ mill --in=$FILE | tee out; ls {a,b}
"""


def read(tmp_path: Path, data: bytes | str, **limits: int) -> Content:
    path = tmp_path / "file"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return decode_text(path, "text/plain", DecodeOptions(limits=Limits(**limits)))[0]


def shapes(content: Content) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, block.text) for block in content.blocks]


def test_paragraphs_are_joined_and_carry_offsets(tmp_path: Path) -> None:
    text = "One two\r\nthree.\r\n\r\n  Four\tfive.\f\nSix."
    content = read(tmp_path, text)
    assert [block.text for block in content.blocks] == ["One two three.", "Four five.", "Six."]
    whole = text.replace("\r\n", "\n")
    cuts = [whole[block.char_start : block.char_end].split() for block in content.blocks]
    assert cuts == [block.text.split() for block in content.blocks]


def test_underlined_headings_have_levels_in_order_of_appearance(tmp_path: Path) -> None:
    content = read(
        tmp_path, "=====\nGuide\n=====\n\nIntro\n-----\nWords.\n\nMore\n----\n\nWords.\n"
    )
    assert shapes(content) == [
        ("heading", 1, "Guide"),
        ("heading", 2, "Intro"),
        ("paragraph", 0, "Words."),
        ("heading", 2, "More"),
        ("paragraph", 0, "Words."),
    ]
    assert content.title == "Guide"


def test_man_page(tmp_path: Path) -> None:
    assert shapes(read(tmp_path, MAN_PAGE)) == [
        ("heading", 1, "MILL(1)"),
        ("heading", 1, "NAME"),
        ("paragraph", 0, "mill - grinds"),
        ("heading", 1, "DESCRIPTION"),
        ("paragraph", 0, "It grinds corn, and it is self-evident how."),
        ("code", 0, "$ mill --in=$FILE | tee out; ls {a,b}"),
    ]


def test_numbers_and_chapters_are_headings_only_when_alone(tmp_path: Path) -> None:
    content = read(
        tmp_path, "CHAPTER IV. The mill\n\nIt stood.\n\n2.1 Stones\n\nTwo.\n\n1. wash\n2. grind\n"
    )
    assert [kind for kind, _, _ in shapes(content)] == [
        "heading",
        "paragraph",
        "heading",
        "paragraph",
        "list_item",
        "list_item",
    ]


def test_list_items_lose_their_bullets(tmp_path: Path) -> None:
    content = read(tmp_path, "We need:\n* corn that\n  is dry\n- water\n")
    assert shapes(content) == [
        ("paragraph", 0, "We need:"),
        ("list_item", 0, "corn that is dry"),
        ("list_item", 0, "water"),
    ]


def test_shouted_sentences_and_long_lines_are_paragraphs(tmp_path: Path) -> None:
    long = "word " * 40
    content = read(tmp_path, f"STOP SHOUTING NOW!\n\n{long}\n{long}\n")
    assert [kind for kind, _, _ in shapes(content)] == ["paragraph"] * 3


@pytest.mark.parametrize(
    ("text", "encoding", "noted"),
    [
        ("Größe und Maß: schön war es über die Brücke.", "cp1252", True),
        ("Voilà une phrase en français: élève, où, çà et là.", "cp1252", True),
        ("“Quoted” — with dashes…", "cp1252", True),
        ("Zażółć gęślą jaźń, proszę państwa, wszystko dobrze.", "cp1250", True),
        ("Съешь же ещё этих мягких французских булок.", "cp1251", True),
        ("Съешь же ещё этих мягких французских булок.", "koi8_r", True),
        ("日本語のテキストです。これはテストです。", "shift_jis", True),
        ("Größe", "utf-8", False),
        ("Größe", "utf-8-sig", False),
        ("Größe", "utf-16", True),
        ("Größe 日本", "utf-32", True),
        ("plain old letters", "utf-16-le", True),
    ],
)
def test_encodings(tmp_path: Path, text: str, encoding: str, noted: bool) -> None:
    content = read(tmp_path, text.encode(encoding))
    assert [block.text for block in content.blocks] == [text]
    assert bool(content.notes) == noted


def test_a_spoilt_character_does_not_change_the_encoding(tmp_path: Path) -> None:
    content = read(tmp_path, "Größe ".encode() * 30 + b"\xff end")
    assert content.blocks[0].text.startswith("Größe Größe")
    assert content.notes == ("1 characters could not be decoded as utf-8",)


def test_bytes_of_no_encoding_cost_only_themselves(tmp_path: Path) -> None:
    content = read(tmp_path, b"Readable words \x81\x8d\xff\xfe\x90 with junk \x81 among them.")
    assert {"Readable", "words", "with", "junk", "among", "them."} <= set(
        content.blocks[0].text.split()
    )
    assert content.notes


def test_unseen_characters_go(tmp_path: Path) -> None:
    content = read(tmp_path, "so\u00adft z\u200bero N\x08NA\x08AM\x08ME e\u0301")
    assert content.blocks[0].text == "soft zero NAME é"


def test_limits_and_emptiness(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="text_chars = 5"):
        read(tmp_path, "123456", text_chars=5)
    with pytest.raises(LimitError, match="text_chars = 5"):
        read(tmp_path, "1" * 100, text_chars=5)
    assert read(tmp_path, "ääää", text_chars=5).blocks
    with pytest.raises(EmptyError):
        read(tmp_path, " \n\t\n")


@given(st.lists(st.text(alphabet="ab. A\t*-1=)\n\f", max_size=30), max_size=8).map("\n\n".join))
def test_no_word_is_lost_and_offsets_are_in_order(text: str) -> None:
    blocks = list(plain_blocks(text))
    ends = 0
    for block in blocks:
        assert block.char_start is not None
        assert block.char_end is not None
        assert ends <= block.char_start < block.char_end <= len(text)
        ends = block.char_end
    letters = [char for char in text if char.isalnum()]
    assert [char for block in blocks for char in block.text if char.isalnum()] == letters
