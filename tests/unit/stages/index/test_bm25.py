"""BM25 over segments gives what the formula gives over all live rows at once."""

import math
from collections import Counter
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import IntegrityError
from stages.index.bm25 import K1, B
from stages.index.postings import OpenPostings, lexical_schema, postings_bytes
from stages.lexical.terms import document_terms
from tests.unit.stages.index.words import Texts, lexical

TEXTS = [
    "the mill wheel turns in the stream",
    "the miller repairs the wheel of the mill, the old wheel",
    "owls hunt mice at night",
    "owls nest in barns",
    "rye bread rises slowly in the mill",
    "",
]
SOME_WORDS = st.lists(
    st.sampled_from(["mill", "wheel", "owl", "bread", "the", "1.2.3", "水車"]), max_size=12
)


def by_hand(texts, words):
    """The sum over words, straight from the formula."""
    counted = [Counter(document_terms(text, "en")) for text in texts]
    lengths = [sum(found.values()) for found in counted]
    mean = max(1.0, sum(lengths) / len(lengths)) if lengths else 1.0
    scores = []
    for found, length in zip(counted, lengths, strict=True):
        score = 0.0
        for (term,) in words:
            n = sum(term in other for other in counted)
            f = found[term]
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            score += idf * f / (f + K1 * (1 - B + B * length / mean))
        scores.append(score)
    return scores


@given(
    st.lists(SOME_WORDS.map(" ".join), min_size=1, max_size=30),
    SOME_WORDS,
    st.integers(1, 4),
    st.sets(st.integers(0, 29), max_size=10),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scores_are_those_of_the_formula_over_live_rows(tmp_path: Path, texts, words, parts, gone):
    gone = {row for row in gone if row < len(texts)}
    if len(gone) == len(texts):
        gone = set()
    index = lexical(tmp_path, Texts(texts, language="en"), parts=parts, deleted=gone)
    asked = [(term,) for word in words for term in document_terms(word, "en")]

    live = [text for row, text in enumerate(texts) if row not in gone]
    expected = dict(
        zip((r for r in range(len(texts)) if r not in gone), by_hand(live, asked), strict=True)
    )

    assert index.scores(asked) == pytest.approx(expected)


def test_scores_are_those_of_bm25s(tmp_path):
    theirs = bm25s.BM25(method="lucene", k1=K1, b=B)
    terms = [document_terms(text, "en") for text in TEXTS]
    theirs.index(terms, show_progress=False)
    index = lexical(tmp_path, Texts(TEXTS, language="en"), parts=3)
    for question in ("mill wheel", "owls", "the bread of the mill mill"):
        asked = document_terms(question, "en")
        ours = index.scores([(term,) for term in asked])
        assert [ours[row] for row in range(len(TEXTS))] == pytest.approx(
            theirs.get_scores(asked).tolist(), abs=1e-6
        )


def test_how_rows_are_cut_changes_no_bit_of_a_score(tmp_path):
    asked = [("mill",), ("wheel",), ("the",)]
    whole, cut = (
        lexical(tmp_path / str(parts), Texts(TEXTS * 5, language="en"), parts=parts)
        for parts in (1, 4)
    )
    assert whole.scores(asked) == cut.scores(asked)
    assert whole.search(asked, 12) == cut.search(asked, 12)


def test_rows_come_best_first_and_equal_ones_by_unit_id(tmp_path):
    index = lexical(tmp_path, Texts(["mill"] * 9 + ["mill mill"]), parts=3)
    found = index.search([("mill",)], 5)
    assert found[0][0] == index.texts.unit_id(9)
    assert [name for name, _ in found[1:]] == sorted(index.texts.unit_id(i) for i in range(9))[:4]


def test_what_has_none_of_the_words_is_not_found(tmp_path):
    index = lexical(tmp_path, Texts(TEXTS))
    assert index.search([("xyzzy",)], 5) == []
    assert index.search([], 5) == []
    assert len(index.search([("owls",)], 5)) == 2


def test_deleted_and_filtered_rows_are_not_found(tmp_path):
    index = lexical(tmp_path, Texts(TEXTS), parts=2, deleted={0})
    names = [name for name, _ in index.search([("wheel",)], 5)]
    assert names == [index.texts.unit_id(1)]
    assert index.search([("wheel",)], 5, may_be_found=lambda name: False) == []
    only = index.texts.unit_id(4)
    found = index.search([("mill",)], 5, may_be_found=lambda name: name == only)
    everything = dict(index.search([("mill",)], 5))
    assert found == [(only, everything[only])]  # a filter changes no score


def test_a_word_in_several_forms_is_one_word(tmp_path):
    texts = Texts(["wheel wheel", "wheels", "wheel wheels", "mill"])
    scores = lexical(tmp_path, texts).scores([("wheel", "wheels")])
    one = lexical(tmp_path / "b", Texts(["w w", "w", "w w", "mill"])).scores([("w",)])
    assert scores == pytest.approx(one)


def test_postings_come_back_as_they_were(tmp_path):
    rows = np.array([0, 2, 1, 0, 1, 2], dtype=np.int32)
    often = np.array([1, 65535, 3, 1, 1, 1], dtype=np.uint16)
    data = postings_bytes(
        lexical_schema(), ["a", "mill", "ä"], np.array([0, 2, 3, 6]), (rows, often)
    )
    path = tmp_path / "postings.arrow"
    path.write_bytes(data)
    opened = OpenPostings.open(path, lexical_schema())
    assert [part.tolist() for part in opened.find("a")] == [[0, 2], [1, 65535]]
    assert [part.tolist() for part in opened.find("ä")] == [[0, 1, 2], [1, 1, 1]]
    for absent in ("", "b", "zz", "\U0001f600"):
        assert opened.find(absent)[0].size == 0
    path.write_bytes(data[: len(data) // 2].tobytes())
    with pytest.raises(IntegrityError, match=r"postings\.arrow"):
        OpenPostings.open(path, lexical_schema())
