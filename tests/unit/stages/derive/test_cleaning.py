import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.derive.cleaning import MAX_WORDS, clean


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("A mill by a river.", "A mill by a river."),
        ("  A\tmill\n\nby a river. ", "A mill by a river."),
        ("Caption: a mill", "a mill"),
        ("<|im_end|>A mill.</s>", "A mill."),
        ("A \x1b[31mred\x07 mill", "A [31mred mill"),
        ("\u202ellim\u202c", "llim"),
        ("a mill a mill a mill a mill", "a mill"),
        ("a mill and a mill", "a mill and a mill"),
        ("so so so old", "so"),
        ("...", ""),
        ("\ud800", ""),
        ("", ""),
    ],
)
def test_what_is_left_is_plain_words(written, kept):
    assert clean(written) == kept


def test_what_is_too_long_ends_with_a_sentence():
    sentences = [f"This is sentence number {number}." for number in range(30)]
    cut = clean(" ".join(sentences))
    assert cut.endswith(".")
    assert len(cut.split()) <= MAX_WORDS
    assert " ".join(sentences).startswith(cut)


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_clean_text_is_one_printable_line_that_stays(text):
    kept = clean(text)
    assert clean(kept) == kept
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in kept)
    assert len(kept.split()) <= MAX_WORDS
    kept.encode("utf-8")
