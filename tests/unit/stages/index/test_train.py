from pathlib import Path

import numpy as np
import pytest

from schemas.errors import IntegrityError, VectorError
from stages.index.train import TrainRequest, train, trained_digest, trained_of


def request(corpus, family="ivf_flat", nlist=8):
    return TrainRequest(corpus.partition, corpus.space, family, {"nlist": nlist}, corpus.dim)


def test_equal_samples_give_equal_bytes_and_another_sample_others(corpus):
    first, second, other = (train(request(corpus), corpus.vectors(400, seed)) for seed in (0, 0, 1))

    assert first.dtype == np.uint8
    assert first.tobytes() == second.tobytes()
    assert len({trained_digest(trained) for trained in (first, second, other)}) == 2


def test_read_only_samples_are_fine(corpus):
    sample = corpus.vectors(400)
    sample.setflags(write=False)

    assert train(request(corpus), sample).size


def test_a_flat_index_needs_no_training(corpus):
    assert train(request(corpus, "flat"), corpus.vectors(3)).size == 0
    assert trained_digest(np.zeros(0, np.uint8)) == ""


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v.astype(np.float64), r"vectors are float64 \[400, 32\], expected float32"),
        (lambda v: v[:, :31], r"vectors are float32 \[400, 31\]"),
        (
            lambda v: np.where(np.arange(400)[:, None] == 7, np.float32("nan"), v),
            "vector 7 has NaN",
        ),
    ],
)
def test_a_bad_sample_is_refused(corpus, spoil, message):
    with pytest.raises(VectorError, match=message):
        train(request(corpus), spoil(corpus.vectors(400)))


def test_a_file_that_is_no_index_is_named(tmp_path):
    (tmp_path / "index.faiss").write_bytes(b"not an index at all")

    with pytest.raises(IntegrityError, match=r"index\.faiss is not a faiss index"):
        trained_of(tmp_path / "index.faiss")


def test_a_flat_segment_holds_no_quantiser(corpus):
    rows, vectors = corpus.rows(20), corpus.vectors(20)
    _, _, paths = corpus.opened(rows, vectors)

    assert trained_of(Path(paths[0][0])).size == 0
