"""Encoders on a real GPU: the vectors of a CPU, and passes that its memory has no room for."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from schemas.space_config import SpaceConfig
from stages.embed.loading import load_model
from stages.embed.registry import contract, make_encoder
from tests import tiny_models
from tests.contracts.encoder_cases import CASES, case_contract, flat, inputs, texts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]

ON_CPU = """
import sys
import numpy as np
from pathlib import Path
from stages.embed.registry import make_encoder
from tests.contracts.encoder_cases import case_contract, flat, inputs
encoder = make_encoder(case_contract(sys.argv[1], Path(sys.argv[2])))
np.savez(sys.argv[3], *flat(encoder.encode(inputs(encoder.contract, 9))))
"""


@pytest.mark.parametrize("name", CASES)
def test_vectors_are_those_of_a_cpu(name, tmp_path):
    kept = tmp_path / "cpu.npz"
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    arguments = [name, str(tmp_path / "cpu"), str(kept)]
    subprocess.run([sys.executable, "-c", ON_CPU, *arguments], check=True, env=hidden)
    encoder = make_encoder(case_contract(name, tmp_path / "gpu"))
    found = flat(encoder.encode(inputs(encoder.contract, 9)))
    with np.load(kept, allow_pickle=False) as saved:
        wanted = [saved[key] for key in saved.files]
    for ours, theirs in zip(found, wanted, strict=True):
        cosine = ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs))
        assert cosine > 0.999


def test_a_pass_that_does_not_fit_is_halved(tmp_path):
    folder = tiny_models.make("bert", tmp_path / "bert")
    wish = SpaceConfig(adapter="text", model=str(folder), batch_tokens=1 << 19)
    space = make_encoder(contract("words", configured={"words": wish})).contract
    some = texts(4096)
    whole = make_encoder(space).encode(some)
    assert load_model("SentenceTransformer", space, pooling=space.pooling).device.type == "cuda"
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(
        min(1.0, (torch.cuda.memory_reserved() + (64 << 20)) / total)
    )
    try:
        np.testing.assert_allclose(make_encoder(space).encode(some), whole, atol=1e-3)
        assert free > 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
