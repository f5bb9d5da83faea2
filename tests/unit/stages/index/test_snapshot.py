import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from schemas.config import Indexing
from schemas.errors import ConfigError, IntegrityError, VectorError
from schemas.manifest import FileRef, Manifest
from schemas.partition import AUDIO_SEGMENT, TEXT_PARAGRAPH
from schemas.space import SpaceContract
from schemas.tables import SNAPSHOT_SOURCES
from stages.index.manifests import (
    Origin,
    index_manifest,
    snapshot_manifest,
    sources_bytes,
)
from stages.index.plan import IndexPlan
from stages.index.routing import RoutingParts
from stages.index.snapshot import OpenSnapshot, SourcePlace
from stages.index.validate import ValidateRequest, validate
from stages.index.verify import verify

ROWS = 600
PLAN = IndexPlan("ivf_sq8", {"nlist": 8}, 2, ROWS, "a test")
SPACE = SpaceContract(
    name="toy",
    encoder="toy",
    model="toy",
    revision="1",
    weights_digest="",
    dim=32,
    dtype="float32",
    input="text",
    pooling="mean",
)
ORIGIN = Origin("run-1", "2026-01-01T00:00:00+00:00", {"units": 3})


class Published:
    """A snapshot on disk, with what went into it."""

    def __init__(self, corpus, origin=ORIGIN):
        self.folder = corpus.folder
        self.rows, self.vectors = corpus.rows(ROWS), corpus.vectors(ROWS)
        answers = list(corpus.answers(self.rows, self.vectors, 2, PLAN.family, **PLAN.parameters))
        files = tuple(tuple(str(p) for p in corpus.write(a))[:2] for a, _ in answers)
        request = ValidateRequest(
            "text/paragraph", SPACE.key, PLAN.family, PLAN.parameters, files, ROWS, Indexing()
        )
        validation = validate(request, [vectors for _, vectors in answers])
        data = sources_bytes(sources())
        key = "snapshots/sources.arrow"
        self.path(key).parent.mkdir(parents=True, exist_ok=True)
        self.path(key).write_bytes(data)
        ref = FileRef(key, len(data), hashlib.sha256(data).hexdigest())
        segments = [a.value.ref for a, _ in answers]
        entry = index_manifest(
            ("text/paragraph", SPACE.key), PLAN, segments, validation, RoutingParts({})
        )
        self.manifest = snapshot_manifest(origin, [SPACE], [entry], ref, {})

    def path(self, key: str) -> Path:
        return self.folder / key

    def open(self, **kwargs) -> OpenSnapshot:
        return OpenSnapshot.open(self.manifest, self.path, **kwargs)


def sources():
    places = [("source-1", "b.txt"), ("source-1", "a.txt"), ("source-2", "c.txt")]
    return pa.table(
        {
            "source_id": [s for s, _ in places],
            "path": [p for _, p in places],
            "uri": [f"file:///x/{p}" for _, p in places],
            "title": ["T", "T", ""],
        },
        schema=SNAPSHOT_SOURCES,
    )


@pytest.fixture
def published(corpus):
    return Published(corpus)


def test_a_vector_finds_its_unit_with_everything_about_it(published):
    snapshot = published.open(verify=True)

    found = snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[[17, 3]], 5)

    assert [len(hits) for hits in found] == [5, 5]
    best = found[0][0]
    assert best.unit_id == published.rows.column("unit_id")[17].as_py()
    assert best.source_id == "source-3"
    assert best.locator == {"page": 18}
    assert best.attributes == {"title": "t17"}
    assert (best.text, best.context) == ("passage 17", "Heading")
    assert (best.partition, best.space) == ("text/paragraph", SPACE.key)
    assert best.similarity == pytest.approx(1, abs=0.01)


def test_more_than_there_is_gives_all_that_the_probed_lists_hold(published):
    (found,) = published.open().search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 10_000)

    assert 0 < len(found) <= ROWS
    assert len({hit.unit_id for hit in found}) == len(found)


def test_indexes_are_named(published):
    assert published.open().indexes == [(TEXT_PARAGRAPH, SPACE.key)]


def test_nothing_is_opened_before_it_is_needed(published):
    for segment in published.manifest.indexes[0].segments:
        published.path(segment.files[0].key).unlink()
    snapshot = published.open()

    with pytest.raises(IntegrityError, match=r"cannot open .*index\.faiss"):
        snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 1)


def test_an_index_that_is_not_there_is_answered_with_those_that_are(published):
    with pytest.raises(
        ConfigError, match=r"no index for audio/segment in x; it has text/paragraph"
    ):
        published.open().search(AUDIO_SEGMENT, "x", published.vectors[:1], 1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: v[0],
        lambda v: v[:, :-1],
        lambda v: v.astype(np.float64),
        lambda v: v * np.float32("nan"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(published, spoil):
    with pytest.raises(VectorError, match=f"text/paragraph in {SPACE.key}"):
        published.open().search(TEXT_PARAGRAPH, SPACE.key, spoil(published.vectors[:2]), 1)


def test_k_is_at_least_one(published):
    with pytest.raises(ConfigError, match="k is 0"):
        published.open().search(TEXT_PARAGRAPH, SPACE.key, published.vectors[:1], 0)


def test_a_source_is_found_at_its_first_path(published):
    snapshot = published.open()

    assert snapshot.paths("source-1") == SourcePlace("a.txt", "file:///x/a.txt", "T")
    with pytest.raises(IntegrityError, match="a unit of source nobody"):
        snapshot.paths("nobody")


def test_the_id_tells_what_is_served_and_not_when_it_was_made(published, corpus):
    later = Published(corpus, Origin("run-2", "2027-01-01T00:00:00+00:00", {"units": 9}))

    assert later.manifest.snapshot_id == published.manifest.snapshot_id
    entry = published.manifest.indexes[0]
    changed = replace(entry, search={"nprobe": entry.search["nprobe"] + 1})
    other = snapshot_manifest(ORIGIN, [SPACE], [changed], published.manifest.sources, {})
    assert other.snapshot_id != published.manifest.snapshot_id


def test_several_threads_open_and_search_one_snapshot(published):
    snapshot = published.open()

    def top(row):
        return snapshot.search(TEXT_PARAGRAPH, SPACE.key, published.vectors[row : row + 1], 3)

    with ThreadPoolExecutor(8) as pool:
        beside = list(pool.map(top, range(40)))

    assert beside == [top(row) for row in range(40)]


def test_the_manifest_survives_json(published):
    assert Manifest.from_json(published.manifest.to_json()) == published.manifest


def test_verify_measures_again_what_was_published(published):
    (index,) = verify(published.manifest, published.path)

    assert index.rows == ROWS
    assert index.recall_at_10 >= 0.95
    assert [check.passed for check in index.checks] == [True]


@pytest.mark.parametrize("which", ["index.faiss", "rows.arrow", "stats.json", "sources.arrow"])
def test_a_flipped_byte_is_found(published, which):
    target = next(iter(sorted(published.folder.rglob(which))))
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)

    with pytest.raises(IntegrityError, match=rf"{which} has SHA-256"):
        verify(published.manifest, published.path)
    with pytest.raises(IntegrityError, match=rf"{which} has SHA-256"):
        published.open(verify=True)


def test_a_missing_and_a_short_file_are_found(published):
    target = published.path(published.manifest.sources.key)
    target.write_bytes(target.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"sources\.arrow has \d+ bytes, the manifest says"):
        verify(published.manifest, published.path)
    target.unlink()
    with pytest.raises(IntegrityError, match=r"sources\.arrow cannot be read"):
        verify(published.manifest, published.path)


def test_a_manifest_that_was_edited_is_found(published):
    entry = published.manifest.indexes[0]
    fewer = replace(published.manifest, indexes=(replace(entry, segments=entry.segments[:1]),))

    with pytest.raises(IntegrityError, match=f"says it is {published.manifest.snapshot_id}"):
        verify(fewer, published.path)
    miscounted = replace(published.manifest, indexes=(replace(entry, rows=7),))
    with pytest.raises(IntegrityError, match="the manifest says 7"):
        verify(miscounted, published.path)
