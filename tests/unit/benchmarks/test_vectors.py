from itertools import pairwise

import numpy as np
import pytest

from benchmarks.likeness import fit, likeness, made
from benchmarks.paragraphs import Paragraphs
from benchmarks.vectors import BLOCK_ROWS, KNOBS, STORED, Maker, Model

ROWS = 3_000


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker.stored()


@pytest.fixture(scope="module")
def some(maker):
    return maker.block(0, ROWS)


def test_rows_are_unit_vectors_of_whole_documents(some):
    assert some.vectors.dtype == np.float32
    assert some.vectors.shape == (ROWS, 384)
    assert np.allclose(np.linalg.norm(some.vectors, axis=1), 1, atol=1e-5)
    assert some.documents[0] == 0
    assert set(np.diff(some.documents)) == {0, 1}


def test_a_block_is_the_same_in_every_set(maker):
    few, many = list(maker.blocks(700)), list(maker.blocks(BLOCK_ROWS + 5))
    assert [len(block.vectors) for block in few + many] == [700, BLOCK_ROWS, 5]
    assert [block.first_row for block in many] == [0, BLOCK_ROWS]
    assert np.array_equal(few[0].vectors, many[0].vectors[:700])
    assert np.array_equal(few[0].documents, many[0].documents[:700])
    alone = maker.block(1, 9)
    assert np.array_equal(alone.vectors[:5], many[1].vectors)


def test_a_seed_gives_a_set_and_another_seed_another(some):
    again, other = Maker.stored().block(0, 50), Maker.stored(8).block(0, 50)
    assert np.array_equal(again.vectors, some.vectors[:50])
    assert not np.isclose(other.vectors, some.vectors[:50]).all(axis=1).any()


def test_passages_of_a_document_are_near_each_other(some):
    similarity = some.vectors @ some.vectors.T
    same = some.documents[:, None] == some.documents
    np.fill_diagonal(same, val=False)
    assert similarity[same].mean() > similarity[~same].mean() + 0.1


def test_variance_lies_where_the_model_has_it(maker, some):
    model = maker.model
    spectrum = np.sort(model.between + model.within)[::-1]
    found = np.linalg.eigvalsh(np.cov(some.vectors.T))[::-1]
    for axes in (32, 128):
        share = spectrum[:axes].sum() / spectrum.sum()
        assert found[:axes].sum() / found.sum() == pytest.approx(share, abs=0.06)


def test_held_out_rows_are_of_the_same_kind_and_in_no_block(maker, some):
    queries = maker.queries(100)
    assert {kind: q.shape[1] for kind, q in queries.items()} == {"rows": 384, "questions": 384}
    nearest = (queries["rows"] @ some.vectors.T).max(axis=1)
    others = some.vectors @ some.vectors.T
    np.fill_diagonal(others, val=-1)
    assert nearest.max() < 0.9999
    assert nearest.mean() > np.median(others)


def test_what_is_kept_is_small_and_has_no_text(maker):
    assert STORED.stat().st_size < 200_000
    with np.load(STORED, allow_pickle=False) as kept:
        assert {kept[name].dtype.kind for name in kept} <= {"f", "i"}


def test_a_model_comes_back_as_it_was_kept(maker, tmp_path):
    maker.model.save(tmp_path / "model.npz")
    again = Model.load(tmp_path / "model.npz")
    assert {k: getattr(again, k) for k in KNOBS} == {k: getattr(maker.model, k) for k in KNOBS}
    assert np.array_equal(again.between, maker.model.between)
    assert np.allclose(again.axes @ again.axes.T, np.eye(384), atol=1e-4)
    turned = np.abs(np.einsum("nd,nd->n", again.axes[:128], maker.model.axes[:128]))
    assert turned.min() > 0.99


def test_likeness_of_a_line_is_one_dimension_and_of_a_cloud_is_many():
    rng = np.random.default_rng(0)
    angle = np.sort(rng.random(400)) * 0.5
    line = np.zeros((400, 16), dtype=np.float32)
    line[:, 0], line[:, 1] = np.cos(angle), np.sin(angle)
    cloud = rng.standard_normal((400, 16)).astype(np.float32)
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    flat, round_ = likeness(line), likeness(cloud)
    assert flat.dimension == pytest.approx(1, abs=0.4)
    assert round_.dimension > 6
    assert flat.distance(flat) == 0
    assert flat.distance(round_) > 0.1
    assert all(a <= b for a, b in pairwise(round_.ivf))


@pytest.mark.slow
@pytest.mark.long
def test_a_fit_comes_near_to_what_was_made(maker):
    block = maker.block(3, 1_200)
    real = Paragraphs(block.vectors, block.documents, maker.model.questions)
    model = fit(real, note=lambda _: None)
    target = likeness(real.vectors)
    assert likeness(made(model, 1_200)).distance(target) < 0.08
