"""Every registered sparse space keeps the contract of an encoder, whatever company its texts come in."""

from importlib.util import find_spec

import numpy as np
import pytest

from schemas.space import Marked
from stages.embed.check import check_marked
from stages.embed.registry import SPACES, contract, make_encoder
from tests.contracts.encoder_cases import texts

NEEDS = {"splade": "cognition"}  # import name of what has the weights


@pytest.fixture(
    scope="module",
    params=sorted(name for name in SPACES if contract(name).representation == "sparse"),
)
def encoder(request):
    if find_spec(NEEDS[request.param]) is None:
        pytest.skip(f"the weights of {request.param} are an extra")
    return make_encoder(contract(request.param))


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        np.array_equal(a.terms, b.terms) and np.array_equal(a.weights, b.weights)
        for a, b in zip(one, other, strict=True)
    )


def test_sparse_vectors_keep_the_contract(encoder):
    found = encoder.encode([*texts(5), "", "水車", "\udcff", "a " * 2000])
    assert len(found) == 9
    for vector in (*found, *encoder.encode_queries(["a water mill"])):
        check_marked(Marked.of(vector), encoder.contract)
    assert encoder.encode([]) == []


def test_company_order_and_batch_size_change_no_bit(encoder):
    items = texts(14)
    together = encoder.encode(items)
    assert same(together, [encoder.encode([item])[0] for item in items])
    assert same(together, encoder.encode(items[::-1])[::-1])


def test_a_question_is_nearest_to_the_text_about_it(encoder):
    about = [
        "The water wheel drives the mill stones and grinds grain to flour.",
        "Heavy rain is expected in the north, with temperatures below zero at night.",
        "The violin concerto was first performed in Vienna.",
    ]
    documents = encoder.encode(about)
    for question, wanted in (
        ("how is flour made in a mill", 0),
        ("weather forecast", 1),
        ("classical music", 2),
    ):
        (query,) = encoder.encode_queries([question])
        weights = np.zeros(encoder.contract.dim)
        weights[query.terms] = query.weights
        scores = [float(weights[d.terms] @ d.weights) for d in documents]
        assert int(np.argmax(scores)) == wanted, (question, scores)
