"""Where there are many lists, training and filling them take short cuts: hardly worse, and always the same."""

import faiss
import numpy as np
import pytest

from stages.index.families import family, threads
from stages.index.families._coarse import list_of_each

LISTS = 1024
ROWS = 30 * LISTS
DIM = 16


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((200, DIM))
    made = centres[rng.integers(0, 200, ROWS)] + 0.4 * rng.standard_normal((ROWS, DIM))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float32)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_vectors_go_into_near_lists_on_any_number_of_threads(vectors, metric, tmp_path):
    chosen, parameters = family("ivf_flat"), {"nlist": LISTS}
    built = []
    for count in (1, 2):
        with threads(count):
            trained = chosen.train(vectors, metric, parameters)
            built.append(chosen.build(vectors, trained, metric, parameters))
    assert built[0].tobytes() == built[1].tobytes()

    path = tmp_path / "index.faiss"
    path.write_bytes(built[0].tobytes())
    index = chosen.open(path)
    assert chosen.size(index) == (ROWS, DIM)
    np.testing.assert_array_equal(chosen.reconstruct(index, 0, ROWS), vectors)
    centroids = index.quantizer.reconstruct_n(0, LISTS)
    own = list_of_each(index, vectors)
    np.testing.assert_array_equal(np.bincount(own, minlength=LISTS), chosen.list_sizes(index))
    distances = np.linalg.norm(vectors - centroids[own], axis=1)
    nearest = np.sqrt(np.maximum(0, faiss.knn(vectors, centroids, 1)[0][:, 0]))
    if metric == "l2":
        assert np.mean(distances <= nearest + 1e-3) > 0.95
    assert distances.mean() < 1.02 * nearest.mean()


def test_two_levels_of_k_means_are_nearly_as_good_as_one(vectors):
    trained = family("ivf_flat").train(vectors, "l2", {"nlist": LISTS})
    index = faiss.deserialize_index(trained)
    flat = faiss.Clustering(DIM, LISTS)
    flat.niter, flat.min_points_per_centroid = 10, 1
    quantiser = faiss.IndexFlatL2(DIM)
    flat.train(vectors, quantiser)

    ours, theirs = (q.search(vectors, 1)[0].mean() for q in (index.quantizer, quantiser))

    assert ours < 1.05 * theirs
