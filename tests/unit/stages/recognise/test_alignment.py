"""Where words are, and which letters tokens are."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from stages.recognise._alignment import pieces, row_starts


def cheapest(costs):
    """Costs of all paths, by trying each."""

    def paths(row, column):
        if (row, column) == (costs.shape[0] - 1, costs.shape[1] - 1):
            yield [(row, column)]
            return
        for down, right in ((0, 1), (1, 0), (1, 1)):
            if row + down < costs.shape[0] and column + right < costs.shape[1]:
                for rest in paths(row + down, column + right):
                    yield [(row, column), *rest]

    totals = {}
    for path in paths(0, 0):
        starts = tuple(min(c for r, c in path if r == row) for row in range(costs.shape[0]))
        cost = sum(costs[place] for place in path)
        totals[starts] = min(cost, totals.get(starts, np.inf))
    return totals


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.integers(-9, 9).map(float))
    )
)
def test_rows_begin_where_a_cheapest_path_has_them(costs):
    totals = cheapest(costs)
    starts = tuple(row_starts(costs).tolist())
    assert totals[starts] == pytest.approx(min(totals.values()))


def test_rows_of_a_long_matrix_begin_in_order():
    starts = row_starts(np.random.default_rng(3).standard_normal((200, 1400)))
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < 1400


def byte_level(merges=()):
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def ids(tokenizer, text):
    return tokenizer.backend_tokenizer.encode(text).ids


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\ufffd"), max_size=20))
def test_pieces_are_the_text_again(text):
    """Every byte is a token here, so a letter is up to four of them."""
    tokenizer = byte_level()
    tokens = ids(tokenizer, text)
    found = list(pieces(tokenizer, tokens))
    assert "".join(piece for piece, _, _ in found) == text
    places = itertools.chain.from_iterable(range(first, last + 1) for _, first, last in found)
    assert list(places) == list(range(len(tokens)))


def test_a_letter_of_several_tokens_is_one_piece():
    tokenizer = byte_level()
    found = list(pieces(tokenizer, ids(tokenizer, "a 磨")))
    assert found == [("a", 0, 0), (" ", 1, 1), ("磨", 2, 4)]


def test_broken_bytes_are_no_letters():
    tokenizer = byte_level()
    start = ids(tokenizer, "磨")[0]
    assert "".join(piece for piece, _, _ in pieces(tokenizer, [start] * 6)) == ""


def test_a_blank_in_front_begins_a_word():
    table = {"▁the": 0, "▁mil": 1, "l": 2}
    backend = Tokenizer(models.BPE(table, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert list(pieces(tokenizer, [0, 1, 2])) == [(" the", 0, 0), (" mil", 1, 1), ("l", 2, 2)]
