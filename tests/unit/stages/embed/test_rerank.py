"""A cross-encoder of the real class: its scores, and what becomes of hits."""

from dataclasses import replace

import numpy as np
import pytest
from sentence_transformers import CrossEncoder

from schemas.errors import ConfigError, MissingExtraError
from schemas.search import Hit, SearchResult
from stages.embed.rerank import CrossReranker
from stages.route.rerank import reranked
from tests import tiny_models
from tests.contracts.encoder_cases import texts

QUERY = "the water mill"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.make("cross", tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="module")
def reranker(folder):
    return CrossReranker(str(folder))


def test_scores_are_those_of_the_bare_model(folder, reranker):
    bare = CrossEncoder(str(folder), device="cpu").predict(
        [(QUERY, text) for text in texts(9)], batch_size=1
    )
    scores = reranker.score(QUERY, texts(9))
    assert (scores.shape, scores.dtype) == ((9,), np.float32)
    np.testing.assert_allclose(scores, bare, atol=1e-6)


def test_company_and_order_change_no_bit(reranker):
    many = texts(11)
    together = reranker.score(QUERY, many)
    np.testing.assert_array_equal(together, [reranker.score(QUERY, [text])[0] for text in many])
    np.testing.assert_array_equal(together, reranker.score(QUERY, many[::-1])[::-1])
    assert reranker.score(QUERY, []).shape == (0,)


def test_hits_are_in_order_of_their_scores_and_those_without_text_stay(reranker):
    hit = Hit(1, 0.9, "text/paragraph", "a.txt", "a.txt", {}, "", "", "")
    found = [replace(hit, rank=i + 1, text=text, unit_id=str(i)) for i, text in enumerate(texts(6))]
    found.insert(2, replace(hit, rank=3, unit_id="picture"))
    result = reranked(QUERY, SearchResult("s", (), tuple(found)), reranker, 5)
    assert [h.rank for h in result.hits] == [1, 2, 3, 4, 5]
    assert result.hits[2].unit_id == "picture"
    scores = reranker.score(QUERY, [h.text for h in result.hits if h.text])
    assert list(scores) == sorted(scores, reverse=True)
    assert scores[0] == reranker.score(QUERY, texts(6)).max()


def test_what_is_no_reranker_is_refused(tmp_path):
    bare = tiny_models.make("bert", tmp_path)
    with pytest.raises(ConfigError, match="BertModel scores no pairs"):
        CrossReranker(str(bare))
    with pytest.raises(MissingExtraError, match="hf download org/none"):
        CrossReranker("org/none")
