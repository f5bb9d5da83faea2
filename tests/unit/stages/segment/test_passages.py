from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Segmentation
from schemas.content import Block, Content
from schemas.partition import TEXT_DOCUMENT, TEXT_PARAGRAPH, Partition
from schemas.pixels import hash_pixels
from stages.segment.options import SegmentOptions
from stages.segment.passages import segment_passages
from stages.segment.registry import segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.unit import Unit


def cut(
    blocks: Sequence[Block],
    partition: Partition,
    title: str = "",
    options: SegmentOptions | None = None,
) -> list[Unit]:
    content = Content("text/plain", title=title, blocks=tuple(blocks))
    units = segment_passages("source", content, (), options or SegmentOptions())
    return [unit for unit in units if unit.partition == partition]


def paragraph(text: str) -> Block:
    return Block("paragraph", text)


def heading(text: str, level: int = 1) -> Block:
    return Block("heading", text, level)


def words(n: int, name: str = "w") -> str:
    return " ".join(f"{name}{i}" for i in range(n))


def test_short_neighbours_are_packed_together() -> None:
    units = cut(
        [paragraph(words(60)), Block("list_item", words(40)), paragraph(words(1))], TEXT_PARAGRAPH
    )
    assert [len(unit.text.split()) for unit in units] == [100, 1]
    assert units[0].text == f"{words(60)}\n{words(40)}"


def test_passages_never_cross_a_heading_and_know_their_path() -> None:
    blocks = [
        paragraph("Before."),
        heading("Mills"),
        paragraph("One."),
        heading("Wind", 2),
        paragraph("Two."),
        heading("Post", 3),
        paragraph("Three."),
        heading("Water", 2),
        paragraph("Four."),
    ]
    assert [(unit.context, unit.text) for unit in cut(blocks, TEXT_PARAGRAPH, title="Mills")] == [
        ("Mills", "Before."),
        ("Mills", "One."),
        ("Mills > Wind", "Two."),
        ("Mills > Wind > Post", "Three."),
        ("Mills > Water", "Four."),
    ]


def test_a_heading_over_nothing_is_found_too() -> None:
    blocks = [
        heading("Title"),
        heading("Empty", 2),
        heading("Full", 2),
        paragraph("x"),
        heading("End"),
    ]
    found = [(unit.context, unit.text) for unit in cut(blocks, TEXT_PARAGRAPH)]
    assert found == [("Title", "Empty"), ("Title > Full", "x"), ("", "End")]


def test_a_text_marked_as_heading_is_a_passage() -> None:
    units = cut([heading(words(60)), paragraph("x")], TEXT_PARAGRAPH)
    assert [(unit.context, len(unit.text.split())) for unit in units] == [("", 61)]


def test_long_blocks_are_cut_evenly_at_ends_of_sentences() -> None:
    sentence = words(29) + " end."
    units = cut([paragraph(" ".join([sentence] * 4))], TEXT_PARAGRAPH)
    assert [len(unit.text.split()) for unit in units] == [60, 60]
    assert all(unit.text.endswith("end.") for unit in units)


@pytest.mark.parametrize(
    "kept",
    [
        "He met Dr. Smith and J. Doe at 3.14 p.m. on St. Ann's, e.g. often.",
        "It costs 5 francs, cf. Fig. 3, i.e. little, vs. much at No. 10.",
    ],
)
def test_abbreviations_end_no_sentence(kept: str) -> None:
    filler = words(95 - len(kept.split())) + " end."
    units = cut([paragraph(f"{filler} {kept} {filler}")], TEXT_PARAGRAPH)
    assert any(kept in unit.text for unit in units)


def test_text_without_spaces_is_cut() -> None:
    units = cut([paragraph("x" * 20_000)], TEXT_PARAGRAPH)
    assert "".join(unit.text for unit in units) == "x" * 20_000
    assert len(units) == 4


CHINESE = (
    "\u78e8\u574a\u5750\u843d\u5728\u6cb3\u8fb9\uff0c\u6bcf\u5e74\u79cb\u5929"
    "\u78e8\u7740\u519c\u6c11\u5e26\u6765\u7684\u8c37\u7269\u3002"
)
QUOTED = "\u4ed6\u8bf4\uff1a\u201c\u6c34\u5f88\u9ad8\u3002\u201d"
JAPANESE = (
    "\u6c34\u8eca\u5c0f\u5c4b\u306f\u5ddd\u306e\u305d\u3070\u306b\u7acb\u3061\u3001\u6bce\u5e74\u79cb\u306b\u8fb2\u6c11\u304c\u904b\u3093\u3067\u304f\u308b\u7a40\u7269\u3092"
    "\u633d\u3044\u3066\u3044\u307e\u3059\u3002"
)
THAI = (
    "\u0e42\u0e23\u0e07\u0e2a\u0e35\u0e15\u0e31\u0e49\u0e07\u0e2d\u0e22\u0e39\u0e48\u0e23\u0e34\u0e21\u0e41\u0e21\u0e48\u0e19\u0e49\u0e33"
    "\u0e41\u0e25\u0e30\u0e1a\u0e14\u0e40\u0e21\u0e25\u0e47\u0e14\u0e1e\u0e37\u0e0a"
)


@pytest.mark.parametrize(
    ("sentence", "least", "most"),
    [(CHINESE, 130, 180), (QUOTED, 130, 180), (JAPANESE, 150, 230)],
)
def test_a_passage_without_spaces_says_as_much_as_one_with_them(
    sentence: str, least: int, most: int
) -> None:
    units = cut([paragraph(sentence * 60)], TEXT_PARAGRAPH)
    assert "".join(unit.text for unit in units) == sentence * 60
    assert all(unit.text.endswith(sentence[-2:]) for unit in units)
    assert all(least <= len(unit.text) <= most for unit in units[:-1])
    assert len(units[-1].text) <= most


def test_a_column_of_short_lines_without_spaces_is_no_single_passage() -> None:
    units = cut([Block("list_item", CHINESE)] * 30, TEXT_PARAGRAPH)
    assert len(units) > 3
    assert all(len(unit.text) <= 180 for unit in units)


def test_a_sentence_without_spaces_that_is_too_long_is_cut_at_its_commas() -> None:
    clause = CHINESE[: CHINESE.index("\uff0c") + 1]
    units = cut([paragraph(clause * 60)], TEXT_PARAGRAPH)
    assert "".join(unit.text for unit in units) == clause * 60
    assert all(unit.text.endswith("\uff0c") and len(unit.text) <= 180 for unit in units)


def test_many_marks_are_cut_in_time() -> None:
    units = cut([paragraph("\u2026" * 50_000)], TEXT_PARAGRAPH)
    assert sum(len(unit.text) for unit in units) == 50_000


def test_no_vowel_is_cut_from_its_consonant() -> None:
    units = cut([paragraph(THAI * 60)], TEXT_PARAGRAPH)
    assert "".join(unit.text for unit in units) == THAI * 60
    assert all(300 <= len(unit.text) <= 455 for unit in units)
    assert all(unicodedata.category(unit.text[0]) == "Lo" for unit in units)
    assert all(unit.text[-1] not in "\u0e40\u0e41\u0e42\u0e43\u0e44" for unit in units)


def test_a_short_chinese_heading_is_one_and_a_long_one_is_text() -> None:
    short, long = CHINESE[:12], CHINESE * 3
    assert [u.context for u in cut([heading(short), paragraph("x")], TEXT_PARAGRAPH)] == [short]
    assert [u.context for u in cut([heading(long), paragraph("x")], TEXT_PARAGRAPH)] == [""]


def test_locators_of_pages_boxes_and_offsets() -> None:
    blocks = [
        Block("paragraph", "one", page=2, bbox=(10, 20, 30, 40)),
        Block("paragraph", "two", page=2, bbox=(5, 50, 60, 70)),
    ]
    (unit,) = cut(blocks, TEXT_PARAGRAPH)
    assert unit.locator.as_dict() == {"page": 2, "bbox": [5, 20, 60, 70]}
    (unit,) = cut([*blocks, Block("paragraph", "three", page=3, bbox=(0, 0, 1, 1))], TEXT_PARAGRAPH)
    assert unit.locator.as_dict() == {"page": 2}
    text = f"{words(70)} end. {words(70)} end."
    first, second = cut(
        [Block("paragraph", text, char_start=7, char_end=7 + len(text))], TEXT_PARAGRAPH
    )
    for unit in (first, second):
        place = unit.locator
        assert place.char_start is not None
        assert place.char_end is not None
        assert text[place.char_start - 7 : place.char_end - 7] == unit.text


def test_documents_are_cut_by_the_encoders_tokens_with_context_counted() -> None:
    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [2 + 2 * len(text.split()) for text in texts]  # two special tokens, two a word

    options = SegmentOptions(Segmentation(document_tokens=100), count_tokens)
    blocks = [paragraph(words(9) + ".") for _ in range(30)]
    parts = cut(blocks, TEXT_DOCUMENT, title="one two three", options=options)
    assert [unit.locator.part for unit in parts] == list(range(1, len(parts) + 1))
    counts = count_tokens([unit.embedded_text for unit in parts])
    assert max(counts) <= 100
    assert min(counts[:-1]) > 80
    assert " ".join(unit.text for unit in parts).split() == [
        word for block in blocks for word in block.text.split()
    ]


@pytest.mark.parametrize("sentence", [CHINESE, JAPANESE, THAI])
def test_documents_without_spaces_are_cut_by_tokens_too(sentence: str) -> None:
    def a_character_each(texts: Sequence[str]) -> list[int]:
        return [2 + len("".join(text.split())) for text in texts]

    def unknown(texts: Sequence[str]) -> list[int]:  # one token for what is not in the vocabulary
        return [2 + len(text.split()) for text in texts]

    blocks = [paragraph(sentence * 40)] * 3
    for count_tokens, most in ((a_character_each, 512), (unknown, 2048), (None, 2048)):
        parts = cut(blocks, TEXT_DOCUMENT, options=SegmentOptions(count_tokens=count_tokens))
        assert max(len(unit.text) for unit in parts) <= most
        assert min(len(unit.text) for unit in parts[:-1]) > 0.6 * 512
        assert "".join("".join(unit.text.split()) for unit in parts) == sentence * 120


def test_a_heading_goes_with_what_it_heads() -> None:
    options = SegmentOptions(Segmentation(document_tokens=40))
    blocks = [paragraph(words(25)), heading("The next"), paragraph(words(20, "v"))]
    first, second = cut(blocks, TEXT_DOCUMENT, options=options)
    assert first.text == words(25)
    assert second.text == f"The next\n{words(20, 'v')}"


def test_the_parent_of_a_passage_is_the_part_it_begins_in() -> None:
    options = SegmentOptions(Segmentation(document_tokens=64))
    blocks = [paragraph(words(45, name)) for name in "abcd"]
    parts = {unit.unit_id: unit for unit in cut(blocks, TEXT_DOCUMENT, options=options)}
    passages = cut(blocks, TEXT_PARAGRAPH, options=options)
    assert len(parts) == 4
    for unit in passages:
        assert unit.text.split()[0] in parts[unit.parent_id].text.split()


def test_units_come_sorted_once_and_only_for_what_is_there() -> None:
    blocks = (paragraph("same"), heading("x"), paragraph("same"), heading("x"), paragraph("same"))
    units = segment("source", Content("text/html", blocks=blocks), (), SegmentOptions())
    ids = [unit.unit_id for unit in units]
    assert ids == sorted(set(ids))
    assert sum(unit.partition == TEXT_PARAGRAPH for unit in units) == 2
    assert segment("source", Content("text/html"), (), SegmentOptions()) == []


def test_pixels_are_told_apart_by_shape_and_not_by_layout() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert hash_pixels(pixels) == hash_pixels(np.asfortranarray(pixels))
    assert hash_pixels(pixels) != hash_pixels(pixels.reshape(1, 2, 8, 3))
    assert hash_pixels(pixels) != hash_pixels(pixels + np.uint8(1))


TEXTS = st.lists(
    st.sampled_from(
        ["one", "two.", "Three!", "e.g.", "日本。語", "x" * 130, "A.", "\u2026", "(b)"]
    ),
    min_size=1,
    max_size=60,
).map(" ".join)


@given(
    texts=st.lists(
        st.tuples(st.sampled_from(["paragraph", "list_item", "heading"]), TEXTS), max_size=8
    ),
    limit=st.integers(10, 30),
)
def test_no_character_is_lost_and_no_limit_is_passed(
    texts: list[tuple[str, str]], limit: int
) -> None:
    blocks = [Block(kind, text, 1 if kind == "heading" else 0) for kind, text in texts]  # type: ignore[arg-type]  # a kind
    options = SegmentOptions(Segmentation(paragraph_words=limit, document_tokens=32))
    passages = cut(blocks, TEXT_PARAGRAPH, options=options)
    parts = cut(blocks, TEXT_DOCUMENT, options=options)
    assert all(len(unit.text.split()) <= limit for unit in passages)
    everything = "".join("".join(block.text.split()) for block in blocks)
    assert "".join("".join(unit.text.split()) for unit in parts) == everything
    body = "".join("".join(block.text.split()) for block in blocks if block.kind != "heading")
    found = "".join("".join(unit.text.split()) for unit in passages)
    assert len(found) >= len(body)
    if all(block.kind != "heading" for block in blocks):
        assert found == body
