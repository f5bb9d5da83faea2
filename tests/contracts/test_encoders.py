"""Every encoder keeps its contract, whatever company its inputs come in."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from schemas.errors import ContractError
from schemas.space import SpaceContract
from stages.embed.check import check_vectors
from stages.embed.registry import ADAPTERS, contract, make_encoder
from tests.contracts.encoder_cases import CASES, NAMES, case_contract, flat, inputs, texts


@pytest.fixture(scope="module", params=NAMES)
def encoder(request, tmp_path_factory):
    return make_encoder(case_contract(request.param, tmp_path_factory.mktemp(request.param)))


def same(one, other):
    assert len(one) == len(other)
    for ours, theirs in zip(flat(one), flat(other), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_adapter_has_a_case():
    assert {case.adapter for case in CASES.values()} == set(ADAPTERS)


def test_vectors_keep_the_contract(encoder):
    space = encoder.contract
    for vectors in (
        encoder.encode(inputs(space, 5)),
        encoder.encode_queries(["a water mill", "flour", "stone", "the river", "horse"]),
    ):
        assert len(vectors) == 5
        if space.representation == "dense":
            check_vectors(vectors, space)
            continue
        for row in vectors:
            if space.representation == "tokens":
                check_vectors(row.vectors, space)
                assert row.kinds.dtype == np.int32
                assert len(row.kinds) == len(row.vectors) > 0
            else:
                assert (row.terms.dtype, row.weights.dtype) == (np.int32, np.float32)
                assert (np.diff(row.terms) > 0).all()
                assert row.terms[-1] < space.dim
                assert (row.weights > 0).all()


def test_nothing_gives_nothing(encoder):
    for nothing in (encoder.encode([]), encoder.encode_queries([])):
        assert len(nothing) == 0
        if encoder.contract.representation == "dense":
            assert nothing.shape == (0, encoder.contract.dim)


def test_company_order_and_batch_size_change_no_bit(encoder):
    items = inputs(encoder.contract, 14)
    together = encoder.encode(items)
    same(together, [encoder.encode([item])[0] for item in items])
    same(together, encoder.encode(items[::-1])[::-1])
    same(together, [v for i in range(0, len(items), 5) for v in encoder.encode(items[i : i + 5])])


def test_company_changes_no_bit_of_a_question(encoder):
    questions = ["a water mill", "flour", "stone wheel river grain"]
    same(encoder.encode_queries(questions), [encoder.encode_queries([q])[0] for q in questions])


def test_every_row_of_a_pass_gives_the_same_bits(encoder):
    item = inputs(encoder.contract, 3)[2]
    vectors = encoder.encode([item] * 40)
    same(vectors, [vectors[0]] * 40)


def test_different_inputs_differ(encoder):
    vectors = flat(encoder.encode(inputs(encoder.contract, 4)))
    assert len({vector.tobytes() for vector in vectors}) == 4


def test_contract_survives_json(encoder):
    again = SpaceContract.from_dict(json.loads(json.dumps(encoder.contract.as_dict())))
    assert again == encoder.contract
    assert again.key == encoder.contract.key
    assert make_encoder(again).contract == encoder.contract


def test_an_encoder_of_another_contract_is_refused(encoder):
    truncated = encoder.contract.truncate_dim
    other = SpaceContract.from_dict(
        {**encoder.contract.as_dict(), "dim": 99, "weights_digest": "00"}
    )
    with pytest.raises(
        ContractError, match=rf"dim: {truncated or encoder.contract.dim} != 99"
    ) as caught:
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
