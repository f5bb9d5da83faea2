from dataclasses import replace

import numpy as np
import pytest

from schemas.errors import VectorError
from stages.index.families import NO_QUANTISER, family
from stages.index.train import TrainRequest, train, training_digest


def request(corpus, family_name="ivf_flat", **parameters):
    return TrainRequest(corpus.kind(family_name, **({"nlist": 8} | parameters)))


def test_equal_samples_give_equal_bytes_and_another_sample_others(corpus):
    first, second, other = (train(request(corpus), corpus.vectors(400, seed)) for seed in (0, 0, 1))

    assert first.dtype == np.uint8
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != other.tobytes()


def test_read_only_samples_are_fine(corpus):
    sample = corpus.vectors(400)
    sample.setflags(write=False)

    assert train(request(corpus), sample).size


def test_a_flat_index_needs_no_training(corpus):
    assert train(request(corpus, "flat"), corpus.vectors(3)) is NO_QUANTISER


def test_only_the_indexed_dims_are_trained_on_and_they_have_length_one(corpus):
    sample = corpus.vectors(400)
    cut = sample[:, :16] / np.linalg.norm(sample[:, :16], axis=1, keepdims=True)

    trained = train(request(corpus, dims=16), sample)

    expected = family("ivf_flat").train(cut, "inner_product", {"nlist": 8})
    assert trained.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v.astype(np.float64), r"vectors are float64 \[400, 32\], expected float32"),
        (lambda v: v[:, :31], r"vectors are float32 \[400, 31\]"),
        (
            lambda v: np.where(np.arange(400)[:, None] == 7, np.float32("nan"), v),
            "vector 7 has NaN",
        ),
        (lambda v: v[:5], "5 training vectors for 8 lists"),
    ],
)
def test_a_bad_sample_is_refused(corpus, spoil, message):
    with pytest.raises(VectorError, match=message):
        train(request(corpus), spoil(corpus.vectors(400)))


def test_what_training_depends_on_makes_its_digest(corpus):
    kind = corpus.kind("ivf_flat", nlist=8)
    others = [
        (replace(kind, family="ivf_sq8"), "sample"),
        (replace(kind, parameters={"nlist": 9}), "sample"),
        (replace(kind, dim=16), "sample"),
        (replace(kind, metric="l2"), "sample"),
        (kind, "another"),
    ]

    digests = [training_digest(*depends) for depends in [(kind, "sample"), *others]]

    assert training_digest(replace(kind), "sample") == digests[0]
    assert len(set(digests)) == len(digests)
