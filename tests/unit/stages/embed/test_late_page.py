"""What is put around pages and questions, which models of the ColPali family were trained with."""

import numpy as np
import pytest

from schemas.space_config import SpaceConfig
from stages.embed.registry import contract, make_encoder
from tests import tiny_models

# By model: vectors of a question of one word, of a page, and those of them that stand for its patches.
COUNTS = {
    "colqwen2": (15, 28, 16),
    "colpali": (14, 21, 16),
    "colmodernvbert": (13, 21, 4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_pages_and_questions_are_put_as_the_model_was_trained(name, tmp_path):
    keys = {"frame_size": 32, "batch_frames": 2}
    wish = SpaceConfig(
        adapter="late_page", model=str(tiny_models.make(name, tmp_path / name)), **keys
    )
    encoder = make_encoder(contract("pages", configured={"pages": wish}))
    page = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    (question,), (found,) = encoder.encode_queries(["mill"]), encoder.encode([page])
    assert (len(question.vectors), len(found.vectors), int(found.kinds.sum())) == COUNTS[name]
    assert not question.kinds.any()
