"""The self-check of an encoder against what was recorded."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import ContractError
from schemas.space import SparseVector, TokenVectors
from stages.embed import minilm
from stages.embed.probe import LOWEST_COSINE, compare, probe, probe_document, sketch
from stages.embed.registry import make_encoder


@pytest.fixture(scope="module")
def space():
    return minilm.contract(dtype="float32")


@pytest.fixture(scope="module")
def recorded(space):
    return probe(make_encoder(space))


def test_an_encoder_that_gives_what_was_recorded_answers(space, recorded):
    proven = make_encoder(space, recorded=recorded)
    bare = make_encoder(space)
    np.testing.assert_array_equal(proven.encode(["a mill"]), bare.encode(["a mill"]))
    np.testing.assert_array_equal(proven.encode_queries(["mill"]), bare.encode_queries(["mill"]))
    assert proven.count_tokens(["a mill"]) == bare.count_tokens(["a mill"])
    assert proven.contract == space


@pytest.mark.parametrize("side", ["query", "document"])
def test_one_that_deviates_is_refused_before_its_first_answer(space, recorded, side):
    changed = {**recorded, side: [value + 0.02 for value in recorded[side]]}
    proven = make_encoder(space, recorded=changed)
    other, ask = proven.encode, proven.encode_queries
    if side == "document":
        other, ask = ask, other
    other(["a mill"])
    for _ in range(2):  # and it stays refused
        with pytest.raises(
            ContractError, match=rf"{space.key}.*{side}.*cosine 0\.\d+, at least 0\.999"
        ):
            ask(["a mill"])


def test_what_bfloat16_loses_is_less_than_the_limit_and_what_int8_loses_is_more(recorded):
    sharp = np.asarray(recorded["query"])
    rng = np.random.default_rng(1)

    def with_cosine(cosine: float) -> list[float]:
        noise = rng.standard_normal(len(sharp))
        noise -= noise @ sharp / (sharp @ sharp) * sharp
        noise *= np.linalg.norm(sharp) / np.linalg.norm(noise)
        return list(cosine * sharp + np.sqrt(1 - cosine**2) * noise)

    compare("s", "query", recorded["query"], with_cosine(0.9999))
    with pytest.raises(ContractError, match=r"cosine 0\.986"):
        compare("s", "query", recorded["query"], with_cosine(0.986))
    assert 0.986 < LOWEST_COSINE < 0.9999


def test_another_length_is_refused():
    with pytest.raises(ContractError, match=r"cosine 0\.0"):
        compare("s", "query", [1.0, 0.0], [1.0])


def test_sketches_of_every_representation():
    assert sketch(np.arange(100, dtype=np.float32)) == [float(i) for i in range(64)]
    tokens = TokenVectors(np.float32([[1, 0], [0, 1]]), np.int32([0, 0]))
    assert sketch(tokens) == [0.5, 0.5]
    terms = sketch(SparseVector(np.int32([1, 65, 3]), np.float32([0.5, 0.25, 1])))
    assert (len(terms), terms[1], terms[3]) == (64, 0.75, 1.0)


def test_the_picture_fits_its_space(space):
    picture = probe_document(replace(space, input="pixels", frame_size=32))
    assert (picture.shape, picture.dtype) == ((1, 32, 32, 3), np.uint8)
    assert picture.std() > 20
