"""Token vectors and sparse vectors go into the lake and come out of it as the encoder gave them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.verify import contracts_of
from infra.lake import paths
from infra.lake.hexkeys import HexKeys
from infra.lake.invariants import check_invariants
from schemas.config import Config, Profile, Recognition
from schemas.ids import digest
from schemas.partition import TEXT_PARAGRAPH
from schemas.space import SparseVector, TokenVectors
from stages.embed import minilm, registry
from tests.integration.mill import Mill

WIDTH, TERMS = 8, 1000
QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
CONFIG = Config(recognition=QUIET, profile=Profile(spaces=("minilm", "words", "terms")))
TEXTS = {
    "a.txt": "The mill grinds the grain.",
    "b.txt": "Water drives the wheel of the mill, and the wheel drives the stones.",
    "c.txt": "1701, 1755, 1810 and so on.",
}


class Words:
    """A unit vector for each word."""

    def __init__(self, contract):
        self.contract = contract

    def encode(self, texts):
        return [self._one(text) for text in texts]

    encode_queries = encode

    def _one(self, text):
        seeds = [int(digest("word", word)[:8], 16) for word in text.split()]
        vectors = np.stack([np.random.default_rng(seed).normal(size=WIDTH) for seed in seeds])
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return TokenVectors(vectors.astype(np.float32), np.zeros(len(seeds), np.int32))


class Terms:
    """How often each word comes; only some words are terms, so a text may have none at all."""

    def __init__(self, contract):
        self.contract = contract

    def encode(self, texts):
        return [self._one(text) for text in texts]

    encode_queries = encode

    def _one(self, text):
        words = [word for word in text.split() if word.istitle() or word == "wheel"]
        terms = [int(digest("term", word)[:8], 16) % TERMS for word in words]
        found, counts = np.unique(np.array(terms, np.int32), return_counts=True)
        return SparseVector(found, counts.astype(np.float32))


def row(name, representation, dim, encoder):
    def contract(**options):
        text = minilm.contract(**options)
        return replace(text, name=name, encoder=name, representation=representation, dim=dim)

    return registry.SpaceRow(contract, f"{__name__}:{encoder}")


@pytest.fixture(autouse=True)
def _spaces(monkeypatch):
    monkeypatch.setitem(registry.SPACES, "words", row("words", "tokens", WIDTH, "Words"))
    monkeypatch.setitem(registry.SPACES, "terms", row("terms", "sparse", TERMS, "Terms"))


def stored(mill: Mill, space):
    """What each live paragraph became, by its text."""
    view = mill.lake.view()
    units = view.live_units(TEXT_PARAGRAPH, ["text", "text_hash"])
    found = view.find_vectors(space.key, TEXT_PARAGRAPH, HexKeys.of(units["text_hash"]))
    texts = units["text"].to_pylist()
    return {
        texts[i]: marked
        for rows, block in found.marked_blocks()
        for i, marked in zip(rows.tolist(), block, strict=True)
    }


def same(found, expected):
    assert found.keys() == expected.keys()
    for text, (values, marks) in found.items():
        np.testing.assert_array_equal(values, expected[text][0])
        np.testing.assert_array_equal(marks, expected[text][1])


def test_what_comes_out_is_what_the_encoder_gave(tmp_path: Path):
    mill = Mill(tmp_path, CONFIG)
    for name, text in TEXTS.items():
        mill.write(name, text)
    assert mill.ingest().unit_rejects == {}
    _, words, terms = mill.spaces_of(CONFIG)
    for space, encoder in ((words, Words(words)), (terms, Terms(terms))):
        expected = {}
        for text in TEXTS.values():
            (one,) = encoder.encode([text])
            expected[text] = one if space is words else (one.weights.reshape(-1, 1), one.terms)
        same(stored(mill, space), expected)
    dims = [len(v) for v, _ in stored(mill, terms).values()]
    assert 0 in dims
    assert max(dims) > 1
    assert check_invariants(mill.lake.view(), contracts_of(mill.lake, CONFIG, {})).holds


def test_known_contents_are_recalled_and_not_embedded_again(tmp_path: Path):
    mill = Mill(tmp_path, CONFIG)
    mill.write("a.md", TEXTS["a.txt"])
    mill.ingest()
    before = stored(mill, mill.spaces_of(CONFIG)[1])
    mill.write("a.md", f"# Mills\n\n{TEXTS['b.txt']}\n")
    mill.ingest()
    mill.write("a.md", TEXTS["a.txt"])
    again = mill.ingest()
    assert not again.vectors
    same(stored(mill, mill.spaces_of(CONFIG)[1]), before)


def test_the_table_holds_one_width(tmp_path: Path):
    mill = Mill(tmp_path, CONFIG)
    mill.write("a.txt", TEXTS["b.txt"])
    mill.ingest()
    _, words, terms = mill.spaces_of(CONFIG)
    for space, width in ((words, WIDTH), (terms, 1)):
        rows = mill.lake.view().all_rows(paths.embeddings(space.key), ["vector", "marks"])
        for vector, marks in zip(
            rows["vector"].to_pylist(), rows["marks"].to_pylist(), strict=True
        ):
            assert len(vector) == width * len(marks)
