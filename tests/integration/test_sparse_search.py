"""A sparse space: embedded, published beside the index of its texts, searched exactly, kept up with changes."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.diff import diff_snapshots
from flows.index_plan import plan_lake
from flows.wiring import open_retriever
from schemas.config import Config, Indexing, Profile, Recognition
from schemas.errors import IntegrityError
from schemas.ids import digest
from schemas.space import SparseVector
from stages.embed import minilm, registry
from stages.index.snapshot import OpenSnapshot
from stages.index.sparse import SparseIndex
from stages.index.verify import verify
from tests.integration.mill import Mill

pytestmark = pytest.mark.slow

TERMS = 30_000
QUIET = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)
CONFIG = Config(
    recognition=QUIET,
    profile=Profile(spaces=("minilm", "terms")),
    indexing=Indexing(merge_floor_rows=1, deleted_share=1.0),
)
TEXTS = {f"part {n}.txt": f"Drawing {n} shows the bearing of shaft {n % 7}." for n in range(40)}


class Terms:
    """The square root of how often each word comes; a question's words count twice. Numbers alone are terms."""

    def __init__(self, contract):
        self.contract = contract

    def encode(self, texts):
        return [self._one(text, 1.0) for text in texts]

    def encode_queries(self, texts):
        return [self._one(text, 2.0) for text in texts]

    def _one(self, text, weight):
        terms = [int(digest("term", word)[:8], 16) % TERMS for word in re.findall(r"\d+", text)]
        found, counts = np.unique(np.array(terms, np.int32), return_counts=True)
        return SparseVector(found, (weight * np.sqrt(counts)).astype(np.float32))


def contract(**options):
    text = minilm.contract(**options)
    return replace(text, name="terms", encoder="terms", representation="sparse", dim=TERMS)


@pytest.fixture(autouse=True)
def _space(monkeypatch):
    row = registry.SpaceRow(contract, f"{__name__}:Terms")
    monkeypatch.setitem(registry.SPACES, "terms", row)


def made(folder: Path) -> Mill:
    mill = Mill(folder, CONFIG)
    for name, text in TEXTS.items():
        mill.write(name, text)
    mill.write("no numbers.txt", "Nothing here is a term.")
    mill.ingest()
    return mill


def test_a_sparse_space_is_searched_exactly_and_follows_changes(tmp_path: Path):
    mill = made(tmp_path)
    first = mill.publish()
    key = mill.spaces_of(CONFIG)[1].key
    planned = plan_lake(mill.lake.url, CONFIG)
    assert "terms" not in {index.space for index in planned.indexes}
    assert ("text/paragraph", "terms") in {(p.partition, p.space) for p in planned.inverted}
    entry = next(e for e in first.inverted if (e.partition, e.encoder) == ("text/paragraph", key))
    assert key in {space.key for space in first.spaces}
    assert all(check.passed for check in entry.checks)
    verify(first, mill.lake.blobs.local_path)

    # Every score is the inner product.
    index = OpenSnapshot.open(first, mill.lake.blobs.local_path).inverted(entry)
    assert isinstance(index, SparseIndex)
    encoder = Terms(contract())
    (query,) = encoder.encode_queries(["37 3 999"])
    for part, scores in zip(index.parts, index.scores(query), strict=True):
        for text, score in zip(part.segment.rows["text"].to_pylist(), scores, strict=True):
            (document,) = encoder.encode([text])
            shared, ours, theirs = np.intersect1d(query.terms, document.terms, return_indices=True)
            wanted = float(query.weights[ours] @ document.weights[theirs]) if len(shared) else 0.0
            assert score == pytest.approx(wanted)

    def best(question, mode="sparse"):
        retriever = open_retriever(mill.lake.url)
        hits = retriever.search(question, k=3, route="text/paragraph", mode=mode).hits
        return [hit.path for hit in hits]

    assert best("drawing 37")[0] == "part 37.txt"
    assert best("drawing 37", "hybrid")[0] == "part 37.txt"
    assert best("no number") == []

    mill.write("part 37.txt", "Drawing 4711 shows another bearing.")
    (mill.corpus / "part 12.txt").unlink()
    mill.ingest()
    second = mill.publish()
    assert best("drawing 4711") == ["part 37.txt"]
    assert best("12") == []
    found = diff_snapshots(mill.lake.url, first.snapshot_id, second.snapshot_id)
    sparse = next(i for i in found.inverted if (i.partition, i.encoder) == ("text/paragraph", key))
    assert (sparse.files_reused, sparse.files_new, sparse.files_dropped) == (1, 1, 0)
    assert mill.publish().snapshot_id == second.snapshot_id


def test_postings_of_other_segments_are_refused(tmp_path: Path):
    manifest = made(tmp_path).publish()
    paths = Mill(tmp_path, CONFIG).lake.blobs.local_path
    entry = next(e for e in manifest.inverted if e.encoder)
    cut = replace(entry, segments=entry.segments[1:])
    with pytest.raises(IntegrityError, match="segments"):
        OpenSnapshot.open(manifest, paths).inverted(cut)
