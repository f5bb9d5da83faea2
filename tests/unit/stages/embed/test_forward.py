"""What a pass through a model does when there is no memory for it."""

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from schemas.space_config import SpaceConfig
from stages.embed.forward import forward
from stages.embed.loading import load_model
from stages.embed.registry import contract, make_encoder
from tests import tiny_models
from tests.contracts.encoder_cases import CASES, NAMES, case_contract, flat, inputs

TEXTS = [f"The mill {n} grinds {'grain ' * (n % 5)}." for n in range(40)]


@pytest.fixture
def space(tmp_path):
    folder = tiny_models.make("bert", tmp_path / "bert")
    wish = SpaceConfig(adapter="text", model=str(folder))
    return make_encoder(contract("words", configured={"words": wish})).contract


def the_model(space):
    """The one that its encoder computes with: a process has one copy."""
    return load_model("SentenceTransformer", space, pooling=space.pooling)


@pytest.fixture
def memory(space):
    """A model that has memory for so many rows a pass; gives the rows of the passes that it was asked for."""
    model, asked = the_model(space), []

    def limit(rows):
        def refuse(_module, inputs):
            asked.append(len(inputs[0]["input_ids"]))
            if asked[-1] > rows:
                raise torch.OutOfMemoryError(f"no memory for {asked[-1]} rows")

        model.register_forward_pre_hook(refuse)
        return asked

    return limit


# onnxruntime computes one text a pass.
SINGLE = {name for name, case in CASES.items() if "onnx" in case.keys}


@contextmanager
def entrances(seen):
    """Have what lies first in a model give `seen` the rows of each pass."""
    first = torch.nn.Embedding | torch.nn.Conv2d | torch.nn.Linear

    def enter(module, inputs):
        if isinstance(module, first) and inputs[0].ndim > 1:
            seen(module, len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(enter)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("name", sorted({*NAMES} - SINGLE))
def test_every_encoder_goes_on_with_half_a_pass(name, tmp_path):
    encoder = make_encoder(case_contract(name, tmp_path))
    documents = inputs(encoder.contract, 5)
    most = Counter()

    def count(module, rows):
        most[module] = max(most[module], rows)

    refused = []

    def refuse(module, rows):
        if rows > 1 and rows > most[module] // 2:
            refused.append(rows)
            raise torch.OutOfMemoryError(f"no memory for {rows} rows")

    with entrances(count):
        whole = flat(encoder.encode(documents))
    with entrances(refuse):
        halved = flat(encoder.encode(documents))
    assert refused
    for ours, theirs in zip(halved, whole, strict=True):
        assert ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs)) > 0.999


def test_a_pass_that_does_not_fit_is_halved_until_it_does(space, memory):
    whole = make_encoder(space).encode(TEXTS)
    asked = memory(3)
    halved = make_encoder(space).encode(TEXTS)
    assert max(asked) > 3
    assert {rows for rows in asked if rows <= 3}
    np.testing.assert_allclose(halved, whole, atol=1e-5)


def test_one_row_that_does_not_fit_is_an_error(space, memory):
    memory(0)
    with pytest.raises(torch.OutOfMemoryError, match="no memory for 1 rows"):
        make_encoder(space).encode(TEXTS[:3])


def test_features_whose_rows_cannot_be_told_apart_are_not_cut(space, memory):
    asked = memory(1)
    features = {
        "input_ids": torch.ones((4, 3), dtype=torch.long),
        "attention_mask": torch.ones((4, 3), dtype=torch.long),
        "patches": torch.ones((7, 2)),
    }
    with pytest.raises(torch.OutOfMemoryError, match="no memory for 4 rows"):
        forward(the_model(space), features, threads=1)
    assert asked == [4]
