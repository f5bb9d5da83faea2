import numpy as np
import pytest

from stages.index.recall import RecallMeter
from stages.index.segments import OpenSegment
from stages.index.truth import GENERAL, merge_nearest
from tests import indexes


@pytest.fixture
def metered(corpus):
    """A meter over rows cut into segments."""

    def metered(vectors, shards=1, family="flat", deleted=(), truth_of=None, **parameters):
        kind = corpus.kind(family, **parameters)
        built = indexes.build(
            corpus.folder,
            kind,
            corpus.rows(len(vectors)),
            vectors,
            shards=shards,
            deleted=deleted,
            questions=corpus.vectors(7, seed=5) if len(vectors) else None,
            count=50,
        )
        segments = [OpenSegment.open(p.paths, family, parameters) for p in built.parts]
        return RecallMeter(
            truth_of.truth if truth_of else built.truth, segments, "inner_product"
        ), built

    return metered


@pytest.mark.parametrize("shards", [1, 4])
def test_exact_search_has_recall_one_for_every_kind_of_query(corpus, metered, shards):
    meter, _ = metered(corpus.vectors(300), shards)

    assert meter.recalls({}) == {"rows": 1.0, "text": 1.0}


def test_deleted_rows_are_neither_wanted_nor_found(corpus, metered):
    meter, _ = metered(corpus.vectors(300), 3, deleted=range(0, 300, 3))

    assert meter.recalls({}) == {"rows": 1.0, "text": 1.0}


def test_equal_rows_stand_in_for_each_other(corpus, metered):
    meter, _ = metered(np.repeat(corpus.vectors(5), 60, axis=0), 4)

    assert meter.recalls({}) == {"rows": 1.0, "text": 1.0}


def test_rows_with_other_vectors_have_no_recall(corpus, metered):
    _, right = metered(corpus.vectors(2000))
    meter, _ = metered(np.roll(corpus.vectors(2000), 700, axis=0), truth_of=right)

    # The digests of the right neighbours are all there, but at rows that lie elsewhere for the questions.
    assert meter.recalls({})["text"] == 1.0
    wrong, _ = metered(corpus.vectors(2000, seed=9), truth_of=right)
    assert max(wrong.recalls({}).values()) < 0.1


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_to_find_is_all_found(corpus, metered, rows):
    meter, _ = metered(corpus.vectors(rows))

    assert set(meter.recalls({}).values()) <= {1.0}


def test_recall_grows_with_effort(corpus, metered):
    meter, _ = metered(corpus.vectors(2000), 2, "ivf_flat", nlist=40)

    recalls = [meter.recalls({"nprobe": n})["rows"] for n in (1, 2, 4, 8, 40)]

    assert recalls == sorted(recalls)
    assert recalls[0] < 0.9
    assert recalls[-1] == 1.0


def test_truth_does_not_depend_on_how_rows_are_cut(corpus, metered):
    one, many = (metered(corpus.vectors(300), n)[1].truth for n in (1, 8))

    np.testing.assert_array_equal(one.queries.vectors, many.queries.vectors)
    np.testing.assert_array_equal(one.nearest.unit_ids, many.nearest.unit_ids)
    again = merge_nearest(one.queries, [one.nearest, many.nearest])
    np.testing.assert_array_equal(again.unit_ids, one.nearest.unit_ids)


def test_questions_about_anything_cannot_be_missed(corpus, metered):
    _, built = metered(corpus.vectors(300))
    everything = built.truth
    general = everything.pick(np.flatnonzero(everything.queries.of_kind(GENERAL)))

    assert RecallMeter(general, [], "inner_product").recalls({}) == {}
    assert len(general.queries) == 7
