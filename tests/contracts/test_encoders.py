"""Every registered space keeps the contract of an encoder, whatever company its inputs come in."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from schemas.errors import ContractError
from schemas.space import SpaceContract
from stages.embed.check import check_vectors
from stages.embed.registry import SPACES, contract, make_encoder

WORDS = [
    "mill",
    "grain",
    "water",
    "stone",
    "wheel",
    "flour",
    "sack",
    "river",
    "cart",
    "horse",
    "road",
    "town",
    "bread",
    "oven",
]


def texts(count: int) -> list[str]:
    """Texts of many lengths, in an order unlike that of their lengths."""
    return [
        " ".join(WORDS[(i + j) % len(WORDS)] for j in range(1 + (i * 37) % 90))
        for i in range(count)
    ]


def stacks(count: int, side: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [
        random.integers(0, 256, size=(1 + i % 3, side, side, 3), dtype=np.uint8)
        for i in range(count)
    ]


def inputs(space: SpaceContract, count: int) -> list:
    return texts(count) if space.input == "text" else stacks(count, space.frame_size)


@pytest.fixture(
    scope="module",
    params=sorted(name for name in SPACES if contract(name).representation == "dense"),
)
def encoder(request):
    return make_encoder(contract(request.param))


def test_vectors_keep_the_contract(encoder):
    vectors = encoder.encode(inputs(encoder.contract, 5))
    assert len(vectors) == 5
    check_vectors(vectors, encoder.contract)
    check_vectors(encoder.encode_queries(["a water mill", "flour"]), encoder.contract)


def test_nothing_gives_nothing(encoder):
    assert encoder.encode([]).shape == (0, encoder.contract.dim)
    assert encoder.encode_queries([]).shape == (0, encoder.contract.dim)


def test_company_order_and_batch_size_change_no_bit(encoder):
    items = inputs(encoder.contract, 14)
    together = encoder.encode(items)
    alone = np.concatenate([encoder.encode([item]) for item in items])
    backwards = encoder.encode(items[::-1])[::-1]
    fives = np.concatenate([encoder.encode(items[i : i + 5]) for i in range(0, len(items), 5)])
    for other in (alone, backwards, fives):
        np.testing.assert_array_equal(together, other)


def test_every_row_of_a_pass_gives_the_same_bits(encoder):
    item = inputs(encoder.contract, 3)[2]
    vectors = encoder.encode([item] * 40)
    np.testing.assert_array_equal(vectors, np.broadcast_to(vectors[0], vectors.shape))


def test_different_inputs_differ(encoder):
    vectors = encoder.encode(inputs(encoder.contract, 4))
    assert len(np.unique(vectors, axis=0)) == 4


def test_contract_survives_json(encoder):
    again = SpaceContract.from_dict(json.loads(json.dumps(encoder.contract.as_dict())))
    assert again == encoder.contract
    assert make_encoder(again).contract == encoder.contract


def test_an_encoder_of_another_contract_is_refused(encoder):
    other = SpaceContract.from_dict(
        {**encoder.contract.as_dict(), "dim": 99, "weights_digest": "00"}
    )
    with pytest.raises(ContractError, match=r"dim: 384 != 99") as caught:
        make_encoder(other)
    assert "weights_digest" in str(caught.value)


_DIGEST_SCRIPT = """
import hashlib, json, sys
from stages.embed.registry import contract, make_encoder
encoder = make_encoder(contract("minilm"))
print(hashlib.sha256(encoder.encode(json.load(sys.stdin)).tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_give_the_same_bits():
    items = texts(12)
    here = hashlib.sha256(make_encoder(contract("minilm")).encode(items).tobytes()).hexdigest()
    there = subprocess.run(
        [sys.executable, "-c", _DIGEST_SCRIPT],
        input=json.dumps(items[::-1][::-1]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == here
