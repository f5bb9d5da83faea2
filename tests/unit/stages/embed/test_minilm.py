import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.embed import minilm
from stages.embed.minilm import MiniLM


@pytest.fixture(scope="module")
def encoder():
    return MiniLM(minilm.contract(dtype="float32"))


def test_like_means_like(encoder):
    mill, grinder, java = encoder.encode(
        [
            "A water mill grinds grain.",
            "Flour is made by a mill on the river.",
            "An exception in Java.",
        ]
    )
    assert mill @ grinder > 0.5 > mill @ java


def test_equals_the_bare_model(encoder):
    texts = ["a short one", "grain " * 70, "The quick brown fox jumps over the lazy dog. " * 20]
    bare = encoder._model.encode(texts, batch_size=1, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode(texts), bare, atol=2e-6)


def test_loads_and_encodes_without_network(monkeypatch):
    def refuse(*_args: object) -> None:
        raise AssertionError("a model inside a package needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert MiniLM(minilm.contract()).encode(["offline"]).shape == (1, 384)


def test_tokens_are_counted_before_truncation(encoder):
    assert encoder.count_tokens(["", "grain", "grain " * 1000]) == [2, 3, 1002]


def test_texts_beyond_the_limit_are_cut_there(encoder):
    at_limit = "grain " * 510
    longer, exact = encoder.encode([at_limit + "java " * 300, at_limit])
    np.testing.assert_array_equal(longer, exact)


def test_up_to_512_tokens_count(encoder):
    plain, ended = encoder.encode(["grain " * 400, "grain " * 400 + "java " * 100])
    assert plain @ ended < 0.99


def test_text_that_is_not_unicode_is_embedded_all_the_same(encoder):
    assert np.isfinite(encoder.encode(["caf\udce9 menu"])).all()
    assert encoder.count_tokens(["caf\udce9 menu"])[0] > 2


@given(st.lists(st.text(max_size=60), max_size=6), st.integers(0, 5))
@settings(max_examples=12)
def test_no_company_changes_a_bit(encoder, others, place):
    text = "the miller's grain"
    company = [*others[:place], text, *others[place:]]
    vectors = encoder.encode(company)
    np.testing.assert_array_equal(vectors[min(place, len(others))], encoder.encode([text])[0])


def test_dtype_follows_the_cpu_and_is_in_the_contract(monkeypatch):
    monkeypatch.setattr(minilm, "_cpu_computes_bfloat16", lambda: True)
    assert minilm.contract().dtype == "bfloat16"
    monkeypatch.setattr(minilm, "_cpu_computes_bfloat16", lambda: False)
    assert minilm.contract().dtype == "float32"


def test_bfloat16_is_close_and_normalised(encoder):
    half = MiniLM(minilm.contract(dtype="bfloat16")).encode(["grain"])
    assert half.dtype == np.float32
    assert np.linalg.norm(half[0]) == pytest.approx(1.0, abs=1e-5)
    assert half[0] @ encoder.encode(["grain"])[0] > 0.999
