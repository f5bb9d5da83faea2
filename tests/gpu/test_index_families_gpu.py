"""What an index family says of GPUs, held against a real one."""

import faiss
import numpy as np
import pytest

from schemas.errors import ConfigError
from stages.index.families import FAMILIES, family, to_gpu

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not faiss.get_num_gpus(), reason="needs a GPU and faiss-gpu"),
]

DIM = 64
PARAMETERS = {"nlist": 16, "m": 16}


def unit(rows: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def read(built: np.ndarray, name: str):
    return (faiss.deserialize_index_binary if name == "binary" else faiss.deserialize_index)(built)


def built(name, vectors, parameters=PARAMETERS):
    chosen = family(name)
    trained = chosen.train(vectors, "inner_product", parameters)
    return read(chosen.build(vectors, trained, "inner_product", parameters), name)


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].gpu])
def test_an_index_lands_on_the_gpu_and_finds_the_same(name):
    vectors, queries = unit(3000), unit(20, seed=1)
    index = built(name, vectors)
    asked = np.packbits(queries > 0, axis=1) if name == "binary" else queries

    moved = to_gpu(index)
    for each in (index, moved):
        each.nprobe = 16

    assert type(moved).__name__.startswith("Gpu")
    assert moved.ntotal == 3000
    near, far = index.search(asked, 10)[0], moved.search(asked, 10)[0]
    np.testing.assert_allclose(near, far, atol=1e-2)


def test_many_lists_keep_their_graph_on_the_cpu():
    moved = to_gpu(built("ivf_flat", unit(9000, dim=16), {"nlist": 8192}))

    assert type(moved).__name__ == "GpuIndexIVFFlat"


@pytest.mark.parametrize("name", [name for name in FAMILIES if not FAMILIES[name].gpu])
def test_what_faiss_leaves_on_the_cpu_is_refused(name):
    with pytest.raises(ConfigError, match=r"faiss cannot hold a Index.* on a GPU"):
        to_gpu(built(name, unit(3000)))


@pytest.mark.parametrize("name", [name for name in FAMILIES if name.startswith("ivf")])
def test_training_on_a_gpu_gives_equal_bytes_each_time(name):
    first, second = (
        family(name).train(unit(3000), "inner_product", PARAMETERS).tobytes() for _ in range(2)
    )

    assert first == second
