import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.route.background import BACKGROUND
from stages.route.calibrate import Scale, calibrate, space_scales
from stages.route.prototypes import PROTOTYPES, prototypes
from tests.unit.stages.route.toy import index_of, unit


def test_background_questions_are_many_and_all_different():
    assert len(BACKGROUND) >= 50
    assert len({question.casefold() for question in BACKGROUND}) == len(BACKGROUND)


def test_calibration_is_of_the_best_hits():
    found = calibrate(np.array([1, 0.6, 0.8], dtype=np.float32))
    assert found["best_mean"] == pytest.approx((1 + 0.6 + 0.8) / 3, abs=1e-6)
    assert found["best_std"] == pytest.approx(np.std([1, 0.6, 0.8]), abs=1e-6)


def test_a_space_has_one_scale_over_its_indexes():
    scales = space_scales(
        [
            index_of("text/paragraph", "a", best_mean=0.5, best_std=0.1),
            index_of("page/page", "a", best_mean=0.3, best_std=0.2),
            index_of("image/image", "b", best_mean=0.1, best_std=0.0),
            index_of("audio/segment", "c"),
        ]
    )
    assert scales["a"].mean == pytest.approx(0.4)
    assert scales["a"].std == pytest.approx(0.15)
    assert scales["b"].std > 0
    assert scales["c"] == Scale(0.0, 1.0)


@given(st.floats(0.1, 10), st.floats(-1, 1), st.integers(0, 2**32 - 1))
def test_standing_does_not_see_the_scale_of_a_space(stretch, shift, seed):
    """An encoder whose cosines are stretched and shifted ranks its hits exactly as before."""
    similarities = np.random.default_rng(seed).uniform(0.2, 0.9, 8)
    plain = Scale(0.4, 0.1).standing(similarities)
    moved = Scale(0.4 * stretch + shift, 0.1 * stretch).standing(similarities * stretch + shift)
    assert moved == pytest.approx(plain, abs=1e-6)


def test_few_vectors_are_their_own_prototypes():
    vectors = unit(PROTOTYPES, 8, seed=3)
    assert np.array_equal(prototypes(vectors), vectors)


def test_prototypes_and_pdfs_go_together():
    """Both faiss and pymupdf are made with SWIG, and each takes the other's vectors for its own."""
    script = (
        "import pymupdf, numpy as np; from stages.route.prototypes import prototypes;"
        "print(prototypes(np.eye(300, dtype=np.float32)).shape)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["(256,", "300)"]


def test_prototypes_cover_every_topic_and_are_the_same_again():
    centres = unit(40, 24, seed=4)
    rng = np.random.default_rng(5)
    vectors = centres[rng.integers(0, 40, 4000)] + 0.05 * rng.standard_normal((4000, 24))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found = prototypes(vectors)
    assert found.shape == (PROTOTYPES, 24)
    assert found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(PROTOTYPES), abs=1e-4)
    assert (centres @ found.T).max(axis=1).min() > 0.95
    assert np.array_equal(found, prototypes(vectors))
