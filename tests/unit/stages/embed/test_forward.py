"""What a pass through a model does when there is no memory for it."""

import numpy as np
import pytest
import torch

from schemas.space_config import SpaceConfig
from stages.embed.forward import forward
from stages.embed.loading import load_model
from stages.embed.registry import contract, make_encoder
from tests import tiny_models

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
